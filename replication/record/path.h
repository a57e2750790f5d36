// Where in a document: the names on the way down from its root.
//
// Never a dotted string, since names may hold dots. None leads into an array.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace outrigger {

using Path = std::vector<std::string>;  // empty: the whole document (its root)

// No effect names a longer one. MongoDB stores 180 levels.
inline constexpr size_t kPathDepthMax = 200;

// How many names two paths have in common from the root on.
[[nodiscard]] inline size_t shared_names(const Path& a, const Path& b) {
  const auto first_other = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  return static_cast<size_t>(first_other - a.begin());
}

// Is `path` at or below `prefix`?
[[nodiscard]] inline bool has_prefix(const Path& path, const Path& prefix) {
  return path.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
}

}  // namespace outrigger
