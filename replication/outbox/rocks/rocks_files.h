// The files of an outbox while they are open: one RocksDB of the families of batch.h. It opens and
// checks them, and reads keys and ranges of keys. Of failures and of threads it knows nothing: who
// may use it when is for its owner to say (rocks_outbox.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/outbox/outbox.h"
#include "replication/outbox/rocks/rocks.h"

namespace outrigger::outbox {

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

class RocksFiles {
 public:
  // Opens or creates what is in `dir`, which exists. `env` outlives this. `held`: the last write
  // that is known to be on disk; where the log is damaged after it, it is cut there. Errors: as
  // RocksOutbox::open.
  [[nodiscard]] static Result<std::unique_ptr<RocksFiles>> open(
      const std::string& dir, const RocksOutboxOptions& options, rocksdb::Env& env,
      std::optional<uint64_t> held = std::nullopt);
  ~RocksFiles();
  RocksFiles(const RocksFiles&) = delete;
  RocksFiles& operator=(const RocksFiles&) = delete;

  [[nodiscard]] rocksdb::DB& db() const { return *db_; }
  [[nodiscard]] rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles_[static_cast<size_t>(family)];
  }
  [[nodiscard]] const std::string& dir() const { return dir_; }
  // Of the last write; each has a larger one than those before.
  [[nodiscard]] uint64_t last_write() const { return db_->GetLatestSequenceNumber(); }
  // What was there when they were opened.
  [[nodiscard]] const AllTotals& totals() const { return totals_; }

  [[nodiscard]] Result<Outbox::Bytes> get(Family family, std::string_view key) const;
  [[nodiscard]] Result<Outbox::Pairs> range(Family family, const Range& range) const;
  // Adds to a write of `batch` what it adds to the totals, which come back.
  [[nodiscard]] Result<AllTotals> add_totals(const Batch& batch, rocksdb::WriteBatch& out) const;

  [[nodiscard]] Error error(const rocksdb::Status& status, const std::string& step) const {
    return rocks_error(status, step, dir_);
  }

 private:
  explicit RocksFiles(std::string dir) : dir_(std::move(dir)) {}
  rocksdb::Status open_log(rocksdb::DBOptions rocks, const RocksOutboxOptions& options,
                           std::optional<uint64_t> held);
  rocksdb::Status open_writable(const rocksdb::DBOptions& rocks, const RocksOutboxOptions& options);
  void close();
  Status check_known_families(const rocksdb::DBOptions& rocks) const;
  Status check(const RocksOutboxOptions& options) const;
  Status check_format() const;
  Status read_totals();
  Result<std::optional<Totals>> read_totals(const std::string& key) const;
  Result<Share> count_ledger() const;

  const std::string dir_;
  rocksdb::DB* db_ = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // by Family, then the default one
  AllTotals totals_;
};

}  // namespace outrigger::outbox
