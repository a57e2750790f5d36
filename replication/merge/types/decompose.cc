#include "replication/merge/types/decompose.h"

#include "replication/bson/fields.h"

namespace outrigger::merge {
namespace {

size_t names_below(const bson::Document& document, size_t depth) {
  size_t names = 0;
  for (const bson::Element& field : document) {
    const bool inside = field.value.type == bson::Type::kDocument && depth < kPathDepthMax;
    names += inside ? names_below(field.value.as_document(), depth + 1) + 1 : depth;
  }
  return names;
}

}  // namespace

bool is_container(const bson::Value& value, const Path& path) {
  if (value.type != bson::Type::kDocument || path.size() >= kPathDepthMax) return false;
  if (path.size() == 1 && path.front() == "_id") return false;
  return !bson::repeats_names(value.as_document(), bson::Levels::kTop);
}

size_t names_in_paths(const bson::Document& document) { return names_below(document, 1); }

}  // namespace outrigger::merge
