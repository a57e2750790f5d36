// How much there is of the records kept and of the ledger: each total an item of meta to which
// every batch adds its share (a merge, in RocksDB's words). So they are exact across crashes, and
// known at open without a scan.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "replication/outbox/batch.h"

namespace outrigger::outbox {

struct Totals {
  int64_t entries = 0;
  int64_t bytes = 0;
  Totals& operator+=(const Totals& more);
  Totals& operator-=(const Totals& less);
};
[[nodiscard]] std::string encode_totals(const Totals& totals);
[[nodiscard]] std::optional<Totals> decode_totals(std::string_view bytes);

// Of one family; what is open, of the ledger alone (open_share()).
struct Share {
  Totals all;
  Totals open;
};
// What stands under one key.
[[nodiscard]] Share share_of(Family family, std::string_view key, std::string_view value);

struct AllTotals {
  Totals entries;
  Share ledger;
};

// As batches change them. Thread-safe.
class RunningTotals {
 public:
  void start(const AllTotals& totals);
  void add(const AllTotals& more);
  [[nodiscard]] Usage usage() const;
  [[nodiscard]] int64_t entries_bytes() const { return counts_[1]; }

 private:
  std::array<std::atomic<int64_t>, 6> counts_{};  // of AllTotals, in its order
};

}  // namespace outrigger::outbox
