// Maps by path in the bytes of a row: paths share their beginnings. FORMATS.md, section 5.
#pragma once

#include <utility>

#include "replication/merge/types/row_stamps.h"
#include "replication/record/path.h"

namespace outrigger::merge {

inline void write_path(RowOut& out, const Path& path, size_t shared = 0) {
  out.varint(path.size() - shared);
  for (size_t i = shared; i < path.size(); ++i) out.bytes(path[i]);
}

// Calls item(what) to write what stands at each path.
template <typename Map, typename Item>
void write_map(RowOut& out, const Map& map, const Item& item) {
  static const Path kRoot;
  out.varint(map.size());
  const Path* before = &kRoot;
  for (const auto& [path, what] : map) {
    const size_t shared = shared_names(*before, path);
    out.varint(shared);
    write_path(out, path, shared);
    item(what);
    before = &path;
  }
}

// Behind the names it shares.
[[nodiscard]] inline Path read_path(RowIn& in, Path path = {}) {
  for (size_t n = in.items(); n > 0 && in.ok(); --n) {
    path.emplace_back(in.bytes());
    if (path.back().find('\0') != std::string::npos) in.fail("name with NUL");
  }
  if (path.size() > kPathDepthMax) in.fail("path too deep");
  return path;
}

// Calls item(what) to read what stands at each path.
template <typename Map, typename Item>
void read_map(RowIn& in, Map& map, const Item& item) {
  const Path root;
  for (size_t n = in.items(); n > 0 && in.ok(); --n) {
    const Path& before = map.empty() ? root : map.rbegin()->first;
    const uint64_t shared = in.varint();
    if (shared > before.size()) return in.fail("path shares too much");
    const auto shared_end = before.begin() + static_cast<std::ptrdiff_t>(shared);
    Path path = read_path(in, Path(before.begin(), shared_end));
    if (!in.ok()) return;
    if (!map.empty() && !(map.rbegin()->first < path)) in.fail("paths out of order");
    item(map.emplace_hint(map.end(), std::move(path), typename Map::mapped_type())->second);
  }
}

}  // namespace outrigger::merge
