// What has been seen: per origin, everything up to a stamp, with no gap. Because each origin is one
// writer with a gap-free log, a plain vector suffices (no dotted version vectors, no per-document
// vectors). Vectors are small (members x recent epochs), so a sorted array beats a map.
#pragma once

#include <utility>
#include <vector>

#include "replication/stamp.h"

namespace outrigger {

class VersionVector {
 public:
  using Entry = std::pair<Origin, Hlc>;

  [[nodiscard]] Hlc get(const Origin& origin) const;  // 0 when nothing of it was seen
  // Raises the entry to `hlc`; a smaller value changes nothing.
  void raise(const Origin& origin, Hlc hlc);
  void raise(const VersionVector& other);  // entry-wise maximum
  void erase(const Origin& origin);
  // Does "everything up to get(dot.origin)" include this commit? Stamp zero is always covered.
  [[nodiscard]] bool covers(const Dot& dot) const {
    return dot.is_zero() || get(dot.origin) >= dot.hlc;
  }
  // Is every entry of `other` at or below ours?
  [[nodiscard]] bool includes(const VersionVector& other) const;
  // Entry-wise minimum; an origin missing on either side is missing in the result.
  [[nodiscard]] static VersionVector minimum(const VersionVector& a, const VersionVector& b);
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }  // sorted by origin
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  friend bool operator==(const VersionVector&, const VersionVector&) = default;

 private:
  std::vector<Entry> entries_;  // sorted by origin, no zero stamps
};

}  // namespace outrigger
