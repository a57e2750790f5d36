#include "replication/site/rules/rules_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "config/loader.h"
#include "config/printable.h"
#include "replication/record/bytes.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr size_t kChangesMax = 256;  // of a run: each is remembered in case somebody goes by it
constexpr size_t kLinesSaidMax = 20;
constexpr size_t kLineSaidBytesMax = 200;
constexpr const char* kAlarm = "rules";

std::optional<Settings> read_rules(const std::string& text) {
  auto rules = parse_rules(text, "rules");
  return rules ? std::optional(std::move(*rules)) : std::nullopt;
}

// As the log keeps them: who told them, and what.
struct Kept {
  Dot told;
  std::string text;
};

Result<Kept> decode_kept(std::string_view bytes) {
  ByteReader in(bytes, "rules");
  Kept kept;
  kept.told = in.dot_be();
  kept.text = std::string(in.raw(in.left()));
  if (!in.ok()) return in.error();
  return kept;
}

}  // namespace

RulesKeeper::RulesKeeper(const SiteContext& context, Alarms& alarms)
    : context_(context),
      alarms_(alarms),
      policy_(context.options.policy),
      file_text_(policy_ == nullptr ? std::string() : policy_->text()),
      file_hash_(policy_ == nullptr ? 0 : policy_->hash()),
      file_lines_(policy_ == nullptr ? std::vector<std::string>() : policy_->lines()) {}

// The file of the last start is compared by what it means to this version, not by its bytes.
Status RulesKeeper::load() {
  if (policy_ == nullptr || file_text_.empty()) return {};
  const auto file = context_.outbox.meta(meta_keys::kRulesFile);
  if (!file) return tl::unexpected(file.error());
  const auto bytes = context_.outbox.meta(meta_keys::kRules);
  if (!bytes) return tl::unexpected(bytes.error());
  std::optional<Settings> kept;
  const MutexLock lock(mutex_);
  if (*bytes) {
    auto decoded = decode_kept(**bytes);
    if (!decoded) return tl::unexpected(decoded.error());
    told_ = decoded->told;
    kept = read_rules(decoded->text);
  }
  const auto is_file = [&](const std::optional<Settings>& rules) {
    return rules && Policy(*rules).hash() == file_hash_;
  };
  const std::optional<Settings> file_then = *file ? read_rules(**file) : std::nullopt;
  if (*file && !is_file(file_then) && !is_file(kept)) {
    is_due_ = true;
    const Settings before = kept ? *kept : file_then.value_or(Settings());
    say("the rules of the file were changed: they hold now, and the other sites are told",
        Policy(before).lines());
    return {};
  }
  if (!told_.is_zero()) {
    if (!can_hold(kept)) {  // until then those that were told before
      const auto before = context_.outbox.meta(meta_keys::kRulesHeld);
      if (!before) return tl::unexpected(before.error());
      const auto held = *before ? read_rules(**before) : std::nullopt;
      if (can_hold(held)) hold(held, "another site");
    }
    hold(kept, "another site");
  }
  if (*file == file_text_) return {};
  outbox::Batch batch;
  batch.put_meta(meta_keys::kRulesFile, file_text_);
  return context_.write_soon(std::move(batch));
}

bool RulesKeeper::is_due() const {
  const MutexLock lock(mutex_);
  return is_due_;
}

void RulesKeeper::tell(Record& record, outbox::Batch& batch) const {
  record.rules = file_text_;
  put(batch, {&record, {}, true});
  batch.put_meta(meta_keys::kRulesFile, file_text_);
}

void RulesKeeper::told(const Record& record) {
  const MutexLock lock(mutex_);
  told_ = std::max(told_, record.dot());
  is_due_ = false;
  alarms_.calm(kAlarm);
}

ToldRules RulesKeeper::newest_of(const std::vector<std::shared_ptr<const Record>>& records) const {
  ToldRules newest;
  if (policy_ == nullptr) return newest;
  const Dot told = [&] {
    const MutexLock lock(mutex_);
    return told_;
  }();
  for (const auto& record : records) {
    const Dot& before = newest.record == nullptr ? told : newest.record->dot();
    if (!record->rules.empty() && record->dot() > before) newest.record = record.get();
  }
  if (newest.record == nullptr) return newest;
  newest.rules = read_rules(newest.record->rules);
  newest.can_hold = can_hold(newest.rules);
  return newest;
}

void RulesKeeper::put(outbox::Batch& batch, const ToldRules& told) {
  ByteWriter out;
  out.dot_be(told.record->dot());
  out.raw(told.record->rules);
  batch.put_meta(meta_keys::kRules, out.take());
  if (told.can_hold) batch.put_meta(meta_keys::kRulesHeld, told.record->rules);
}

bool RulesKeeper::can_hold(const std::optional<Settings>& rules) const {
  return rules && Policy(*rules).selection() == policy_->selection();
}

void RulesKeeper::take(const ToldRules& told, const std::string& by) {
  const MutexLock lock(mutex_);
  told_ = told.record->dot();
  if (!is_due_) hold(told.rules, by);  // else what is told next is later
}

void RulesKeeper::hold(const std::optional<Settings>& rules, const std::string& by) {
  if (!rules) {
    return alarms_.raise(kAlarm, "this version cannot read the rules of merging that " + by +
                                     " has told: use its version; until then those of before hold");
  }
  if (!can_hold(rules)) {
    return alarms_.raise(kAlarm,
                         "by the rules that " + by +
                             " has told other namespaces travel than by the file here: make "
                             "them the same; until then those of before hold");
  }
  if (Policy(*rules).hash() != policy_->hash() && ++changes_ > kChangesMax) {
    return alarms_.raise(kAlarm, fmt::format("the rules of merging were changed {} times: those "
                                             "that {} has told hold from the next start on",
                                             kChangesMax, by));
  }
  alarms_.calm(kAlarm);
  const std::vector<std::string> before = policy_->lines();
  policy_->change_to(*rules);
  if (policy_->lines() != before) say(by + " has changed the rules", before);
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

void RulesKeeper::say(const std::string& what, const std::vector<std::string>& before) const {
  if (!context_.options.warn) return;
  std::string text = what + " (- before, + now):";
  const std::vector<std::string> lines = policy_difference(before, policy_->lines());
  for (size_t i = 0; i < std::min(lines.size(), kLinesSaidMax); ++i) {
    text += "\n  " + printable(lines[i].substr(0, kLineSaidBytesMax));
  }
  if (lines.size() > kLinesSaidMax) {
    text += fmt::format("\n  and {} more", lines.size() - kLinesSaidMax);
  }
  context_.options.warn(text);
}

}  // namespace outrigger
