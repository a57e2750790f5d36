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

std::string without(const bson::Document& document, const std::set<Path>& paths, Path& at) {
  bson::Writer out;
  for (const bson::Element& field : document) {
    at.emplace_back(field.name);
    const auto next = paths.lower_bound(at);
    const bool leads = next != paths.end() && has_prefix(*next, at);
    if (!leads) {
      out.element(field);
    } else if (next->size() > at.size()) {
      const std::string left = without(field.value.as_document(), paths, at);
      out.document(field.name, bson::Document(left));
    }
    at.pop_back();
  }
  return out.finish();
}

}  // namespace outrigger::merge
