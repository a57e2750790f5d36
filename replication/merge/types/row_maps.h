// Maps by path in the bytes of a row: paths share their beginnings. FORMATS.md, section 5.
#pragma once

#include <utility>

#include "replication/merge/types/row_stamps.h"
#include "replication/record/path.h"

namespace outrigger::merge {

// Calls item(what) to write what stands at each path.
template <typename Map, typename Item>
void write_map(RowOut& out, const Map& map, const Item& item) {
  static const Path kRoot;
  out.varint(map.size());
  const Path* before = &kRoot;
  for (const auto& [path, what] : map) {
    const size_t shared = shared_names(*before, path);
    out.varint(shared);
    out.varint(path.size() - shared);
    for (size_t i = shared; i < path.size(); ++i) out.bytes(path[i]);
    item(what);
    before = &path;
  }
}

[[nodiscard]] inline Path read_path(RowIn& in, const Path& before) {
  const uint64_t shared = in.varint();
  if (shared > before.size()) in.fail("path shares too much");
  if (!in.ok()) return {};
  Path path(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(shared));
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
    Path path = read_path(in, map.empty() ? root : map.rbegin()->first);
    if (!in.ok()) return;
    if (!map.empty() && !(map.rbegin()->first < path)) in.fail("paths out of order");
    item(map.emplace_hint(map.end(), std::move(path), typename Map::mapped_type())->second);
  }
}

}  // namespace outrigger::merge
