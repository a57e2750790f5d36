// Stamps in the bytes of a row. Their origins stand once in a table, sorted, and their times are
// counted from the newest of them: most take two bytes. FORMATS.md, section 5.
//
// Every type writes its state with these.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "replication/causality/stamp.h"
#include "replication/causality/version_vector.h"
#include "replication/record/bytes.h"

namespace outrigger::merge {

class Inside;

struct RowOut : ByteWriter {
  std::vector<Origin> origins;  // sorted
  Hlc newest = 0;

  void hlc(Hlc at) { varint(zigzag(static_cast<int64_t>(at - newest))); }
  // Of one in the table.
  [[nodiscard]] uint64_t index_of(const Origin& origin) const {
    const auto at = std::lower_bound(origins.begin(), origins.end(), origin);
    return static_cast<uint64_t>(at - origins.begin());
  }
  // Of an origin in the table, or zero.
  void dot(const Dot& dot) {
    if (dot.is_zero()) return varint(0);
    varint(index_of(dot.origin) + 1);
    hlc(dot.hlc);
  }
  void newest_dots(const VersionVector& all) {
    varint(all.entries().size());
    for (const auto& [origin, at] : all.entries()) dot({at, origin});
  }
};

struct RowIn : ByteReader {
  explicit RowIn(std::string_view row) : ByteReader(row, "row") {}

  std::vector<Origin> origins;
  Hlc newest = 0;
  // Reads what stands in an element; null: there is none in such a row.
  std::shared_ptr<const Inside> (*inside)(RowIn& in) = nullptr;

  // How many items follow that take at least a byte each.
  size_t items() { return count(SIZE_MAX, 1); }
  Hlc hlc() {
    const Hlc at = newest + static_cast<Hlc>(unzigzag(varint()));
    if (at == 0) fail("stamp of zero");
    return at;
  }
  Dot dot() {
    const uint64_t index = varint();
    if (index == 0 || !ok()) return {};
    if (index > origins.size()) {
      fail("unknown origin");
      return {};
    }
    const Hlc at = hlc();
    return Dot{at, origins[index - 1]};
  }
  VersionVector newest_dots() {
    VersionVector all;
    for (size_t n = items(); n > 0 && ok(); --n) {
      const Dot each = dot();
      if (each.is_zero()) fail("stamp of zero");
      all.raise(each.origin, each.hlc);
    }
    return all;
  }
};

}  // namespace outrigger::merge
