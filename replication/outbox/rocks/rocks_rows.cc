#include "replication/outbox/rocks/rocks_rows.h"

#include <rocksdb/iterator.h>
#include <rocksdb/write_batch.h>

namespace outrigger::outbox {

Status RocksRows::load(const RocksFiles& files) {
  if (Status loaded = origins_.load(files); !loaded) return loaded;
  const MutexLock lock(mutex_);
  puts_at_empty_ = UINT64_MAX;
  cohorts_.clear();
  const std::unique_ptr<rocksdb::Iterator> at(
      files.db().NewIterator(rocksdb::ReadOptions(), files.handle(Family::kCohorts)));
  std::string cohort;  // the last one: its notes follow it
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    const std::string_view key = view(at->key());
    if (!is_cohort_note(key)) {
      cohort = key;
      if (cohorts_.add(key, std::string(view(at->value())))) continue;
      return fail(ErrorCode::kCorrupt, "open outbox", files.dir(), "a cohort is malformed");
    }
    // The last one to leave takes the cohort and its notes along, so there is one.
    if (cohort.empty() || !key.starts_with(cohort) ||
        key.substr(cohort.size(), 1) != std::string_view("\0", 1)) {
      return fail(ErrorCode::kCorrupt, "open outbox", files.dir(), "a note of no cohort");
    }
    (void)cohorts_.leave(namespace_of_cohort(key), cohort);
  }
  if (!at->status().ok()) return tl::unexpected(files.error(at->status(), "open outbox"));
  return {};
}

RocksRows::Writing::~Writing() {
  if (has_new_origins_) rows_.origins_.written(is_done_);
  if (puts_) ++rows_.puts_ended_;
}

// Not checked by the compiler: it takes the mutex only where the batch changes rows, and leaves it
// with `writing` where a document leaves its cohort.
Status RocksRows::put_all(const Batch& batch, const RocksFiles& files, rocksdb::WriteBatch& out,
                          Writing& writing) NO_THREAD_SAFETY_ANALYSIS {
  writing.cohorts_ = std::unique_lock(mutex_, std::defer_lock);
  bool puts = false;
  bool leaves = false;
  for (const Batch::Change& change : batch.changes()) {
    const bool of_rows = change.family == Family::kVersions || change.family == Family::kCohorts;
    if (of_rows && !writing.cohorts_) writing.cohorts_.lock();
    if (change.family == Family::kCohorts) {
      const Status put = put_cohort(change, files, out, puts, writing.has_new_origins_);
      if (!put) return put;
      continue;
    }
    RowOrigins::Kept row;
    const bool is_row = change.family == Family::kVersions && !change.remove;
    if (is_row) row = origins_.kept(change.bytes, files, out);
    writing.has_new_origins_ = writing.has_new_origins_ || row.is_new;
    const auto status = change.remove ? out.Delete(files.handle(change.family), change.key)
                                      : out.Put(files.handle(change.family), change.key,
                                                is_row ? slice(row.bytes) : slice(change.bytes));
    if (!status.ok()) return tl::unexpected(files.error(status, "write outbox"));
    if (change.family != Family::kVersions) continue;
    puts = puts || !change.remove;
    const auto left = note_left(change.key, files, out);
    if (!left) return tl::unexpected(left.error());
    leaves = leaves || *left;
  }
  if (writing.cohorts_ && !leaves && !writing.has_new_origins_) writing.cohorts_.unlock();
  writing.puts_ = puts;
  if (puts) ++puts_begun_;
  return {};
}

Status RocksRows::put_cohort(const Batch::Change& change, const RocksFiles& files,
                             rocksdb::WriteBatch& out, bool& puts, bool& is_new) {
  rocksdb::Status status;
  if (cohorts_.has_room() && !is_cohort_note(change.key) &&
      cohorts_.add(change.key, change.bytes)) {
    status = out.Put(files.handle(Family::kCohorts), change.key, change.bytes);
  } else {
    puts = true;
    const std::string_view ns = namespace_of_cohort(change.key);
    rocksdb::ColumnFamilyHandle* const versions = files.handle(Family::kVersions);
    for_each_of_cohort(change.bytes, [&](std::string_view id, std::string_view row) {
      const RowOrigins::Kept kept = origins_.kept(row, files, out);
      is_new = is_new || kept.is_new;
      if (status.ok()) status = out.Put(versions, row_key(ns, id), kept.bytes);
    });
  }
  if (!status.ok()) return tl::unexpected(files.error(status, "write outbox"));
  return {};
}

Result<bool> RocksRows::note_left(std::string_view row_key, const RocksFiles& files,
                                  rocksdb::WriteBatch& out) {
  const auto left = cohorts_.leave(row_key);
  if (!left) return false;
  rocksdb::Status status;
  if (left->is_empty) {
    // Its notes too, also those of this batch.
    status = left->has_notes
                 ? out.DeleteRange(files.handle(Family::kCohorts), left->key, left->key + '\1')
                 : out.Delete(files.handle(Family::kCohorts), left->key);
  } else {
    std::string note = left->key;
    note.append(row_key.substr(row_key.find('\0')));
    status = out.Put(files.handle(Family::kCohorts), note, rocksdb::Slice());
  }
  if (!status.ok()) return tl::unexpected(files.error(status, "write outbox"));
  return true;
}

std::optional<std::string> RocksRows::row_of_cohort(std::string_view ns,
                                                    std::string_view canonical_id) const {
  const MutexLock lock(mutex_);
  const auto row = cohorts_.row(ns, canonical_id);
  return row ? std::optional<std::string>(*row) : std::nullopt;
}

std::optional<uint64_t> RocksRows::puts() const {
  const uint64_t ended = puts_ended_;
  const uint64_t begun = puts_begun_;
  return begun == ended ? std::optional(begun) : std::nullopt;
}

Result<size_t> RocksRows::drop(
    const RocksFiles& files, const std::function<Hlc(const Origin&)>& through,
    const std::function<bool(const Dot&, std::string_view ns)>& is_kept) {
  const MutexLock lock(mutex_);
  rocksdb::WriteBatch out;
  size_t rows = 0;
  for (const Cohorts::Dropped& each : cohorts_.drop(through, is_kept)) {
    rows += each.documents;
    (void)out.DeleteRange(files.handle(Family::kCohorts), each.first, each.last + '\1');
  }
  if (out.Count() == 0) return 0;
  const auto status = files.db().Write(rocksdb::WriteOptions(), &out);
  if (!status.ok()) return tl::unexpected(files.error(status, "write outbox"));
  return rows;
}

size_t RocksRows::rows_of_cohorts() const {
  const MutexLock lock(mutex_);
  return cohorts_.documents();
}

}  // namespace outrigger::outbox
