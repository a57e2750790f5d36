// How RocksDB is set up here, and how its errors become ours. Included by database*.cc only.
#pragma once

#include <rocksdb/db.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/database.h"

namespace outrigger::outbox {

inline constexpr const char* kFamilyNames[kFamilies] = {"prepares", "entries", "versions",
                                                        "ledger",   "retries", "meta"};

[[nodiscard]] rocksdb::DBOptions rocks_options(const DatabaseOptions& options);
// One per Family, then RocksDB's own "default", which holds nothing.
[[nodiscard]] std::vector<rocksdb::ColumnFamilyDescriptor> rocks_families(
    const DatabaseOptions& options);

// Running totals of the records kept, held in meta as an item to which every batch adds its share
// (a merge, in RocksDB's words): exact across crashes, and known at open without a scan.
struct Totals {
  int64_t entries = 0;
  int64_t bytes = 0;
};
[[nodiscard]] std::string encode_totals(const Totals& totals);
[[nodiscard]] std::optional<Totals> decode_totals(std::string_view bytes);

// Of a status that is not ok.
[[nodiscard]] Error rocks_error(const rocksdb::Status& status, const std::string& step,
                                const std::string& dir);

inline rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline std::string_view view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

}  // namespace outrigger::outbox
