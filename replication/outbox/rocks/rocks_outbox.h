// The sidecar's durable state: one RocksDB, one write-ahead log, so that a record, its version
// change, its ledger entries and the end of its prepare are one atomic write.
//
// What its methods promise says the port, outbox.h. Keys of meta that begin with 0x00 are the
// outbox's own: the version of all this, and how much is in entries and in the ledger.
//
// Writes go to the page cache. Once it has failed, reads go on until heals() has found that the
// files can be used again, and then all fail. What was written but not synced, and what could not
// be written, is there then (unsynced_batches.h), although whoever wrote it was told of an error;
// but no prepare that could not be written, as its write was never sent.
//
// At open a torn end of the log is cut; damage anywhere else refuses to open and says so. heals()
// cuts it also where the damage is beyond what a sync covered: what was there is in memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/causality/stamp.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/commit_thread.h"
#include "replication/outbox/outbox.h"
#include "replication/outbox/rocks/rocks_options.h"
#include "replication/outbox/rocks/totals.h"
#include "replication/outbox/unsynced_batches.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace outrigger::outbox {

class RocksFiles;
class RocksRows;
struct Range;  // rocks_files.h

// Thread-safe; heals() excludes everyone by itself.
class RocksOutbox final : public Outbox {
 public:
  // Opens or creates `dir` (0700, parents too). Errors: kUnavailable (another process has it),
  // kUnsupported (written by another version), kCorrupt (damage, with RocksDB's words), kNoSpace,
  // kIo.
  [[nodiscard]] static Result<std::unique_ptr<RocksOutbox>> open(const std::string& dir,
                                                                 RocksOutboxOptions options = {});
  ~RocksOutbox() override;

  [[nodiscard]] Status write(Batch&& batch) override;
  [[nodiscard]] Status sync() override;
  [[nodiscard]] Status admit() const override;
  [[nodiscard]] uint64_t room() const override;
  [[nodiscard]] std::optional<Error> failure() const override;
  // Of an outbox that has failed: closes the files, opens and verifies them once, writes again what
  // no sync had covered, and leaves them closed. On success another may be opened in its place; on
  // failure call again.
  [[nodiscard]] Status heals() override;

  [[nodiscard]] Result<Bytes> row(std::string_view ns,
                                  std::string_view canonical_id) const override;
  [[nodiscard]] Result<Bytes> entry(const Origin& origin, Hlc hlc) const override;
  [[nodiscard]] Result<Bytes> retry(std::string_view key) const override;
  [[nodiscard]] Result<Bytes> meta(std::string_view key) const override;
  [[nodiscard]] Result<Bytes> ledger(std::string_view key) const override;
  [[nodiscard]] Result<Entries> read_entries(const Origin& origin, Hlc after, Hlc through,
                                             size_t bytes_max) const override;
  [[nodiscard]] Result<std::vector<Origin>> origins() const override;
  [[nodiscard]] Result<Hlc> first_entry(const Origin& origin) const override;
  [[nodiscard]] Result<Hlc> last_entry(const Origin& origin) const override;
  [[nodiscard]] Result<Entries> scan_prepares() const override;
  [[nodiscard]] Result<Pairs> latest_ledger(const LedgerRange& range) const override;
  [[nodiscard]] Result<Pairs> oldest_ledger(std::string_view from, size_t count,
                                            size_t bytes_max) const override;
  [[nodiscard]] Result<Bytes> first_ledger_key(std::string_view from) const override;
  [[nodiscard]] Result<Pairs> scan_meta(std::string_view prefix) const override;
  [[nodiscard]] Result<std::string> scan_rows(std::string_view cursor, size_t count,
                                              const RowVisitor& visit) const override;
  [[nodiscard]] Result<std::string> scan_retries(std::string_view cursor, size_t count,
                                                 const PairVisitor& visit) const override;
  [[nodiscard]] Result<size_t> drop_cohorts(
      const std::function<Hlc(const Origin&)>& through,
      const std::function<bool(const Dot&, std::string_view ns)>& is_kept) override;
  [[nodiscard]] size_t cohort_rows() const override;
  [[nodiscard]] Usage usage() const override;

  [[nodiscard]] const std::string& dir() const { return dir_; }
  // Memory of what is kept until a sync has covered it.
  [[nodiscard]] size_t unsynced_bytes() const { return unsynced_.bytes(); }

 private:
  RocksOutbox(std::string dir, RocksOutboxOptions options);
  Status open_files(std::optional<uint64_t> held = std::nullopt) REQUIRES(files_mutex_);
  Status write_unsynced(Batch&& batch);
  Status put(const Batch& batch) REQUIRES_SHARED(files_mutex_);
  Status write_again() REQUIRES(files_mutex_);
  Status mark_failed(Error error);
  void wait_for_syncs();
  Status unusable() const;  // why there are no files_

  Result<Pairs> range(Family family, const Range& range) const;
  Result<Bytes> get(Family family, std::string_view key) const;
  Result<std::string> scan(Family family, std::string_view cursor, size_t count,
                           const PairVisitor& visit) const;
  Result<Pairs> range_of_rows(std::string_view cursor, size_t count) const;
  Result<Hlc> edge_entry(const Origin& origin, bool newest) const;
  static Result<Entries> stamped(Result<Pairs>&& pairs);

  const std::string dir_;
  const RocksOutboxOptions options_;
  const std::unique_ptr<rocksdb::Env> env_;  // whose logs tell when they fail

  mutable SharedMutex files_mutex_;  // shared: uses files_; exclusive: heals
  Mutex sync_mutex_;                 // taken after files_mutex_; who syncs has it
  std::unique_ptr<RocksFiles> files_ GUARDED_BY(files_mutex_);  // null: closed
  const std::unique_ptr<RocksRows> rows_;                       // of files_; has its own mutex
  UnsyncedBatches unsynced_;
  std::atomic<uint64_t> held_{0};  // the last write that a sync has covered

  mutable Mutex failure_mutex_;
  std::atomic<bool> has_failed_{false};
  std::atomic<bool> is_shut_{false};  // by heals(), for good
  std::optional<Error> failure_ GUARDED_BY(failure_mutex_);

  RunningTotals totals_;
};

}  // namespace outrigger::outbox
