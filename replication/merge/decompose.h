// Which documents merge by field, and how a value comes apart into containers and leaves.
#pragma once

#include "replication/merge/merge.h"

namespace outrigger::merge {

// A document that names a field twice at its own level cannot be a set of paths: below the root it
// is a leaf, as arrays and scalars are; at the root the caller has to refuse it.
[[nodiscard]] bool has_repeated_names(const bson::Document& document);
// Is a value with `depth` names in its path taken apart? Very deep ones stay whole.
[[nodiscard]] bool is_container(const bson::Value& value, size_t depth);

// Deeper paths are not made, and effects that name them are ignored (everywhere).
inline constexpr size_t kPathDepthMax = 180;

// Calls visit(path, shape, value) for `value` at `path` and all below it, containers first, in the
// order of the document. `value` matters for Shape::kValue and borrows from the input. The path
// is reused between calls.
template <typename Visit>
void decompose(Path& path, const bson::Value& value, const Visit& visit) {
  if (!is_container(value, path.size())) {
    visit(path, Shape::kValue, value);
    return;
  }
  visit(path, Shape::kDocument, value);
  for (const bson::Element& field : value.as_document()) {
    path.emplace_back(field.name);
    decompose(path, field.value, visit);
    path.pop_back();
  }
}

}  // namespace outrigger::merge
