// What has been seen: per origin, everything up to a stamp, with no gap. Because each origin is one
// writer with a gap-free log, a plain vector suffices (no dotted version vectors, no per-document
// vectors). Vectors are small (members x recent epochs), so a sorted array beats a map.
//
// A site has a new epoch at every start, and records name vectors, so old epochs must go. Once
// every member has all records of some, the site retires them (record.h): one entry under the
// epoch kRetired takes their place, a watermark that no stamp of theirs lies beyond and all stamps
// of later epochs do. An epoch without an entry reads as the watermark: a retired one as wholly
// seen, a new one as not seen at all, since its stamps are larger.
#pragma once

#include <utility>
#include <vector>

#include "replication/causality/stamp.h"

namespace outrigger {

class VersionVector {
 public:
  using Entry = std::pair<Origin, Hlc>;

  [[nodiscard]] static Origin retired_of(const SiteId& site) { return {site, kRetired}; }

  // 0 when nothing of it was seen.
  [[nodiscard]] Hlc get(const Origin& origin) const;
  // The entry of this very origin, 0 when there is none: the stamp of a record, never a watermark.
  [[nodiscard]] Hlc at(const Origin& origin) const;
  // Raises the entry to `hlc`; a smaller value changes nothing, nor does one the watermark covers.
  // Raising a watermark takes away the entries it covers.
  void raise(const Origin& origin, Hlc hlc);
  void raise(const VersionVector& other);  // entry-wise maximum
  void erase(const Origin& origin);
  // Does "everything up to get(dot.origin)" include this commit? Stamp zero is always covered.
  [[nodiscard]] bool covers(const Dot& dot) const {
    return dot.is_zero() || get(dot.origin) >= dot.hlc;
  }
  // Is every entry of `other` at or below ours?
  [[nodiscard]] bool includes(const VersionVector& other) const;
  // Entry-wise minimum; an origin not seen on either side is missing in the result.
  [[nodiscard]] static VersionVector minimum(const VersionVector& a, const VersionVector& b);
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }  // sorted by origin
  [[nodiscard]] size_t entries_of(const SiteId& site) const;
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  friend bool operator==(const VersionVector&, const VersionVector&) = default;

 private:
  std::vector<Entry> entries_;  // sorted by origin, no zero stamps, none a watermark covers
};

}  // namespace outrigger
