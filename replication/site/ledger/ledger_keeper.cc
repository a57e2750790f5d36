#include "replication/site/ledger/ledger_keeper.h"

#include <algorithm>

#include "config/limits.h"
#include "config/policy.h"
#include "replication/bson/number.h"
#include "replication/site/state/aside.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr size_t kPieceEntries = 1000;
constexpr size_t kPieceBytes = 1u << 20;
constexpr uint64_t kReadMax = 64u << 20;  // in one step
constexpr int64_t kSayEveryUs = 60'000'000;

// So many have a number of their own: a metric for each would be without bound.
constexpr size_t kNamespacesMax = 100;
constexpr const char* kOtherNamespaces = "(others)";

constexpr const char* kFind = "find a conflict";
constexpr const char* kAboutOpen = "ledger";  // an alarm

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

// So much goes at once, so that it is not a few entries every second.
uint64_t kept_after_trimming(uint64_t bytes_max) { return bytes_max - bytes_max / 32; }

}  // namespace

Status LedgerKeeper::load() {
  auto count = context_.outbox.meta(meta_keys::kLedgerDropped);
  if (!count) return tl::unexpected(count.error());
  dropped_ = *count ? parse_sortable(**count).value_or(0) : 0;
  return {};
}

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
  const MutexLock lock(mutex_);
  closed_from_ = std::min(closed_from_, key);
  first_ = std::min(first_, key);
}

void LedgerKeeper::put(outbox::Batch& batch, const std::string& key, const LedgerEntry& entry,
                       uint64_t conflicts) {
  if (entry.mark == LedgerMark::kNone && is_escalated(entry)) {
    LedgerEntry open = entry;
    open.open = true;
    keep(batch, key, open);
  } else {
    keep(batch, key, entry);
  }
  if (conflicts == 0) return;
  const ConflictOf of = counts_as(entry);
  const MutexLock lock(mutex_);
  count_one(of, conflicts);
}

ConflictOf LedgerKeeper::counts_as(const LedgerEntry& entry) const {
  ConflictOf of{entry.kind, entry.ns, policy_of_kind(entry.kind)};
  const Policy* policy = context_.options.policy;
  if (!of.policy.empty() || policy == nullptr || !is_loss(entry.kind)) return of;
  // In an element no rule holds but the array's.
  of.policy = word_of(policy->merge_rules(entry.ns).at(path_of_array(entry.path)).type);
  return of;
}

void LedgerKeeper::count(const ConflictCounts& conflicts) {
  const MutexLock lock(mutex_);
  for (const auto& [of, count] : conflicts) count_one(of, count);
}

void LedgerKeeper::count_one(const ConflictOf& of, uint64_t count) {
  conflicts_[of.kind] += count;
  const bool has_room = namespaces_.size() < kNamespacesMax || namespaces_.contains(of.ns);
  namespaces_[has_room ? of.ns : kOtherNamespaces] += count;
  if (!of.policy.empty()) policies_[of.policy] += count;
}

// Whether something is still to come of it. What the log says counts: it changes in one piece with
// the entry.
Result<bool> LedgerKeeper::is_open(const std::string& key, const LedgerEntry& entry) const {
  if (entry.open) return true;
  std::string about;
  if (entry.kind == kQuarantinedKind && entry.id.view().type == bson::Type::kString) {
    about = meta_keys::kQuarantined + std::string(entry.id.view().as_string());
  } else if (entry.kind == kNotApplied) {
    about = meta_keys::kDetached + outbox::row_key(entry.ns, bson::canonical_key(entry.id.view()));
  } else {
    return false;
  }
  auto known = context_.outbox.meta(about);
  if (!known) return tl::unexpected(known.error());
  if (!*known) return false;
  if (entry.kind == kQuarantinedKind) return **known == key;
  auto aside = decode_aside(**known);
  if (!aside) return tl::unexpected(aside.error());
  return aside->ledger_key == key;
}

Result<LedgerEntry> LedgerKeeper::shown(const std::string& key, const std::string& bytes) const {
  auto entry = decode_ledger(bytes);
  if (!entry) return entry;
  const auto open = is_open(key, *entry);
  if (!open) return tl::unexpected(open.error());
  entry->open = *open;
  return entry;
}

