// How RocksDB is set up here, and how its errors become ours. Not for who uses the outbox.
#pragma once

#include <rocksdb/db.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/limits.h"
#include "config/result.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/rocks/rocks_options.h"
#include "replication/outbox/rocks/totals.h"

namespace outrigger::outbox {

// Of all families; under the key 0x00 "format" of meta.
inline constexpr int kFormatVersion = 2;  // what 1 wrote can be read

inline constexpr const char* kFamilyNames[kFamilies] = {"prepares", "entries", "versions", "ledger",
                                                        "retries",  "meta",    "cohorts"};

// What is kept in memory does not grow with what is kept on disk, whatever piles up while a peer is
// away: a record or row that was written out costs nothing but its share of the cache.
//   memtables   kMemtablesBytes, all families together; were the disk too slow to take them, two of
//               RocksOutboxOptions::memtable_bytes a family, where writers are made to wait
//   cohorts     RocksOutboxOptions::cohort_bytes
//   block cache RocksOutboxOptions::block_cache_bytes: data, and the indexes and filters (10 bits a
//               key) of all tables; a part of an index or filter is read again when it was evicted
//   a table     some KiB for its reader, and its file stays open; tables grow to 64 MiB, so a full
//               quota of 10 GiB is about 160 of them
using limits::kMemtablesBytes;

[[nodiscard]] rocksdb::DBOptions rocks_options(const RocksOutboxOptions& options);
// One per Family, then RocksDB's own "default", which holds nothing.
[[nodiscard]] std::vector<rocksdb::ColumnFamilyDescriptor> rocks_families(
    const RocksOutboxOptions& options);

// What the batch adds to what is in one family, `handle` (negative: removes).
[[nodiscard]] Share added_to(Family family, const Batch& batch, rocksdb::DB& db,
                             rocksdb::ColumnFamilyHandle* handle);

// Of a status that is not ok.
[[nodiscard]] Error rocks_error(const rocksdb::Status& status, const std::string& step,
                                const std::string& dir);

inline rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline std::string_view view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

}  // namespace outrigger::outbox
