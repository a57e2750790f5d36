#include "replication/site/rules/rules_keeper.h"

#include <fmt/format.h>

#include <utility>

#include "config/loader.h"
#include "replication/record/bytes.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr size_t kChangesMax = 256;  // of a run: each is remembered in case somebody goes by it
constexpr const char* kFile = "the rules of a record";

// As the log keeps them: who told them, and what.
struct Kept {
  Dot told;
  Settings rules;
};

Result<Kept> decode_kept(std::string_view bytes) {
  ByteReader in(bytes, "rules");
  Kept kept;
  kept.told = in.dot_be();
  const std::string text(in.raw(in.left()));
  in.end();
  if (!in.ok()) return in.error();
  auto rules = parse_rules(text, kFile);
  if (!rules) {
    return fail(ErrorCode::kUnsupported, "read rules", to_text(kept.told), describe(rules.error()),
                "use the version of outrigger that took them");
  }
  kept.rules = std::move(*rules);
  return kept;
}

}  // namespace

RulesKeeper::RulesKeeper(const SiteContext& context)
    : context_(context),
      policy_(context.options.policy),
      file_hash_(policy_ == nullptr ? 0 : policy_->hash()),
      file_lines_(policy_ == nullptr ? std::vector<std::string>() : policy_->lines()) {}

Status RulesKeeper::load() {
  if (policy_ == nullptr) return {};
  const auto file = context_.outbox.meta(meta_keys::kRulesFile);
  if (!file) return tl::unexpected(file.error());
  const auto bytes = context_.outbox.meta(meta_keys::kRules);
  if (!bytes) return tl::unexpected(bytes.error());
  std::optional<Kept> kept;
  if (*bytes) {
    auto decoded = decode_kept(**bytes);
    if (!decoded) return tl::unexpected(decoded.error());
    kept = std::move(*decoded);
  }
  const std::string now = outbox::sortable(file_hash_);
  const bool is_changed = *file && **file != now;
  const MutexLock lock(mutex_);
  if (kept) told_ = kept->told;
  const bool can_tell = !policy_->text().empty();
  if (is_changed && can_tell && !(kept && Policy(kept->rules).hash() == file_hash_)) {
    is_due_ = true;
    return {};
  }
  if (kept) {
    policy_->change_to(kept->rules);
    if (policy_->hash() != file_hash_) {
      say_difference("the rules of the file are not those that hold, which another site has told",
                     file_lines_);
    }
  }
  if (*file == now) return {};
  outbox::Batch batch;
  batch.put_meta(meta_keys::kRulesFile, now);
  return context_.outbox.write(std::move(batch));
}

bool RulesKeeper::is_due() const {
  const MutexLock lock(mutex_);
  return is_due_;
}

void RulesKeeper::tell(Record& record, outbox::Batch& batch) const {
  record.rules = policy_->text();
  put(batch, record);
  batch.put_meta(meta_keys::kRulesFile, outbox::sortable(file_hash_));
}

void RulesKeeper::told(const Record& record) {
  const MutexLock lock(mutex_);
  told_ = record.dot();
  is_due_ = false;
}

const Record* RulesKeeper::newest_of(
    const std::vector<std::shared_ptr<const Record>>& records) const {
  const Record* newest = nullptr;
  for (const auto& record : records) {
    if (record->rules.empty() || policy_ == nullptr) continue;
    const auto rules = parse_rules(record->rules, kFile);
    if (!rules || Policy(*rules).selection() != policy_->selection()) continue;
    const MutexLock lock(mutex_);
    const bool stands = record->dot() > told_;
    if (stands && (newest == nullptr || record->dot() > newest->dot())) newest = record.get();
  }
  return newest;
}

void RulesKeeper::put(outbox::Batch& batch, const Record& record) {
  ByteWriter out;
  out.dot_be(record.dot());
  out.raw(record.rules);
  batch.put_meta(meta_keys::kRules, out.take());
}

void RulesKeeper::take(const Record& record, const std::string& by) {
  const auto rules = parse_rules(record.rules, kFile);
  OUTRIGGER_ASSERT(rules.has_value());  // newest_of has read them
  const MutexLock lock(mutex_);
  told_ = record.dot();
  if (is_due_) return;  // what is told next is later
  if (++changes_ > kChangesMax) {
    if (context_.options.alarm) {
      context_.options.alarm("the rules were changed " + std::to_string(kChangesMax) +
                             " times in this run: later ones hold from the next start on");
    }
    return;
  }
  const std::vector<std::string> before = policy_->lines();
  policy_->change_to(*rules);
  if (policy_->lines() != before) say_difference(by + " has changed the rules", before);
}

std::string RulesKeeper::name() const {
  if (policy_ == nullptr) return {};
  const MutexLock lock(mutex_);
  const bool is_told = is_due_ || !told_.is_zero();
  return fmt::format("{:016x}-{:016x}{}", policy_->selection(), policy_->hash(),
                     is_told ? "+" : "");
}

Dot RulesKeeper::describe(RulesStatus& status) const {
  if (policy_ == nullptr) return {};
  status.name = name();
  status.file_differs = policy_difference(file_lines_, policy_->lines());
  const MutexLock lock(mutex_);
  if (!told_.is_zero()) status.since_ms = hlc_ms(told_.hlc);
  return told_;
}

void RulesKeeper::say_difference(const std::string& what,
                                 const std::vector<std::string>& before) const {
  if (!context_.options.warn) return;
  std::string text = what + " (- before, + now):";
  for (const std::string& line : policy_difference(before, policy_->lines())) {
    text += "\n  " + line;
  }
  context_.options.warn(text);
}

}  // namespace outrigger
