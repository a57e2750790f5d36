#include "replication/outbox/rocks/rocks.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <unordered_map>
#include <utility>

#include "replication/record/bytes.h"

namespace outrigger::outbox {
namespace {

constexpr uint64_t kLogBytesMax = 64u << 20;  // bounds what a start has to replay
constexpr size_t kOriginBytes = 24;           // what entries of one origin begin with
constexpr int kCacheShardBits = 2;            // 8 MiB each by default

// RocksDB's own log file aborts the process when the disk is full; these lines go to ours.
class HookLogger final : public rocksdb::Logger {
 public:
  explicit HookLogger(std::function<void(const std::string&)> hook)
      : rocksdb::Logger(rocksdb::InfoLogLevel::WARN_LEVEL), hook_(std::move(hook)) {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    if (!hook_) return;
    char line[1024];
    const int length = std::vsnprintf(line, sizeof line, format, arguments);
    if (length > 0) hook_(line);
  }

 private:
  const std::function<void(const std::string&)> hook_;
};

class AddTotals final : public rocksdb::AssociativeMergeOperator {
 public:
  bool Merge(const rocksdb::Slice&, const rocksdb::Slice* before, const rocksdb::Slice& added,
             std::string* sum, rocksdb::Logger*) const override {
    const auto a = before ? decode_totals(view(*before)) : Totals();
    const auto b = decode_totals(view(added));
    if (!a || !b) return false;  // RocksDB then reports corruption
    *sum = encode_totals({a->entries + b->entries, a->bytes + b->bytes});
    return true;
  }
  const char* Name() const override { return "outrigger.totals"; }
};

bool says(const std::string& text, const char* what) {
  return text.find(what) != std::string::npos;
}

}  // namespace

Share added_to(Family family, const Batch& batch, rocksdb::DB& db,
               rocksdb::ColumnFamilyHandle* handle) {
  std::unordered_map<std::string_view, Share> shares;  // of what it names, as it goes
  Share added;
  for (const Batch::Change& change : batch.changes()) {
    if (change.family != family) continue;
    if (change.removed_bytes) {  // of entries alone, like what is fresh
      added.all -= {1, static_cast<int64_t>(*change.removed_bytes)};
      continue;
    }
    Share after;
    if (!change.remove) after = share_of(family, change.key, change.bytes);
    if (change.fresh) {
      added.all += after.all;
      continue;
    }
    const auto [known, is_new] = shares.try_emplace(change.key);
    if (is_new) {
      rocksdb::PinnableSlice kept;
      const auto found = db.Get(rocksdb::ReadOptions(), handle, change.key, &kept);
      if (found.ok()) known->second = share_of(family, change.key, view(kept));
    }
    added.all += after.all;
    added.all -= known->second.all;
    added.open += after.open;
    added.open -= known->second.open;
    known->second = after;
  }
  return added;
}

rocksdb::DBOptions rocks_options(const RocksOutboxOptions& options) {
  rocksdb::DBOptions rocks;
  rocks.create_if_missing = true;
  rocks.create_missing_column_families = true;
  rocks.info_log = std::make_shared<HookLogger>(options.log);
  rocks.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  rocks.max_bgerror_resume_count = 0;  // it must not heal itself unseen
  rocks.max_total_wal_size = kLogBytesMax;
  rocks.db_write_buffer_size = kMemtablesBytes;
  rocks.max_background_jobs = 2;
  rocks.max_open_files = static_cast<int>(options.tables_open_max);
  rocks.stats_dump_period_sec = 0;
  rocks.stats_persist_period_sec = 0;
  rocks.skip_stats_update_on_db_open = true;
  return rocks;
}

std::vector<rocksdb::ColumnFamilyDescriptor> rocks_families(const RocksOutboxOptions& options) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes, kCacheShardBits);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  // Else each open table holds all of its index and filter, outside the cache: 50 MB of filters
  // alone for 40 million records. In parts, as the whole index of one table could fill a shard.
  table.cache_index_and_filter_blocks = true;
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.pin_top_level_index_and_filter = true;
  // Not pin_l0_...: a table of ascending records is moved down as it is, and would stay pinned.
  rocksdb::ColumnFamilyOptions family;
  family.compression = rocksdb::kLZ4Compression;
  family.write_buffer_size = options.memtable_bytes;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const char* name : kFamilyNames) families.emplace_back(name, family);
  const auto options_of = [&](Family of) -> rocksdb::ColumnFamilyOptions& {
    return families[static_cast<size_t>(of)].options;
  };
  options_of(Family::kMeta).merge_operator = std::make_shared<AddTotals>();
  // Stamps only grow: the place of the next is beside the last, no search needed.
  options_of(Family::kPrepares)
      .memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(1));
  options_of(Family::kEntries)
      .memtable_insert_with_hint_prefix_extractor.reset(
          rocksdb::NewFixedPrefixTransform(kOriginBytes));
  // Not for cohorts: ranges of them are deleted, and RocksDB would mix up the hints of both.
  // Asked for by every retryable statement, and by every insert; almost never there.
  for (const Family of : {Family::kRetries, Family::kVersions}) {
    options_of(of).memtable_whole_key_filtering = true;
    options_of(of).memtable_prefix_bloom_size_ratio = 0.05;
  }
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, family);
  return families;
}

Error rocks_error(const rocksdb::Status& status, const std::string& step, const std::string& dir) {
  Error error{ErrorCode::kIo, step, dir, status.ToString(), {}};
  if (status.IsCorruption()) {
    error.code = ErrorCode::kCorrupt;
    error.hint = "the files are damaged; restore this data_dir, or clear it and join anew";
  } else if (status.IsNoSpace()) {
    error.code = ErrorCode::kNoSpace;
    error.hint = "free space on the disk; writes are refused until then";
  } else if (status.IsIOError() && (says(error.reason, "lock hold by current process") ||
                                    says(error.reason, "While lock file"))) {
    error.code = ErrorCode::kUnavailable;
    error.reason = "another outrigger uses this data_dir";
    error.hint = "stop the other one, or give this one a data_dir of its own";
  }
  return error;
}

}  // namespace outrigger::outbox