// The next entries by age. False: there are no more.
Result<bool> LedgerKeeper::trim_piece(uint64_t& bytes, uint64_t& read) {
  std::string from;
  std::string began;
  {
    const MutexLock lock(mutex_);
    began = from = closed_from_;
  }
  auto oldest = context_.outbox.oldest_ledger(from, kPieceEntries, kPieceBytes);
  if (!oldest) return tl::unexpected(oldest.error());
  outbox::Batch batch;
  uint64_t dropped = 0;
  for (const auto& [key, value] : *oldest) {
    if (bytes <= kept_after_trimming(context_.options.ledger_bytes_max)) break;
    from = key + '\0';
    read += value.size();
    const auto entry = decode_ledger(value);
    if (!entry) continue;  // whatever it was, it may have been open
    const auto to_come = is_open(key, *entry);
    if (!to_come) return tl::unexpected(to_come.error());
    if (*to_come) continue;
    batch.remove_ledger(key);
    bytes -= std::min(bytes, uint64_t{key.size() + value.size()});
    dropped_through_ = std::max(dropped_through_, ledger_stamp(key));
    ++dropped;
  }
  if (dropped > 0) {
    batch.put_meta(meta_keys::kLedgerDropped, outbox::sortable(dropped_ + dropped));
    if (Status written = context_.write_soon(std::move(batch)); !written) {
      return tl::unexpected(written.error());
    }
    dropped_ += dropped;
    unsaid_ += dropped;
  }
  const MutexLock lock(mutex_);
  if (closed_from_ == began) closed_from_ = std::move(from);  // else one came meanwhile
  return !oldest->empty();
}

Status LedgerKeeper::trim() {
  const MutexLock one_caller(trimming_);
  const uint64_t bytes_max = context_.options.ledger_bytes_max;
  uint64_t bytes = context_.outbox.usage().ledger_bytes;
  bool more = true;
  if (bytes > bytes_max) {
    uint64_t read = 0;
    while (more && read < kReadMax && bytes > kept_after_trimming(bytes_max)) {
      auto found = trim_piece(bytes, read);
      if (!found) return tl::unexpected(found.error());
      more = *found;
    }
  }
  say_trimmed(bytes, bytes > bytes_max && !more);
  std::string from;
  {
    const MutexLock lock(mutex_);
    from = first_;
  }
  auto first = context_.outbox.first_ledger_key(from);
  if (!first) return tl::unexpected(first.error());
  oldest_ms_ = *first ? hlc_ms(ledger_stamp(**first)) : 0;
  const MutexLock lock(mutex_);
  if (*first) first_ = std::move(**first);
  return {};
}

void LedgerKeeper::say_trimmed(uint64_t bytes, bool only_open) {
  if (only_open) {
    alarms_.raise(
        kAboutOpen,
        "the ledger is larger than ledger.max_bytes and all of it is open: nothing of that is "
        "dropped; see what is set aside or left out, or raise ledger.max_bytes");
  } else {
    alarms_.calm(kAboutOpen);
  }
  const int64_t now_us = context_.clock.monotonic_us();
  const bool under_way = bytes > context_.options.ledger_bytes_max && !only_open;
  const bool too_soon = said_us_ != 0 && now_us - said_us_ < kSayEveryUs;
  if (unsaid_ == 0 || under_way || too_soon) return;
  if (context_.options.warn) {
    context_.options.warn(
        "the ledger is larger than ledger.max_bytes: its " + std::to_string(unsaid_) +
        " oldest closed entries were dropped, those up to " + to_text(Dot{dropped_through_, {}}) +
        "; " + std::to_string(bytes) + " bytes are kept");
  }
  said_us_ = now_us;
  unsaid_ = 0;
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
    auto pairs = context_.outbox.oldest_ledger(from, kPieceEntries, kPieceBytes);
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
  status.ledger_bytes_max = context_.options.ledger_bytes_max;
  status.ledger_dropped = dropped_;
  status.ledger_oldest_ms = oldest_ms_;
  const MutexLock lock(mutex_);
  status.conflicts = conflicts_;
  status.conflicts_of_namespaces = namespaces_;
  status.conflicts_of_policies = policies_;
  status.choices = marks_;
}

}  // namespace outrigger
