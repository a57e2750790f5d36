// Which documents have a local write that is settled, but not on disk yet as settled.
//
// The problem: a write that mongod cannot tell from others (no session number of its own) is judged
// after a crash by what its document shows. That is exact as long as it is the last write to the
// document that the store may hold. A killed process keeps that order, since what it appended is in
// the page cache; a power loss does not: the prepare of the first write may be on disk, while its
// settling, and all there was of a second one, is not. So whoever writes to a document next asks
// here first, and waits for the sync before the command goes out.
//
// The idea: documents are not listed, they share a fixed number of slots by hash. A slot remembers
// the append that settled a write there last; once a later sync has ended, it counts for nothing.
// Two documents in one slot only mean a wait that was not needed. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>

namespace outrigger {

class UnsyncedDocuments {
 public:
  using Slot = uint16_t;
  static constexpr size_t kSlots = 4096;

  [[nodiscard]] static Slot slot_of(std::string_view ns, std::string_view canonical_id) {
    const std::hash<std::string_view> hash;
    return static_cast<Slot>((hash(ns) * 31 + hash(canonical_id)) % kSlots);
  }

  // A write was settled by append number `append` (counted from 1).
  void settled(Slot slot, uint64_t append, bool by_content) {
    slots_[slot].last = append;
    if (by_content) slots_[slot].by_content = append;
  }
  // Appends up to this one are on disk.
  void synced(uint64_t append) { synced_ = append > synced_ ? append : synced_; }

  // Is any write to it not on disk yet? Any that can be judged by looking only?
  [[nodiscard]] bool has_any(Slot slot) const { return slots_[slot].last > synced_; }
  [[nodiscard]] bool has_recoverable_by_content(Slot slot) const {
    return slots_[slot].by_content > synced_;
  }

 private:
  struct Last {
    uint64_t last = 0;
    uint64_t by_content = 0;
  };
  std::array<Last, kSlots> slots_{};
  uint64_t synced_ = 0;
};

}  // namespace outrigger
