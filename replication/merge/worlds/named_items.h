// Elements of arrays that a letter tells apart, by their field k.
#pragma once

#include <string>
#include <vector>

#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {

inline bson::OwnedValue item(char name, int32_t qty = 1) {
  return doc({{"k", text(std::string(1, name))}, {"qty", i32(qty)}});
}

inline std::vector<bson::OwnedValue> items_of(const std::string& names) {
  std::vector<bson::OwnedValue> items;
  for (const char name : names) items.push_back(item(name));
  return items;
}

inline std::string all_names() {
  std::string names;
  for (char name = '!'; name < 'z'; ++name) names.push_back(name);
  return names;
}

}  // namespace outrigger::merge
