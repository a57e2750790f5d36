// The origins that rows name, as numbers.
//
// The problem: an origin, a site and a run of it, takes 24 bytes, and each row names one at least:
// of a document with one changed field that is half of its row. The idea: each origin that was ever
// put in a row has a number, by which rows on disk name it. Numbers are given once and for all; a
// run of a site costs 24 bytes of memory for that.
//
// What number means what is written with the first row that has it, before any other such row: so
// of what a crash leaves of the log, every row can be read. FORMATS.md, section 2.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/causality/stamp.h"
#include "replication/outbox/rocks/rocks_files.h"

namespace outrigger::outbox {

// A row as it is kept. Bytes that are no row, or one without origins, stay as they are; the first
// of them is below 0x80, as that of each row is.
[[nodiscard]] std::string kept_row(std::string_view row,
                                   const std::function<uint32_t(std::string_view origin)>& number);
// What was kept, as a row. Nothing: it names what has no number.
[[nodiscard]] std::optional<std::string> row_of_kept(
    std::string_view kept,
    const std::function<std::optional<std::string_view>(uint64_t number)>& origin);

// Thread-safe. The files that are handed in are open, and no other in the same moment.
class RowOrigins {
 public:
  // Of files just opened.
  [[nodiscard]] Status load(const RocksFiles& files);

  // `out` gets what the new numbers of a row mean. True: there are some, and nobody else may write
  // until `out` is written.
  struct Kept {
    std::string bytes;
    bool is_new = false;
  };
  [[nodiscard]] Kept kept(std::string_view row, const RocksFiles& files, rocksdb::WriteBatch& out);
  // `out` is written, or is not and will not be: then numbers that are new in it are given again.
  void written(bool is_written);
  // What was kept, as a row. Errors: kCorrupt.
  [[nodiscard]] Result<std::string> row(std::string_view kept, const RocksFiles& files) const;

 private:
  mutable SharedMutex mutex_;
  std::vector<std::string> by_number_ GUARDED_BY(mutex_);  // their bytes
  std::map<std::string, uint32_t, std::less<>> numbers_ GUARDED_BY(mutex_);
  size_t written_ GUARDED_BY(mutex_) = 0;  // so many of them
};

}  // namespace outrigger::outbox
