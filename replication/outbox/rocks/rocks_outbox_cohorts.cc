// Cohorts in RocksDB: items of a family of their own, and who belongs to them in memory.
#include <rocksdb/iterator.h>
#include <rocksdb/write_batch.h>

#include "replication/outbox/rocks/rocks.h"
#include "replication/outbox/rocks/rocks_outbox.h"

namespace outrigger::outbox {

Status RocksOutbox::load_cohorts() {
  const MutexLock lock(cohorts_mutex_);
  cohorts_.clear();
  const std::unique_ptr<rocksdb::Iterator> at(
      db_->NewIterator(rocksdb::ReadOptions(), handle(Family::kCohorts)));
  std::string cohort;  // the last one: its notes follow it
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    const std::string_view key = view(at->key());
    if (!is_cohort_note(key)) {
      cohort = key;
      if (cohorts_.add(key, std::string(view(at->value())))) continue;
      return fail(ErrorCode::kCorrupt, "open outbox", dir_, "a cohort is malformed");
    }
    // The last one to leave takes the cohort and its notes along, so there is one.
    if (cohort.empty() || !key.starts_with(cohort) ||
        key.substr(cohort.size(), 1) != std::string_view("\0", 1)) {
      return fail(ErrorCode::kCorrupt, "open outbox", dir_, "a note of no cohort");
    }
    (void)cohorts_.leave(namespace_of_cohort(key), cohort);
  }
  if (!at->status().ok()) return tl::unexpected(rocks_error(at->status(), "open outbox", dir_));
  return {};
}

// Not checked by the compiler: it takes cohorts_mutex_ only where the batch changes rows, and
// leaves it with `rows` where a document leaves its cohort.
Status RocksOutbox::put_all(const Batch& batch, rocksdb::WriteBatch& out,
                            RowChanges& rows) NO_THREAD_SAFETY_ANALYSIS {
  rows.cohorts = std::unique_lock(cohorts_mutex_, std::defer_lock);
  bool leaves = false;
  for (const Batch::Change& change : batch.changes()) {
    const bool of_rows = change.family == Family::kVersions || change.family == Family::kCohorts;
    if (of_rows && !rows.cohorts) rows.cohorts.lock();
    if (change.family == Family::kCohorts) {
      if (Status put = put_cohort(change, out, rows); !put) return put;
      continue;
    }
    const auto status = change.remove ? out.Delete(handle(change.family), change.key)
                                      : out.Put(handle(change.family), change.key, change.bytes);
    if (!status.ok()) return tl::unexpected(rocks_error(status, "write outbox", dir_));
    if (change.family != Family::kVersions) continue;
    rows.puts = rows.puts || !change.remove;
    const auto left = note_left(change.key, out);
    if (!left) return tl::unexpected(left.error());
    leaves = leaves || *left;
  }
  if (rows.cohorts && !leaves) rows.cohorts.unlock();
  return {};
}

Status RocksOutbox::put_cohort(const Batch::Change& change, rocksdb::WriteBatch& out,
                               RowChanges& rows) {
  rocksdb::Status status;
  if (cohorts_.has_room() && !is_cohort_note(change.key) &&
      cohorts_.add(change.key, change.bytes)) {
    status = out.Put(handle(Family::kCohorts), change.key, change.bytes);
  } else {
    rows.puts = true;
    const std::string_view ns = namespace_of_cohort(change.key);
    rocksdb::ColumnFamilyHandle* const versions = handle(Family::kVersions);
    for_each_of_cohort(change.bytes, [&](std::string_view id, std::string_view row) {
      if (status.ok()) status = out.Put(versions, row_key(ns, id), slice(row));
    });
  }
  if (!status.ok()) return tl::unexpected(rocks_error(status, "write outbox", dir_));
  return {};
}

Result<bool> RocksOutbox::note_left(std::string_view row_key, rocksdb::WriteBatch& out) {
  const auto left = cohorts_.leave(row_key);
  if (!left) return false;
  rocksdb::Status status;
  if (left->is_empty) {
    // Its notes too, also those of this batch.
    status = left->has_notes
                 ? out.DeleteRange(handle(Family::kCohorts), left->key, left->key + '\1')
                 : out.Delete(handle(Family::kCohorts), left->key);
  } else {
    std::string note = left->key;
    note.append(row_key.substr(row_key.find('\0')));
    status = out.Put(handle(Family::kCohorts), note, rocksdb::Slice());
  }
  if (!status.ok()) return tl::unexpected(rocks_error(status, "write outbox", dir_));
  return true;
}

Result<size_t> RocksOutbox::drop_cohorts(const std::function<Hlc(const Origin&)>& through) {
  const ReaderLock files(files_mutex_);
  if (auto error = failure()) return tl::unexpected(*error);
  if (!db_) return tl::unexpected(unusable().error());
  const MutexLock lock(cohorts_mutex_);
  rocksdb::WriteBatch out;
  size_t rows = 0;
  for (const Cohorts::Dropped& each : cohorts_.drop(through)) {
    rows += each.documents;
    (void)out.DeleteRange(handle(Family::kCohorts), each.first, each.last + '\1');
  }
  if (out.Count() == 0) return 0;
  const auto status = db_->Write(rocksdb::WriteOptions(), &out);
  if (!status.ok())
    return tl::unexpected(mark_failed(rocks_error(status, "write outbox", dir_)).error());
  return rows;
}

size_t RocksOutbox::cohort_rows() const {
  const MutexLock lock(cohorts_mutex_);
  return cohorts_.documents();
}

}  // namespace outrigger::outbox
