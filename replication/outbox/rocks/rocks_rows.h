// The rows of an outbox on their way into RocksDB. Documents born together have one item (a cohort,
// cohorts.h) in place of a row each, and who belongs to it is in memory; the others have an item of
// their own in the family of versions. Whether there is any such item at all is known here, too: of
// a site that only inserts, no row has to be looked for.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/cohorts.h"
#include "replication/outbox/rocks/rocks_files.h"
#include "replication/outbox/rocks/row_origins.h"

namespace outrigger::outbox {

// Thread-safe. The files that are handed in are open, and no other in the same moment.
class RocksRows {
 public:
  explicit RocksRows(size_t cohort_bytes) : cohorts_(cohort_bytes) {}

  // Of files just opened.
  [[nodiscard]] Status load(const RocksFiles& files);

  // While a batch is written: what it does to rows, besides its changes themselves.
  class Writing {
   public:
    explicit Writing(RocksRows& rows) : rows_(rows) {}
    ~Writing();
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;
    // All of it is in the log.
    void done() { is_done_ = true; }

   private:
    friend class RocksRows;
    RocksRows& rows_;
    bool puts_ = false;  // a row by itself
    bool is_done_ = false;
    bool has_new_origins_ = false;
    std::unique_lock<Mutex> cohorts_;  // held where others must not write before
  };
  // All changes of the batch. `writing` lives until `out` is written.
  [[nodiscard]] Status put_all(const Batch& batch, const RocksFiles& files,
                               rocksdb::WriteBatch& out, Writing& writing);

  // Nothing: it is on disk or nowhere.
  [[nodiscard]] std::optional<std::string> row_of_cohort(std::string_view ns,
                                                         std::string_view canonical_id) const;
  // No row is on disk by itself. Who holds the lock of a document sees every put of its row.
  [[nodiscard]] bool none_by_itself() const { return puts_begun_ == puts_at_empty_; }
  // What is kept of a row by itself, as a row. Errors: kCorrupt.
  [[nodiscard]] Result<std::string> whole(std::string_view kept, const RocksFiles& files) const {
    return origins_.row(kept, files);
  }
  // What was put so far, if nothing is being put this moment; and that nothing of it is there.
  [[nodiscard]] std::optional<uint64_t> puts() const;
  void seen_empty(uint64_t puts) { puts_at_empty_ = puts; }

  // Cohorts of records up to `through` of their origin that are not kept; how many rows those were.
  [[nodiscard]] Result<size_t> drop(
      const RocksFiles& files, const std::function<Hlc(const Origin&)>& through,
      const std::function<bool(const Dot&, std::string_view ns)>& is_kept);
  [[nodiscard]] size_t rows_of_cohorts() const;

 private:
  Status put_cohort(const Batch::Change& change, const RocksFiles& files, rocksdb::WriteBatch& out,
                    bool& puts, bool& is_new) REQUIRES(mutex_);
  // A document with a row of its own, or without any, is in no cohort.
  Result<bool> note_left(std::string_view row_key, const RocksFiles& files,
                         rocksdb::WriteBatch& out) REQUIRES(mutex_);

  // Held until it is written that documents left their cohorts, that cohorts are dropped, or what
  // origin a new number is: what is written later must not be on disk without it.
  mutable Mutex mutex_;
  Cohorts cohorts_ GUARDED_BY(mutex_);
  RowOrigins origins_;  // has its own mutex

  // Puts of rows by themselves that were begun and that ended; and how many had begun when the
  // family was seen to be empty, with none under way.
  std::atomic<uint64_t> puts_begun_{0};
  std::atomic<uint64_t> puts_ended_{0};
  std::atomic<uint64_t> puts_at_empty_{UINT64_MAX};
};

}  // namespace outrigger::outbox
