#include "replication/outbox/rocks/row_origins.h"

#include <rocksdb/write_batch.h>

#include "config/result.h"
#include "replication/merge/row.h"
#include "replication/record/bytes.h"

namespace outrigger::outbox {
namespace {

constexpr uint8_t kNumbered = 0x80;  // in the first byte of a row: it names origins by numbers
constexpr std::string_view kPrefix("\0origin", 7);

std::string key_of(uint32_t number) {
  ByteWriter out;
  out.raw(kPrefix);
  out.u32_be(number);
  return out.take();
}

}  // namespace

std::string kept_row(std::string_view row,
                     const std::function<uint32_t(std::string_view origin)>& number) {
  OUTRIGGER_ASSERT(row.empty() || (static_cast<uint8_t>(row.front()) & kNumbered) == 0);
  const auto origins = merge::origins_in_row(row);
  if (!origins || row.size() < origins->begin + origins->count * merge::kOriginBytes) {
    return std::string(row);
  }
  ByteWriter kept;
  kept.u8(static_cast<uint8_t>(row.front()) | kNumbered);
  kept.raw(row.substr(1, origins->begin - 1));
  for (size_t i = 0; i < origins->count; ++i) {
    kept.varint(number(row.substr(origins->begin + i * merge::kOriginBytes, merge::kOriginBytes)));
  }
  kept.raw(row.substr(origins->begin + origins->count * merge::kOriginBytes));
  return kept.take();
}

std::optional<std::string> row_of_kept(
    std::string_view kept,
    const std::function<std::optional<std::string_view>(uint64_t number)>& origin) {
  if (kept.empty() || (static_cast<uint8_t>(kept.front()) & kNumbered) == 0) {
    return std::string(kept);
  }
  std::string row(kept);
  row.front() = static_cast<char>(static_cast<uint8_t>(row.front()) & ~kNumbered);
  const auto origins = merge::origins_in_row(row);
  if (!origins) return std::string(kept);
  ByteReader in(std::string_view(row).substr(origins->begin), "row");
  ByteWriter whole;
  whole.raw(std::string_view(row).substr(0, origins->begin));
  for (size_t i = 0; i < origins->count; ++i) {
    const auto named = origin(in.varint());
    if (!in.ok() || !named) return std::nullopt;
    whole.raw(*named);
  }
  whole.raw(in.raw(in.left()));
  return whole.take();
}

Status RowOrigins::load(const RocksFiles& files) {
  const WriterLock lock(mutex_);
  by_number_.clear();
  numbers_.clear();
  Range all;
  all.from = kPrefix;
  all.below = std::string(kPrefix.substr(0, kPrefix.size() - 1)) + 'o';
  const auto found = files.range(Family::kMeta, all);
  if (!found) return tl::unexpected(found.error());
  for (const auto& [key, bytes] : *found) {
    const auto number = static_cast<uint32_t>(by_number_.size());
    if (key != key_of(number) || bytes.size() != merge::kOriginBytes) {
      return fail(ErrorCode::kCorrupt, "open outbox", files.dir(), "origins of rows are missing",
                  "restore the data directory");
    }
    by_number_.push_back(bytes);
    numbers_.emplace(bytes, number);
  }
  written_ = by_number_.size();
  return {};
}

RowOrigins::Kept RowOrigins::kept(std::string_view row, const RocksFiles& files,
                                  rocksdb::WriteBatch& out) {
  const WriterLock lock(mutex_);
  Kept kept;
  const auto number_of = [&](std::string_view origin) REQUIRES(mutex_) {
    const auto at = numbers_.find(origin);
    if (at != numbers_.end()) return at->second;
    const auto number = static_cast<uint32_t>(by_number_.size());
    by_number_.emplace_back(origin);
    numbers_.emplace(origin, number);
    // It fails for want of memory alone.
    (void)out.Put(files.handle(Family::kMeta), key_of(number), by_number_.back());
    kept.is_new = true;
    return number;
  };
  kept.bytes = kept_row(row, number_of);
  return kept;
}

void RowOrigins::written(bool is_written) {
  const WriterLock lock(mutex_);
  if (is_written) written_ = by_number_.size();
  while (by_number_.size() > written_) {
    numbers_.erase(by_number_.back());
    by_number_.pop_back();
  }
}

Result<std::string> RowOrigins::row(std::string_view kept, const RocksFiles& files) const {
  const ReaderLock lock(mutex_);
  const auto origin_of = [&](uint64_t number)
                             REQUIRES_SHARED(mutex_) -> std::optional<std::string_view> {
    if (number >= by_number_.size()) return std::nullopt;
    return by_number_[number];
  };
  auto row = row_of_kept(kept, origin_of);
  if (row) return *std::move(row);
  return fail(ErrorCode::kCorrupt, "read a row", files.dir(), "it names an unknown origin",
              "restore the data directory");
}

}  // namespace outrigger::outbox
