#include "replication/merge/decompose.h"

#include <algorithm>

namespace outrigger::merge {

bool has_repeated_names(const bson::Document& document) {
  std::vector<std::string_view> names;
  for (const bson::Element& field : document) names.push_back(field.name);
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) != names.end();
}

bool is_container(const bson::Value& value, size_t depth) {
  return value.type == bson::Type::kDocument && depth < kPathDepthMax &&
         !has_repeated_names(value.as_document());
}

}  // namespace outrigger::merge
