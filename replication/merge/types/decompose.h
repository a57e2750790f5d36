// Which values merge by field: documents, unless a name is used twice in them. Everything else is a
// leaf: scalars, arrays, and documents that cannot be a set of paths.
#pragma once

#include <set>
#include <string>

#include "replication/bson/bson.h"
#include "replication/record/path.h"

namespace outrigger::merge {

// Is the value at `path` taken apart? Not an _id, and nothing kPathDepthMax levels down (effects
// that name longer paths are ignored, everywhere).
[[nodiscard]] bool is_container(const bson::Value& value, const Path& path);

// Calls visit(path, value) for the leaves of `value` at `path`, in the order of the document, and
// for its containers that hold nothing. The path is reused between calls.
template <typename Visit>
void for_each_leaf(Path& path, const bson::Value& value, const Visit& visit) {
  const bool container = is_container(value, path);
  if (!container || value.as_document().empty()) return visit(path, value);
  for (const bson::Element& field : value.as_document()) {
    path.emplace_back(field.name);
    for_each_leaf(path, field.value, visit);
    path.pop_back();
  }
}

// How many names the paths of a document's leaves have together: what taking it apart costs.
[[nodiscard]] size_t names_in_paths(const bson::Document& document);
// Above this a document is not taken apart: an upsert gives birth to it as an insert does, and when
// it loses it is one entry of the ledger.
inline constexpr size_t kNamesTakenApartMax = size_t{1} << 19;

// The document without what is at these paths. `at`: where it lies, the empty path for a whole one.
[[nodiscard]] std::string without(const bson::Document& document, const std::set<Path>& paths,
                                  Path& at);

}  // namespace outrigger::merge
