#include "replication/merge/worlds/set_history.h"

#include <algorithm>

namespace outrigger::merge {

std::vector<SetHistory::Item> SetHistory::items() const {
  std::vector<Item> all;
  if (array) {
    uint32_t index = 0;
    for (const bson::Element& each : array->as_document()) {
      all.push_back({by, {Dot(), index++}, bson::OwnedValue(each.value)});
    }
  }
  for (const Commit& write : writes) {
    for (const AddedElement& each : write.effect->edit.added) {
      all.push_back({write, each.place.back().id, each.value});
    }
    for (const ChangedElement& changed : write.effect->edit.changed) {
      // Who names an element of the array that was given last has seen who gave it.
      const bool is_of_other = changed.id.dot.is_zero() && !write.sees(by.at);
      for (Item& each : all) {
        if (each.id == changed.id && !is_of_other) each = {write, each.id, changed.value};
      }
    }
  }
  return all;
}

bool SetHistory::is_away(const Item& item) const {
  const bool is_added = !item.id.dot.is_zero();
  const bool is_replaced = std::any_of(given.begin(), given.end(), [&](const Commit& each) {
    return is_added && each.sees(item.id.dot);
  });
  return is_replaced || std::any_of(writes.begin(), writes.end(), [&](const Commit& each) {
           const auto& removed = each.effect->edit.removed;
           const auto& taken = each.effect->taken;
           const bool is_named =
               std::find(removed.begin(), removed.end(), item.id) != removed.end();
           if (is_named && (is_added || each.sees(by.at))) return true;
           return std::find(taken.begin(), taken.end(), item.value) != taken.end() &&
                  item.by.at != each.at && !item.by.sees(each.at);
         });
}

std::set<std::string> SetHistory::values() const {
  std::set<std::string> left;
  for (const Item& each : items()) {
    if (!is_away(each)) left.insert(bson::to_json(each.value.view()));
  }
  return left;
}

std::string SetHistory::why_not(const std::set<std::string>& values,
                                const std::optional<bson::Value>& held) {
  const bool is_array = held && held->type == bson::Type::kArray;
  std::set<std::string> there;
  for (const bson::Element& each : is_array ? held->as_document() : bson::Document()) {
    there.insert(bson::to_json(each.value));
  }
  if (there == values && (!held || is_array)) return {};
  std::string wanted = "of";
  for (const std::string& each : values) wanted += " " + each;
  return wanted;
}

}  // namespace outrigger::merge
