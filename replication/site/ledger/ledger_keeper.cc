#include "replication/site/ledger/ledger_keeper.h"

#include <algorithm>

#include "config/limits.h"
#include "config/policy.h"
#include "replication/bson/number.h"

namespace outrigger {
namespace {

constexpr size_t kNamedEntries = 1000;
constexpr size_t kNamedBytes = 1u << 20;

// So many have a number of their own: a metric for each would be without bound.
constexpr size_t kCountedMax = 100;
constexpr const char* kOtherNamespaces = "(others)";

constexpr const char* kFind = "find a conflict";

// Than that, or in what no number tells.
bool differ_by_more(const LedgerEntry& entry, double than) {
  const bool tells = entry.shape == Shape::kValue && entry.winning;
  if (!tells || !entry.value.view().is_number() || !entry.winning->view().is_number()) return true;
  const auto [smaller, larger] =
      bson::compare_numbers(entry.value.view(), entry.winning->view()) < 0
          ? std::pair(entry.value, *entry.winning)
          : std::pair(*entry.winning, entry.value);
  const bson::OwnedValue minus = bson::negate(smaller.view());
  const bson::Sum difference = bson::add(larger.view(), minus.view());
  // Of an infinite number and itself it is not a number, which sorts below all.
  const bson::OwnedValue zero = bson::make_double(0);
  if (difference.clamped || bson::compare_numbers(difference.value.view(), zero.view()) < 0) {
    return true;
  }
  const bson::OwnedValue bound = bson::make_double(than);
  return bson::compare_numbers(difference.value.view(), bound.view()) > 0;
}

// What a delete took is, too: where it was deleted already when the write came, nobody knows when.
bool is_older_by_more(const LedgerEntry& entry, int64_t than_ms) {
  const bool by_delete = entry.kind == loss_kind_text(merge::LossKind::kDeleteUpdate);
  if (by_delete || entry.winner.is_zero()) return true;
  return hlc_ms(entry.winner.hlc) - hlc_ms(entry.loser.hlc) > than_ms;
}

}  // namespace

// What lost to another write, where the rules say that somebody is to decide. They are the same at
// all sites, so the entry is open at each.
bool LedgerKeeper::is_escalated(const LedgerEntry& entry) const {
  const Policy* policy = context_.options.policy;
  if (policy == nullptr || entry.loser.is_zero() || !is_loss(entry.kind)) return false;
  // In an element no rule holds but the array's.
  const MergeRules rules = policy->merge_rules(entry.ns);
  const Escalation escalation = rules.escalation(path_of_array(entry.path));
  if (escalation.always) return true;
  if (escalation.differs_by && differ_by_more(entry, *escalation.differs_by)) return true;
  return escalation.older_than_ms && is_older_by_more(entry, *escalation.older_than_ms);
}

void LedgerKeeper::keep(outbox::Batch& batch, const std::string& key, const LedgerEntry& entry) {
  batch.put_ledger(key, encode_ledger(entry));
  trimmer_.came(key);
}

void LedgerKeeper::put(outbox::Batch& batch, const std::string& key, LedgerEntry entry,
                       uint64_t conflicts) {
  if (entry.mark == LedgerMark::kNone) entry.open = entry.open || is_escalated(entry);
  entry.rule = rule_of(entry);
  keep(batch, key, entry);
  if (conflicts == 0) return;
  const ConflictOf of = counts_as(entry);
  const MutexLock lock(mutex_);
  count_one(of, conflicts);
}

// What travelled with the write says the loss; else those rules that hold here now.
std::string LedgerKeeper::rule_of(const LedgerEntry& entry) const {
  if (!entry.rule.empty()) return entry.rule;
  std::string rule = policy_of_kind(entry.kind);
  const Policy* policy = context_.options.policy;
  if (!rule.empty() || policy == nullptr || !is_loss(entry.kind)) return rule;
  const MergeRules rules = policy->merge_rules(entry.ns);
  if (entry.kind == loss_kind_text(merge::LossKind::kInsertInsert)) {
    return rules.inserts_merge() ? "inserts: merge" : "inserts: later";
  }
  if (entry.path.empty() && !rules.version_field().empty()) return "version_field";
  // In an element no rule holds but the array's.
  const PathType type = rules.at(path_of_array(entry.path)).type;
  // Where values stood side by side, the loss would say so: here the later stamp decided.
  return std::string(word_of(is_contest(type) ? PathType::kLww : type));
}

ConflictOf LedgerKeeper::counts_as(const LedgerEntry& entry) const {
  return {entry.kind, entry.ns, rule_of(entry)};
}

void LedgerKeeper::count(const ConflictCounts& conflicts) {
  const MutexLock lock(mutex_);
  for (const auto& [of, count] : conflicts) count_one(of, count);
}

void LedgerKeeper::count_one(const ConflictOf& of, uint64_t count) {
  const bool has_room = conflicts_.size() < kCountedMax || conflicts_.contains(of);
  conflicts_[has_room ? of : ConflictOf{of.kind, kOtherNamespaces, of.policy}] += count;
}

Result<LedgerEntry> LedgerKeeper::shown(const std::string& key, const std::string& bytes) const {
  auto entry = decode_ledger(bytes);
  if (!entry) return entry;
  const auto open = is_open_entry(context_.outbox, key, *entry);
  if (!open) return tl::unexpected(open.error());
  entry->open = *open;
  return entry;
}

Result<LedgerPage> LedgerKeeper::page(size_t limit, const LedgerPlace& from) const {
  LedgerPage page;
  if (limit == 0) return page;
  const outbox::Outbox& outbox = context_.outbox;
  auto pairs = outbox.latest_ledger({from.through, from.skip, limit, limits::kConflictsBytesMax});
  if (!pairs) return tl::unexpected(pairs.error());
  LedgerPlace next = from;
  for (const auto& [key, bytes] : *pairs) {
    auto entry = shown(key, bytes);
    if (!entry) return tl::unexpected(entry.error());
    page.entries.push_back(std::move(*entry));
    const Hlc stamp = ledger_stamp(key);
    next = {stamp, stamp == next.through ? next.skip + 1 : 1};
  }
  auto behind = outbox.latest_ledger({next.through, next.skip, 1, 0});
  if (!behind) return tl::unexpected(behind.error());
  if (!page.entries.empty() && !behind->empty()) page.next = next;
  return page;
}

Result<LedgerEntry> LedgerKeeper::find(const std::string& name) const {
  const std::optional<Hlc> stamp = stamp_of_name(name);
  if (!stamp) {
    return fail(ErrorCode::kNotFound, kFind, name, "that is no name of an entry",
                "names are as `_id` in outrigger.conflicts");
  }
  std::optional<LedgerEntry> found;
  std::string from = outbox::sortable(*stamp);
  for (bool is_over = false; !is_over;) {
    auto pairs = context_.outbox.oldest_ledger(from, kNamedEntries, kNamedBytes);
    if (!pairs) return tl::unexpected(pairs.error());
    is_over = pairs->empty();
    for (const auto& [key, bytes] : *pairs) {
      is_over = is_over || ledger_stamp(key) != *stamp;
      if (is_over) break;
      from = key + '\0';
      if (ledger_name(key) != name) continue;
      if (found) {
        return fail(ErrorCode::kRefused, kFind, name, "two entries have this name",
                    "write the value you want by hand");
      }
      auto entry = shown(key, bytes);
      if (!entry) return tl::unexpected(entry.error());
      found = std::move(*entry);
    }
  }
  if (found) return std::move(*found);
  return fail(
      ErrorCode::kNotFound, kFind, name, "no entry of this site has this name",
      "it may have been dropped for its age (ledger.max_bytes), or be known to others only");
}

Status LedgerKeeper::mark(const std::string& key, LedgerMark mark,
                          const std::optional<Replaced>& replaced) {
  auto bytes = context_.outbox.ledger(key);
  if (!bytes) return tl::unexpected(bytes.error());
  if (!*bytes) return {};
  auto entry = decode_ledger(**bytes);
  if (!entry) return tl::unexpected(entry.error());
  entry->mark = mark;
  entry->open = false;
  if (replaced) entry->replaced = replaced;
  outbox::Batch batch;
  keep(batch, key, *entry);
  Status written = context_.write_soon(std::move(batch));
  if (written) count_mark(*entry);
  return written;
}

void LedgerKeeper::count_mark(const LedgerEntry& entry) {
  const MutexLock lock(mutex_);
  ++marks_[state_text(entry)];
}

void LedgerKeeper::describe(ReplicaStatus& status) const {
  trimmer_.describe(status);
  const MutexLock lock(mutex_);
  status.conflicts = conflicts_;
  status.choices = marks_;
}

}  // namespace outrigger
