#include "replication/merge/types/list.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string_view>
#include <tuple>

#include "replication/merge/types/author.h"

namespace outrigger::merge {
namespace {

constexpr size_t kSortedAtOnce = 16;  // more are put in order together
constexpr uint32_t kScansMax = 8;     // who looks for more elements one by one needs an index

uint32_t hash_of(const bson::Value& array) {
  return static_cast<uint32_t>(XXH3_64bits(array.bytes.data(), array.bytes.size()));
}

using ValueKey = std::pair<bson::Type, std::string_view>;

void add(List& list, ListElement element) {
  auto& all = list.elements;
  const auto at = all.empty() || stands_before(all.back(), element)
                      ? all.end()
                      : std::upper_bound(all.begin(), all.end(), element, stands_before);
  all.insert(at, std::move(element));
}

// A record that comes a second time adds nothing.
void add_all(List& list, const std::vector<AddedElement>& added, const VersionVector& after) {
  if (added.empty()) return;
  std::set<ElementId> known;
  const bool many = added.size() > kSortedAtOnce;
  for (const ListElement& element : list.elements) {
    if (element.id().dot == added.front().place.back().id.dot) known.insert(element.id());
  }
  for (const AddedElement& each : added) {
    if (!known.insert(each.place.back().id).second) continue;
    ListElement element;
    element.place = each.place;
    element.as_set = each.as_set;
    element.value = each.value;
    element.after = after;
    if (many) {
      list.elements.push_back(std::move(element));
    } else {
      add(list, std::move(element));
    }
  }
  if (many) std::stable_sort(list.elements.begin(), list.elements.end(), stands_before);
}

// What an author had not seen may come later elsewhere: nobody can have meant that.
bool is_meant(const ElementId& id, const Authorship& author, bool knows_base) {
  return id.dot.is_zero() ? knows_base : author.saw(id.dot);
}

bool are_one_document(const bson::Value& a, const bson::Value& b) {
  const bool documents = a.type == bson::Type::kDocument && b.type == bson::Type::kDocument;
  return documents && bson::equal_unordered(a.as_document(), b.as_document());
}

void give(ListElement& element, const bson::OwnedValue& value, const Authorship& author,
          const VersionVector& after) {
  const bool is_newer = element.changed < author.stamp;
  if (element.inside != nullptr) {
    element.inside = element.inside->given(value, author);
    take_value(element, element.inside->shown());
    element.is_stale = false;
  } else if (is_newer) {
    take_value(element, value);
  }
  if (!is_newer) return;
  element.changed = author.stamp;
  element.after = after;
}

void move(ListElement& element, const Place& to) {
  const bool is_later = element.moved.empty() || element.moved.back().id < to.back().id;
  if (is_later) element.moved = to;
}

void join(ListElement& mine, const ListElement& other) {
  if (!other.moved.empty()) move(mine, other.moved);
  mine.as_set = mine.as_set && other.as_set;
  if (mine.inside != nullptr || other.inside != nullptr) {
    mine.inside = mine.inside != nullptr ? mine.inside->joined(other) : other.inside->joined(mine);
    take_value(mine, mine.inside->shown());
  } else if (mine.changed < other.changed) {
    take_value(mine, other.value);
  }
  if (mine.changed < other.changed) mine.after = other.after;
  if (mine.changed == other.changed) mine.after.raise(other.after);
  mine.changed = std::max(mine.changed, other.changed);
}

}  // namespace

bool stands_before(const ListElement& a, const ListElement& b) {
  if (a.stands() == b.stands()) return a.id() < b.id();
  return comes_before(a.stands(), b.stands());
}

List list_of(const bson::Value& array) {
  List list;
  for (const bson::Element& each : array.as_document()) {
    const auto index = static_cast<uint32_t>(list.elements.size());
    ListElement& element = list.elements.emplace_back();
    element.place.push_back({Lane::kAssigned, {Dot(), index}});
    element.value = bson::OwnedValue(each.value);
  }
  return list;
}

std::vector<size_t> shown_of(const List& list) {
  std::vector<size_t> shown;
  std::set<ValueKey> of_set;
  const TakenValues taken(list);
  for (size_t i = 0; i < list.elements.size(); ++i) {
    const ListElement& each = list.elements[i];
    if (each.twin_at || taken.has(each)) continue;
    const bool is_twin =
        each.as_set && !list.settled && !of_set.emplace(each.value.type, each.value.bytes).second;
    if (!is_twin) shown.push_back(i);
  }
  return shown;
}

bson::OwnedValue array_of(const List& list) {
  bson::Writer out;
  size_t at = 0;
  for (const size_t i : shown_of(list)) {
    out.value(bson::index_name(at++), list.elements[i].value);
  }
  return {bson::Type::kArray, out.finish()};
}

bool shows(const List& list, const bson::Value& array) {
  if (list.hidden || array.type != bson::Type::kArray) return false;
  if (list.settled) return hash_of(array) == list.hash;
  const std::vector<size_t> shown = shown_of(list);
  size_t at = 0;
  for (const bson::Element& each : array.as_document()) {
    if (at == shown.size() || !(list.elements[shown[at++]].value.view() == each.value)) {
      return false;
    }
  }
  return at == shown.size();
}

bool is_as_assigned(const List& list) {
  for (size_t i = 0; i < list.elements.size(); ++i) {
    const ListElement& each = list.elements[i];
    if (!each.is_assigned() || !each.moved.empty() || each.id().index != i) return false;
  }
  return true;
}

bool names_for_itself(const List& list) {
  return std::any_of(list.elements.begin(), list.elements.end(), [](const ListElement& each) {
    return each.place.front().id.index >= kElementIndexes;
  });
}

bool says_nothing(const List& list) {
  return list.elements.empty() && list.taken.empty() && list.asserted.is_zero();
}

bool has_added(const List& list) {
  return std::any_of(list.elements.begin(), list.elements.end(),
                     [](const ListElement& each) { return !each.is_assigned(); });
}

void edit(List& list, const ListEdit& edit, const Authorship& author, bool knows_base,
          const VersionVector& seen_elsewhere) {
  note_edit(list, author);
  VersionVector after = seen_elsewhere;
  note_removals_seen(after, list, author);
  list.index.forget();
  const auto is_meant = [&](const ElementId& id) {
    return merge::is_meant(id, author, knows_base);
  };
  std::set<ElementId> removed;
  for (const ElementId& id : edit.removed) {
    if (is_meant(id)) removed.insert(id);
  }
  std::map<ElementId, const bson::OwnedValue*> changed;
  for (const ChangedElement& each : edit.changed) {
    if (is_meant(each.id)) changed[each.id] = &each.value;
  }
  std::map<ElementId, const Place*> moved;
  for (const MovedElement& each : edit.moved) {
    if (is_meant(each.id)) moved[each.id] = &each.to;
  }
  std::erase_if(list.elements, [&](ListElement& element) {
    if (removed.contains(element.id())) return true;
    const auto to = moved.find(element.id());
    if (to != moved.end()) move(element, *to->second);
    const auto change = changed.find(element.id());
    if (change != changed.end()) give(element, *change->second, author, after);
    element.as_set = element.as_set && change == changed.end();
    return false;
  });
  if (!moved.empty()) std::stable_sort(list.elements.begin(), list.elements.end(), stands_before);
  add_all(list, edit.added, after);
}

void note_edit(List& list, const Authorship& author) {
  unsettle(list);
  list.asserted = std::max(list.asserted, author.stamp);
  list.hidden = false;  // of a peer's edit, a row says anew
}

const ListElement* find_element(const List& list, const ElementId& id) {
  // What stands behind no other one, and was not moved, stands where its name says.
  for (const Lane lane : {Lane::kAssigned, Lane::kBack, Lane::kFront}) {
    if ((lane == Lane::kAssigned) != id.dot.is_zero()) continue;
    ListElement probe;
    probe.place.push_back({lane, id});
    const auto& all = list.elements;
    const auto at = std::lower_bound(all.begin(), all.end(), probe, stands_before);
    if (at != all.end() && at->stands() == probe.place && at->id() == id) return &*at;
  }
  return list.index.find(list.elements, id);
}

const ListElement* ListIndex::find(const std::vector<ListElement>& elements, const ElementId& id) {
  if (by_name_ == nullptr && ++scans_ <= kScansMax) {
    const auto at = std::find_if(elements.begin(), elements.end(),
                                 [&](const ListElement& each) { return each.id() == id; });
    return at == elements.end() ? nullptr : &*at;
  }
  if (by_name_ == nullptr) {
    std::vector<uint32_t> all(elements.size());
    std::iota(all.begin(), all.end(), 0);
    std::sort(all.begin(), all.end(),
              [&](uint32_t a, uint32_t b) { return elements[a].id() < elements[b].id(); });
    by_name_ = std::make_shared<const std::vector<uint32_t>>(std::move(all));
  }
  OUTRIGGER_ASSERT(by_name_->size() == elements.size());
  const auto at = std::lower_bound(
      by_name_->begin(), by_name_->end(), id,
      [&](uint32_t i, const ElementId& wanted) { return elements[i].id() < wanted; });
  const bool is_there = at != by_name_->end() && elements[*at].id() == id;
  return is_there ? &elements[*at] : nullptr;
}

ListElement* element_meant(List& list, const ElementId& id, const Authorship& author,
                           bool knows_base) {
  if (!is_meant(id, author, knows_base)) return nullptr;
  const ListElement* found = find_element(list, id);
  return found == nullptr ? nullptr
                          : &list.elements[static_cast<size_t>(found - list.elements.data())];
}

void take_value(ListElement& element, const bson::OwnedValue& value) {
  if (!are_one_document(element.value.view(), value.view())) element.value = value;
}

void take_order(List& list, const bson::Value& array) {
  const bson::Document values = array.as_document();
  auto at = values.begin();
  for (const size_t i : shown_of(list)) {
    if (at == values.end()) return;
    ListElement& element = list.elements[i];
    const bson::Value value = (*at).value;
    ++at;
    // Twins of a set are told by their bytes.
    const bool is_other = !element.as_set && !(element.value.view() == value);
    if (is_other && are_one_document(element.value.view(), value)) {
      element.value = bson::OwnedValue(value);
    }
  }
}

void drop_observed(List& list, const Authorship& author) {
  list.index.forget();
  unsettle(list);
  std::erase_if(list.elements, [&](const ListElement& element) {
    return !element.is_assigned() && author.saw(element.id().dot);
  });
}

void drop_covered(List& list, const VersionVector& seen) {
  list.index.forget();
  std::erase_if(list.elements, [&](const ListElement& element) {
    return !element.is_assigned() && seen.covers(element.id().dot);
  });
}

void assign(List& list, const std::optional<bson::Value>& array, const VersionVector& after) {
  list.index.forget();
  unsettle(list);
  std::erase_if(list.elements, [](const ListElement& element) { return element.is_assigned(); });
  if (!array || array->type != bson::Type::kArray) return;
  List fresh = list_of(*array);
  for (ListElement& each : fresh.elements) each.after = after;
  std::move(list.elements.begin(), list.elements.end(), std::back_inserter(fresh.elements));
  list.elements = std::move(fresh.elements);
  std::stable_sort(list.elements.begin(), list.elements.end(), stands_before);
}

void join(List& list, const List& other) {
  list.index.forget();
  unsettle(list);
  std::map<ElementId, size_t> known;
  for (size_t i = 0; i < list.elements.size(); ++i) known[list.elements[i].id()] = i;
  for (const ListElement& each : other.elements) {
    const auto [at, is_new] = known.try_emplace(each.id(), list.elements.size());
    if (is_new) {
      list.elements.push_back(each);
      continue;
    }
    join(list.elements[at->second], each);
  }
  std::stable_sort(list.elements.begin(), list.elements.end(), stands_before);
  list.asserted = std::max(list.asserted, other.asserted);
  join_taken(list, other.taken);
}

void settle(List& list) {
  if (list.settled) return;
  forget_taken(list, [](const Dot&) { return true; });
  const bson::OwnedValue array = array_of(list);
  list.hash = hash_of(array.view());
  std::map<ValueKey, uint32_t> of_set;
  std::vector<std::optional<uint32_t>> twins(list.elements.size());
  uint32_t at = 0;
  for (size_t i = 0; i < list.elements.size(); ++i) {
    const ListElement& each = list.elements[i];
    if (each.as_set) {
      const auto [first, is_new] = of_set.try_emplace({each.value.type, each.value.bytes}, at);
      if (!is_new) {
        twins[i] = first->second;
        continue;
      }
    }
    ++at;
  }
  for (size_t i = 0; i < list.elements.size(); ++i) {
    list.elements[i].twin_at = twins[i];
    list.elements[i].changed = Dot();
    list.elements[i].value = {};
    list.elements[i].inside.reset();
  }
  list.asserted = Dot();
  list.settled = true;
}

void unsettle(List& list) {
  if (!list.settled) return;
  list.settled = false;
  for (ListElement& each : list.elements) each.twin_at.reset();
}

void take_values(List& list, const std::optional<bson::Value>& array) {
  std::vector<bson::Value> values;
  if (array && array->type == bson::Type::kArray) {
    for (const bson::Element& each : array->as_document()) values.push_back(each.value);
  }
  list.index.forget();
  size_t at = 0;
  std::erase_if(list.elements, [&](ListElement& element) {
    const size_t from = element.twin_at ? *element.twin_at : at++;
    if (from >= values.size()) return true;
    element.value = bson::OwnedValue(values[from]);
    return false;
  });
  // Nobody else has such a name: it is beyond all positions.
  for (; at < values.size(); ++at) {
    ListElement& element = list.elements.emplace_back();
    element.place.push_back(
        {Lane::kAssigned, {Dot(), kElementIndexes + static_cast<uint32_t>(at)}});
    element.value = bson::OwnedValue(values[at]);
  }
  std::stable_sort(list.elements.begin(), list.elements.end(), stands_before);
}

}  // namespace outrigger::merge
