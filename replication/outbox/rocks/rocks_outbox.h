// The sidecar's durable state: one RocksDB, one write-ahead log, so that a record, its version
// change, its ledger entries and the end of its prepare are one atomic write.
//
// Families, keys and values: FORMATS.md. Keys of meta that begin with 0x00 are the outbox's own:
// the version of all this, and how much is in entries and in the ledger.
//
// Writes go to the page cache and are on disk after the next sync(), which the commit thread calls
// (a killed process loses nothing, a power cut at most what no sync covered). After any failed
// write or sync the log is not trusted: the first error fails all writes from then on. Reads go on
// until heals() has found that the files can be used again, and then all fail: what was written but
// not synced may have come back with them, and whoever tried to write it does not know. Only who
// opens the outbox anew, and has read all from it, may go on.
//
// At open a torn end of the log is cut; damage anywhere else refuses to open and says so.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/limits.h"
#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/causality/stamp.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/cohorts.h"
#include "replication/outbox/commit_thread.h"
#include "replication/outbox/outbox.h"

namespace rocksdb {
class DB;
class ColumnFamilyHandle;
class Env;
class FileSystem;
class WriteBatch;
}  // namespace rocksdb

namespace outrigger::outbox {

struct Totals;  // rocks.h

inline constexpr int kFormatVersion = 1;

struct RocksOutboxOptions {
  uint64_t bytes_max = 10ULL << 30;   // of entries kept: admit() says kNoSpace above it
  size_t memtable_bytes = 16u << 20;  // of each column family
  size_t block_cache_bytes = limits::kBlockCacheBytes;
  size_t cohort_bytes = limits::kCohortsBytes;
  uint64_t tables_open_max = limits::kTablesOpenMax;  // descriptors are dealt out at start
  // At open every block of every table is checked when they are no more than this; beyond, blocks
  // are checked when they are read (a start must not take minutes).
  uint64_t verify_bytes_max = 1ULL << 30;
  // RocksDB's own warnings and errors, one line each; from its threads.
  std::function<void(const std::string&)> log;
  // Where the files are; null: on this machine's disks. For tests of what no disk does on demand.
  std::shared_ptr<rocksdb::FileSystem> files;
};

// Thread-safe; heals() excludes everyone by itself.
class RocksOutbox final : public Outbox {
 public:
  // Opens or creates `dir` (0700, parents too). Errors: kUnavailable (another process has it),
  // kUnsupported (written by another version), kCorrupt (damage, with RocksDB's words), kNoSpace,
  // kIo.
  [[nodiscard]] static Result<std::unique_ptr<RocksOutbox>> open(const std::string& dir,
                                                                 RocksOutboxOptions options = {});
  ~RocksOutbox() override;

  // Into the page cache, atomically; visible to reads at once. Not synced.
  [[nodiscard]] Status write(Batch&& batch) override;
  // Everything written before is on disk when this returns. For the commit thread.
  [[nodiscard]] Status sync() override;
  // May a new write begin? The first failure, or kNoSpace when the entries kept exceed the quota.
  [[nodiscard]] Status admit() const override;
  [[nodiscard]] std::optional<Error> failure() const override;
  // Of an outbox that has failed: closes the files, opens and verifies them once, and leaves them
  // closed. On success another may be opened in its place; on failure call again.
  [[nodiscard]] Status heals();

  // ---- reads: an absent key is nullopt, not an error
  [[nodiscard]] Result<Bytes> row(std::string_view ns,
                                  std::string_view canonical_id) const override;
  [[nodiscard]] Result<Bytes> entry(const Origin& origin, Hlc hlc) const override;
  [[nodiscard]] Result<Bytes> retry(std::string_view key) const override;
  [[nodiscard]] Result<Bytes> meta(std::string_view key) const override;
  [[nodiscard]] Result<Bytes> ledger(std::string_view key) const override;

  // Records of `origin` in (after, through], ascending, until their bytes reach bytes_max; at least
  // one if there is one.
  [[nodiscard]] Result<Entries> read_entries(const Origin& origin, Hlc after, Hlc through,
                                             size_t bytes_max) const override;
  // Origins of which at least one record is kept, ascending.
  [[nodiscard]] Result<std::vector<Origin>> origins() const override;
  [[nodiscard]] Result<Hlc> first_entry(const Origin& origin) const override;  // 0: none kept
  [[nodiscard]] Result<Hlc> last_entry(const Origin& origin) const override;   // 0: none kept
  // All prepares, in stamp order.
  [[nodiscard]] Result<Entries> scan_prepares() const override;
  // Of the ledger, newest first: key, bytes.
  [[nodiscard]] Result<Pairs> latest_ledger(const LedgerRange& range) const override;
  // The same from the key `from` on, oldest first, until their bytes reach bytes_max; at least one
  // if there is one.
  [[nodiscard]] Result<Pairs> oldest_ledger(std::string_view from, size_t count,
                                            size_t bytes_max) const override;
  [[nodiscard]] Result<Bytes> first_ledger_key(std::string_view from) const override;
  [[nodiscard]] Result<Pairs> scan_meta(std::string_view prefix) const override;

