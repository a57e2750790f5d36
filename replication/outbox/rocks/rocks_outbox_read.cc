#include <algorithm>

#include "replication/outbox/rocks/rocks_outbox.h"
#include "replication/outbox/rocks/rocks_rows.h"

namespace outrigger::outbox {
namespace {

constexpr size_t kEntryKeyBytes = 32;

// The smallest key above all that begin with `prefix`; empty: there is none.
std::string after_prefix(std::string prefix) {
  while (!prefix.empty() && static_cast<uint8_t>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

// Where a scan goes on; empty: nowhere.
std::string after(const Outbox::Pairs& found, size_t count) {
  if (found.size() < count || found.empty()) return {};
  return found.back().first + '\0';  // the next possible key
}

}  // namespace

Status RocksOutbox::unusable() const {
  const MutexLock lock(failure_mutex_);
  if (failure_) return tl::unexpected(*failure_);
  return fail(ErrorCode::kClosed, "use outbox", dir_, "not open");
}

Result<RocksOutbox::Bytes> RocksOutbox::get(Family family, std::string_view key) const {
  const ReaderLock lock(files_mutex_);
  if (!files_) return tl::unexpected(unusable().error());
  return files_->get(family, key);
}

Result<RocksOutbox::Pairs> RocksOutbox::range(Family family, const Range& range) const {
  const ReaderLock lock(files_mutex_);
  if (!files_) return tl::unexpected(unusable().error());
  return files_->range(family, range);
}

Result<RocksOutbox::Bytes> RocksOutbox::row(std::string_view ns,
                                            std::string_view canonical_id) const {
  if (is_shut_) return tl::unexpected(unusable().error());  // nor of what is in memory
  if (auto row = rows_->row_of_cohort(ns, canonical_id)) return Bytes(std::move(row));
  if (rows_->none_by_itself()) return Bytes();
  const ReaderLock lock(files_mutex_);
  if (!files_) return tl::unexpected(unusable().error());
  const auto kept = files_->get(Family::kVersions, row_key(ns, canonical_id));
  if (!kept || !*kept) return kept;
  auto row = rows_->whole(**kept, *files_);
  if (!row) return tl::unexpected(row.error());
  return Bytes(*std::move(row));
}
Result<RocksOutbox::Bytes> RocksOutbox::entry(const Origin& origin, Hlc hlc) const {
  return get(Family::kEntries, entry_key(origin, hlc));
}
Result<RocksOutbox::Bytes> RocksOutbox::retry(std::string_view key) const {
  return get(Family::kRetries, key);
}
Result<RocksOutbox::Bytes> RocksOutbox::meta(std::string_view key) const {
  return get(Family::kMeta, key);
}
Result<RocksOutbox::Bytes> RocksOutbox::ledger(std::string_view key) const {
  return get(Family::kLedger, key);
}

Result<RocksOutbox::Entries> RocksOutbox::read_entries(const Origin& origin, Hlc after, Hlc through,
                                                       size_t bytes_max) const {
  if (after >= through) return Entries();
  Range wanted;
  wanted.from = entry_key(origin, after + 1);
  wanted.below =
      through == kHlcMax ? after_prefix(origin_key(origin)) : entry_key(origin, through + 1);
  wanted.bytes_max = bytes_max;
  return stamped(range(Family::kEntries, wanted));
}

Result<RocksOutbox::Entries> RocksOutbox::scan_prepares() const {
  return stamped(range(Family::kPrepares, {}));
}

Result<RocksOutbox::Entries> RocksOutbox::stamped(Result<Pairs>&& pairs) {
  if (!pairs) return tl::unexpected(std::move(pairs.error()));
  Entries entries;
  entries.reserve(pairs->size());
  for (auto& [key, bytes] : *pairs) entries.emplace_back(sortable_tail(key), std::move(bytes));
  return entries;
}

Result<std::vector<Origin>> RocksOutbox::origins() const {
  std::vector<Origin> origins;
  Range next;
  next.count = 1;
  next.keys_only = true;
  for (;;) {
    const Result<Pairs> first = range(Family::kEntries, next);
    if (!first) return tl::unexpected(first.error());
    if (first->empty()) return origins;
    const std::string& key = first->front().first;
    if (key.size() != kEntryKeyBytes) {
      return fail(ErrorCode::kCorrupt, "read outbox", dir_, "an entry's key has a wrong length");
    }
    origins.push_back(origin_of(key));
    next.from = after_prefix(origin_key(origins.back()));
    if (next.from.empty()) return origins;
  }
}

Result<Hlc> RocksOutbox::edge_entry(const Origin& origin, bool newest) const {
  Range edge;
  edge.from = origin_key(origin);
  edge.below = after_prefix(edge.from);
  edge.count = 1;
  edge.newest_first = newest;
  edge.keys_only = true;
  const Result<Pairs> found = range(Family::kEntries, edge);
  if (!found) return tl::unexpected(found.error());
  return found->empty() ? 0 : sortable_tail(found->front().first);
}

Result<Hlc> RocksOutbox::first_entry(const Origin& origin) const {
  return edge_entry(origin, false);
}
Result<Hlc> RocksOutbox::last_entry(const Origin& origin) const { return edge_entry(origin, true); }

Result<RocksOutbox::Pairs> RocksOutbox::latest_ledger(const LedgerRange& wanted) const {
  Range latest;
  if (wanted.through != kHlcMax) latest.below = sortable(wanted.through + 1);
  latest.skip = wanted.skip;
  latest.count = wanted.count;
  latest.bytes_max = wanted.bytes_max;
  latest.newest_first = true;
  return range(Family::kLedger, latest);
}

Result<RocksOutbox::Pairs> RocksOutbox::oldest_ledger(std::string_view from, size_t count,
                                                      size_t bytes_max) const {
  Range oldest;
  oldest.from = std::string(from);
  oldest.count = count;
  oldest.bytes_max = bytes_max;
  return range(Family::kLedger, oldest);
}

Result<RocksOutbox::Bytes> RocksOutbox::first_ledger_key(std::string_view from) const {
  Range first;
  first.from = std::string(from);
  first.count = 1;
  first.keys_only = true;
  auto found = range(Family::kLedger, first);
  if (!found) return tl::unexpected(found.error());
  return found->empty() ? Bytes() : Bytes(std::move(found->front().first));
}

Result<RocksOutbox::Pairs> RocksOutbox::scan_meta(std::string_view prefix) const {
  Range wanted;
  wanted.from = prefix.empty() ? std::string(1, '\1') : std::string(prefix);  // 0x00...: our own
  wanted.below = after_prefix(std::string(prefix));
  return range(Family::kMeta, wanted);
}

Result<std::string> RocksOutbox::scan(Family family, std::string_view cursor, size_t count,
                                      const PairVisitor& visit) const {
  Range next;
  next.from = std::string(cursor);
  next.count = count;
  const Result<Pairs> found = range(family, next);
  if (!found) return tl::unexpected(found.error());
  for (const auto& [key, bytes] : *found) visit(key, bytes);
  return after(*found, count);
}

Result<std::string> RocksOutbox::scan_rows(std::string_view cursor, size_t count,
                                           const RowVisitor& visit) const {
  const std::optional<uint64_t> puts = rows_->puts();
  bool is_empty = cursor.empty() && count > 0 && puts;
  const Result<Pairs> found = range_of_rows(cursor, count);
  if (!found) return tl::unexpected(found.error());
  for (const auto& [key, row] : *found) {
    is_empty = false;
    const size_t end = std::min(key.find('\0'), key.size());
    visit(std::string_view(key).substr(0, end),
          std::string_view(key).substr(std::min(end + 1, key.size())), row);
  }
  if (is_empty) rows_->seen_empty(*puts);
  return after(*found, count);
}

// What its numbers mean is asked of the files that it was read from.
Result<RocksOutbox::Pairs> RocksOutbox::range_of_rows(std::string_view cursor, size_t count) const {
  Range next;
  next.from = std::string(cursor);
  next.count = count;
  const ReaderLock lock(files_mutex_);
  if (!files_) return tl::unexpected(unusable().error());
  auto found = files_->range(Family::kVersions, next);
  if (!found) return found;
  for (auto& [key, bytes] : *found) {
    // One that is damaged is an affair of its document: who reads it is told.
    if (auto row = rows_->whole(bytes, *files_)) bytes = *std::move(row);
  }
  return found;
}

Result<std::string> RocksOutbox::scan_retries(std::string_view cursor, size_t count,
                                              const PairVisitor& visit) const {
  return scan(Family::kRetries, cursor, count, visit);
}

}  // namespace outrigger::outbox
