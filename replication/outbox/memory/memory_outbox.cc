#include "replication/outbox/memory/memory_outbox.h"

#include <algorithm>

#include "replication/outbox/cohorts.h"
#include "replication/outbox/ledger.h"

namespace outrigger::outbox {

void MemoryOutbox::apply(Tables& tables, const Batch& batch) {
  for (const Batch::Change& change : batch.changes()) {
    Table& table = tables[static_cast<size_t>(change.family)];
    if (change.family == Family::kCohorts) {
      Table& rows = tables[static_cast<size_t>(Family::kVersions)];
      const std::string_view ns = namespace_of_cohort(change.key);
      const auto put = [&](std::string_view id, std::string_view row) {
        rows[row_key(ns, id)] = row;
      };
      OUTRIGGER_ASSERT(for_each_of_cohort(change.bytes, put));
    } else if (change.remove) {
      const auto found = table.find(change.key);
      OUTRIGGER_ASSERT(!change.removed_bytes ||
                       (found != table.end() && found->second.size() == *change.removed_bytes));
      if (found != table.end()) table.erase(found);
    } else {
      OUTRIGGER_ASSERT(!change.fresh || table.count(change.key) == 0);
      table[change.key] = change.bytes;
    }
  }
}

const MemoryOutbox::Table& MemoryOutbox::table(Family family) const {
  return tables_[static_cast<size_t>(family)];
}

Status MemoryOutbox::write(Batch&& batch) {
  const MutexLock lock(mutex_);
  if (failure_) return tl::unexpected<Error>(*failure_);
  apply(tables_, batch);
  unsynced_.push_back(std::move(batch));
  return {};
}

Status MemoryOutbox::sync() {
  const MutexLock lock(mutex_);
  while (corked_) uncorked_.wait(mutex_);
  return sync_writes(unsynced_.size());
}

Status MemoryOutbox::sync_first(size_t count) {
  const MutexLock lock(mutex_);
  return sync_writes(count);
}

Status MemoryOutbox::sync_writes(size_t count) {
  if (failure_) return tl::unexpected<Error>(*failure_);
  const auto end = unsynced_.begin() + static_cast<ptrdiff_t>(std::min(count, unsynced_.size()));
  for (auto batch = unsynced_.begin(); batch != end; ++batch) apply(synced_, *batch);
  unsynced_.erase(unsynced_.begin(), end);
  return {};
}

size_t MemoryOutbox::unsynced() const {
  const MutexLock lock(mutex_);
  return unsynced_.size();
}

void MemoryOutbox::take_over(const MemoryOutbox& other) {
  const MutexLock lock(mutex_);
  const MutexLock others(other.mutex_);
  synced_ = other.synced_;
  unsynced_ = other.unsynced_;
  tables_ = synced_;
  for (const Batch& batch : unsynced_) apply(tables_, batch);  // also one written in vain
}

Status MemoryOutbox::admit() const {
  const MutexLock lock(mutex_);
  if (failure_) return tl::unexpected<Error>(*failure_);
  return {};
}

std::optional<Error> MemoryOutbox::failure() const {
  const MutexLock lock(mutex_);
  return failure_;
}

void MemoryOutbox::lose_unsynced(size_t kept_max) {
  const MutexLock lock(mutex_);
  const size_t kept = std::min(kept_max, unsynced_.size());
  for (size_t i = 0; i < kept; ++i) apply(synced_, unsynced_[i]);
  tables_ = synced_;
  unsynced_.clear();
}

void MemoryOutbox::write_again(size_t kept_max) {
  const MutexLock lock(mutex_);
  const size_t kept = std::min(kept_max, unsynced_.size());
  for (size_t i = 0; i < kept; ++i) apply(synced_, unsynced_[i]);
  if (in_vain_) unsynced_.back().withdraw_prepares();
  for (Batch& batch : unsynced_) apply(synced_, batch.doubt());
  tables_ = synced_;
  unsynced_.clear();
  in_vain_ = false;
}

void MemoryOutbox::write_in_vain(Batch&& batch) {
  const MutexLock lock(mutex_);
  OUTRIGGER_ASSERT(failure_ && !in_vain_);
  unsynced_.push_back(std::move(batch));
  in_vain_ = true;
}

void MemoryOutbox::cork() {
  const MutexLock lock(mutex_);
  corked_ = true;
}

void MemoryOutbox::uncork() {
  const MutexLock lock(mutex_);
  corked_ = false;
  uncorked_.notify_all();
}

void MemoryOutbox::fail(ErrorCode code) {
  const MutexLock lock(mutex_);
  failure_ = Error{code, "write outbox", "memory", "made to fail", ""};
}

size_t MemoryOutbox::size(Family family) const {
  const MutexLock lock(mutex_);
  return table(family).size();
}

MemoryOutbox::Bytes MemoryOutbox::get(Family family, std::string_view key) const {
  const MutexLock lock(mutex_);
  const auto found = table(family).find(key);
  return found == table(family).end() ? Bytes() : Bytes(found->second);
}

Result<Outbox::Bytes> MemoryOutbox::row(std::string_view ns, std::string_view id) const {
  return get(Family::kVersions, row_key(ns, id));
}
Result<Outbox::Bytes> MemoryOutbox::entry(const Origin& origin, Hlc hlc) const {
  return get(Family::kEntries, entry_key(origin, hlc));
}
Result<Outbox::Bytes> MemoryOutbox::retry(std::string_view key) const {
  return get(Family::kRetries, key);
}
Result<Outbox::Bytes> MemoryOutbox::meta(std::string_view key) const {
  return get(Family::kMeta, key);
}
Result<Outbox::Bytes> MemoryOutbox::ledger(std::string_view key) const {
  return get(Family::kLedger, key);
}

Result<Outbox::Entries> MemoryOutbox::read_entries(const Origin& origin, Hlc after, Hlc through,
                                                   size_t bytes_max) const {
  const MutexLock lock(mutex_);
  const Table& entries = table(Family::kEntries);
  const auto end = entries.upper_bound(entry_key(origin, through));
  Entries result;
  size_t bytes = 0;
  for (auto at = entries.upper_bound(entry_key(origin, after)); at != end; ++at) {
    if (!result.empty() && bytes >= bytes_max) break;
    result.emplace_back(sortable_tail(at->first), at->second);
    bytes += at->second.size();
  }
  return result;
}

Result<std::vector<Origin>> MemoryOutbox::origins() const {
  const MutexLock lock(mutex_);
  std::vector<Origin> result;
  for (const auto& [key, bytes] : table(Family::kEntries)) {
    if (result.empty() || result.back() != origin_of(key)) result.push_back(origin_of(key));
  }
  return result;
}

Result<Hlc> MemoryOutbox::first_entry(const Origin& origin) const {
  auto entries = read_entries(origin, 0, kHlcMax, 1);
  return entries->empty() ? 0 : entries->front().first;
}

Result<Hlc> MemoryOutbox::last_entry(const Origin& origin) const {
  auto entries = read_entries(origin, 0, kHlcMax, SIZE_MAX);
  return entries->empty() ? 0 : entries->back().first;
}

Result<Outbox::Entries> MemoryOutbox::scan_prepares() const {
  const MutexLock lock(mutex_);
  Entries result;
  for (const auto& [key, bytes] : table(Family::kPrepares)) {
    result.emplace_back(sortable_tail(key), bytes);
  }
  return result;
}

namespace {

// False: no more than this.
bool take(Outbox::Pairs& taken, size_t& bytes, const std::pair<const std::string, std::string>& of,
          size_t count, size_t bytes_max) {
  if (taken.size() == count || (!taken.empty() && bytes + of.second.size() > bytes_max)) {
    return false;
  }
  bytes += of.second.size();
  taken.emplace_back(of);
  return true;
}

}  // namespace

Result<Outbox::Pairs> MemoryOutbox::latest_ledger(const LedgerRange& range) const {
  const MutexLock lock(mutex_);
  Pairs result;
  const Table& ledger = table(Family::kLedger);
  auto at = range.through == kHlcMax
                ? ledger.rbegin()
                : std::make_reverse_iterator(ledger.lower_bound(sortable(range.through + 1)));
  for (size_t i = 0; i < range.skip && at != ledger.rend(); ++i) ++at;
  size_t bytes = 0;
  while (at != ledger.rend() && take(result, bytes, *at, range.count, range.bytes_max)) ++at;
  return result;
}

Result<Outbox::Pairs> MemoryOutbox::oldest_ledger(std::string_view from, size_t count,
                                                  size_t bytes_max) const {
  const MutexLock lock(mutex_);
  Pairs result;
  const Table& ledger = table(Family::kLedger);
  size_t bytes = 0;
  auto at = ledger.lower_bound(from);
  while (at != ledger.end() && take(result, bytes, *at, count, bytes_max)) ++at;
  return result;
}

Result<Outbox::Bytes> MemoryOutbox::first_ledger_key(std::string_view from) const {
  const MutexLock lock(mutex_);
  const auto at = table(Family::kLedger).lower_bound(from);
  return at == table(Family::kLedger).end() ? Bytes() : Bytes(at->first);
}

Result<Outbox::Pairs> MemoryOutbox::scan_meta(std::string_view prefix) const {
  const MutexLock lock(mutex_);
  Pairs result;
  const Table& meta = table(Family::kMeta);
  for (auto at = meta.lower_bound(prefix); at != meta.end(); ++at) {
    if (!std::string_view(at->first).starts_with(prefix)) break;
    result.emplace_back(*at);
  }
  return result;
}

Result<std::string> MemoryOutbox::scan(Family family, std::string_view cursor, size_t count,
                                       const PairVisitor& visit) const {
  Pairs found;
  bool more = false;
  {
    const MutexLock lock(mutex_);
    const Table& all = table(family);
    auto at = all.upper_bound(cursor);
    for (; at != all.end() && found.size() < count; ++at) found.emplace_back(*at);
    more = at != all.end();
  }
  for (const auto& [key, bytes] : found) visit(key, bytes);
  return more ? found.back().first : std::string();
}

Result<std::string> MemoryOutbox::scan_rows(std::string_view cursor, size_t count,
                                            const RowVisitor& visit) const {
  return scan(Family::kVersions, cursor, count, [&](std::string_view key, std::string_view bytes) {
    const size_t cut = key.find('\0');
    visit(key.substr(0, cut), key.substr(cut + 1), bytes);
  });
}

Result<std::string> MemoryOutbox::scan_retries(std::string_view cursor, size_t count,
                                               const PairVisitor& visit) const {
  return scan(Family::kRetries, cursor, count, visit);
}

Result<size_t> MemoryOutbox::drop_cohorts(
    const std::function<Hlc(const Origin&)>&,
    const std::function<bool(const Dot&, std::string_view ns)>&) {
  return 0;
}

Usage MemoryOutbox::usage() const {
  const MutexLock lock(mutex_);
  Usage usage;
  for (const auto& [key, bytes] : table(Family::kEntries)) {
    ++usage.entries;
    usage.entries_bytes += bytes.size();
  }
  for (const auto& [key, bytes] : table(Family::kLedger)) {
    ++usage.ledger;
    usage.ledger_bytes += key.size() + bytes.size();
    const OpenShare open = open_share(key, bytes);
    usage.ledger_open += open.entries;
    usage.ledger_open_bytes += open.bytes;
  }
  return usage;
}

}  // namespace outrigger::outbox