  // Scans that stop and go on: `cursor` empty starts; the result is the cursor for the next call,
  // empty at the end. At most `count` items a call. Rows written in between may or may not be seen.
  // `visit` may use the outbox.
  [[nodiscard]] Result<std::string> scan_rows(std::string_view cursor, size_t count,
                                              const RowVisitor& visit) const override;
  [[nodiscard]] Result<std::string> scan_retries(std::string_view cursor, size_t count,
                                                 const PairVisitor& visit) const override;

  [[nodiscard]] Result<size_t> drop_cohorts(
      const std::function<Hlc(const Origin&)>& through) override;
  [[nodiscard]] size_t cohort_rows() const override;

  // Exact, also across crashes, without ever scanning a backlog.
  [[nodiscard]] Usage usage() const override;
  [[nodiscard]] const std::string& dir() const { return dir_; }

 private:
  RocksOutbox(std::string dir, RocksOutboxOptions options);
  Status open_files() REQUIRES(files_mutex_);
  Status check_files() REQUIRES(files_mutex_);
  Status check_format() REQUIRES(files_mutex_);
  void close_files() REQUIRES(files_mutex_);
  Status read_totals() REQUIRES(files_mutex_);
  Result<std::optional<Totals>> read_totals(const std::string& key) const REQUIRES(files_mutex_);
  Result<Totals> count_ledger() const REQUIRES(files_mutex_);

  // ---- rocks_outbox_cohorts.cc
  Status load_cohorts() REQUIRES(files_mutex_);
  // What a batch does to rows, besides its changes themselves.
  struct RowChanges {
    bool puts = false;                // a row by itself
    std::unique_lock<Mutex> cohorts;  // held where a document leaves one
  };
  Status put_all(const Batch& batch, rocksdb::WriteBatch& out, RowChanges& rows)
      REQUIRES_SHARED(files_mutex_);
  Status put_cohort(const Batch::Change& change, rocksdb::WriteBatch& out, RowChanges& rows)
      REQUIRES_SHARED(files_mutex_) REQUIRES(cohorts_mutex_);
  // A document with a row of its own, or without any, is in no cohort.
  Result<bool> note_left(std::string_view row_key, rocksdb::WriteBatch& out)
      REQUIRES_SHARED(files_mutex_) REQUIRES(cohorts_mutex_);

  Status mark_failed(Error error);
  void on_log_failed(const Error& error);
  Status unusable() const;  // why there is no db_

  // Keys in [from, below) of one family; an empty bound is none.
  struct Range {
    std::string from;
    std::string below;
    size_t skip = 0;
    size_t count = SIZE_MAX;
    size_t bytes_max = SIZE_MAX;  // of values; the first comes in any case
    bool newest_first = false;
    bool keys_only = false;
  };
  Result<Pairs> range(Family family, const Range& range) const;
  Result<Bytes> get(Family family, std::string_view key) const;
  Result<std::string> scan(Family family, std::string_view cursor, size_t count,
                           const PairVisitor& visit) const;
  Result<Hlc> edge_entry(const Origin& origin, bool newest) const;
  static Result<Entries> stamped(Result<Pairs>&& pairs);
  rocksdb::ColumnFamilyHandle* handle(Family family) const REQUIRES_SHARED(files_mutex_) {
    return handles_[static_cast<size_t>(family)];
  }

  const std::string dir_;
  const RocksOutboxOptions options_;
  const std::unique_ptr<rocksdb::Env> env_;  // whose logs tell when they fail

  mutable SharedMutex files_mutex_;  // shared: uses db_; exclusive: heals
  Mutex sync_mutex_;                 // taken after files_mutex_; who syncs has it
  rocksdb::DB* db_ GUARDED_BY(files_mutex_) = nullptr;
  // By Family, then the default one.
  std::vector<rocksdb::ColumnFamilyHandle*> handles_ GUARDED_BY(files_mutex_);

  // Is there any row but those of cohorts? Puts that were begun and those that ended; and how many
  // had begun when the family was seen to be empty, with none under way. Who holds the lock of a
  // document sees every put of its row counted here.
  std::atomic<uint64_t> row_puts_begun_{0};
  std::atomic<uint64_t> row_puts_ended_{0};
  mutable std::atomic<uint64_t> row_puts_at_empty_{UINT64_MAX};

  // Taken after files_mutex_. Held until it is written that documents left their cohorts, or that
  // cohorts are dropped: what is written later must not be on disk without it.
  mutable Mutex cohorts_mutex_;
  Cohorts cohorts_ GUARDED_BY(cohorts_mutex_);

  mutable Mutex failure_mutex_;
  std::atomic<bool> has_failed_{false};
  std::atomic<bool> is_shut_{false};  // by heals(), for good
  std::optional<Error> failure_ GUARDED_BY(failure_mutex_);

  std::atomic<int64_t> entries_{0};
  std::atomic<int64_t> entries_bytes_{0};
  std::atomic<int64_t> ledger_{0};
  std::atomic<int64_t> ledger_bytes_{0};
};

}  // namespace outrigger::outbox
