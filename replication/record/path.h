// Where in a document: the names on the way down from its root.
//
// Never a dotted string, since names may hold dots.
//
// What stands in an element of an array merges by itself, so its fields have paths, too; but a
// position says nothing to another site. There the name of the element takes its place
// (list_edit.h), as a name that no field can have: it begins with a zero byte. Of an element that
// came with its array that is its index, of one that was added, the commit, too; equal elements
// have equal names.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replication/causality/stamp.h"

namespace outrigger {

struct ElementId {
  Dot dot;  // of the commit that added it; zero: it came with the array
  uint32_t index = 0;
  friend auto operator<=>(const ElementId&, const ElementId&) = default;
};

// Indexes in records are below; no array has so many elements, and what a site names for itself is
// beyond.
inline constexpr uint32_t kElementIndexes = 1u << 31;

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

[[nodiscard]] std::string element_name(const ElementId& id);
// Is it meant for one? Whether it is well made, element_named tells.
[[nodiscard]] inline bool is_element_name(std::string_view name) {
  return !name.empty() && name.front() == '\0';
}
// Nothing: it is the name of no element.
[[nodiscard]] std::optional<ElementId> element_named(std::string_view name);

// Where in a path the element is; its size: it leads into none.
[[nodiscard]] inline size_t element_in(const Path& path) {
  size_t at = 0;
  while (at < path.size() && !is_element_name(path[at])) ++at;
  return at;
}
[[nodiscard]] inline bool is_into_element(const Path& path) {
  return element_in(path) < path.size();
}
// The array on the way, or the path itself.
[[nodiscard]] inline Path path_of_array(const Path& path) {
  return {path.begin(), path.begin() + static_cast<std::ptrdiff_t>(element_in(path))};
}
// Does it hold names of fields, and of one element at most, in an array that has a path?
[[nodiscard]] bool is_legal_path(const Path& path);

// For people: "items.(2).qty" of an element that came third in its array, "items.(+3f2a1c0d).qty"
// of one that was added.
[[nodiscard]] std::string path_text(const Path& path);

}  // namespace outrigger
