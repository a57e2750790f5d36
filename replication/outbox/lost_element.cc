#include "replication/outbox/lost_element.h"

#include <algorithm>
#include <vector>

#include "replication/bson/fields.h"
#include "replication/merge/body.h"

namespace outrigger {
namespace {

using bson::Type;
using bson::Value;
using Kind = ElementNow::Kind;

std::vector<Value> elements_of(const Value& array) {
  std::vector<Value> all;
  for (const bson::Element& each : array.as_document()) all.push_back(each.value);
  return all;
}

std::optional<Value> field_of(const Value& element, std::string_view name) {
  return element.type == Type::kDocument ? element.as_document().find(name) : std::nullopt;
}

// The one that has the key of the element that is looked for.
std::optional<size_t> position_by_key(const std::vector<Value>& elements, const Value& beside,
                                      std::string_view key) {
  const std::optional<Value> wanted = field_of(beside, key);
  std::optional<size_t> found;
  for (size_t i = 0; wanted && i < elements.size(); ++i) {
    if (field_of(elements[i], key) != wanted) continue;
    if (found) return std::nullopt;
    found = i;
  }
  return found;
}

// Of one that does not show: where its equal does.
std::optional<size_t> position_of_twin(const merge::List& list, const merge::ListElement& twin,
                                       const std::vector<size_t>& shown) {
  if (list.settled) return twin.twin_at;
  for (size_t at = 0; at < shown.size(); ++at) {
    const merge::ListElement& each = list.elements[shown[at]];
    if (each.as_set && each.value == twin.value) return at;
  }
  return std::nullopt;
}

ElementNow position_in(const merge::List& list, const ElementId& id, const Value& array) {
  if (list.hidden) return {Kind::kGone};
  if (!merge::shows(list, array)) return {Kind::kMoving};
  const merge::ListElement* element = merge::find_element(list, id);
  if (element == nullptr) return {Kind::kGone};
  const std::vector<size_t> shown = merge::shown_of(list);
  const auto number = static_cast<size_t>(element - list.elements.data());
  const auto at = std::lower_bound(shown.begin(), shown.end(), number);
  if (at != shown.end() && *at == number) {
    return {Kind::kStands, static_cast<size_t>(at - shown.begin())};
  }
  const std::optional<size_t> twin = position_of_twin(list, *element, shown);
  return twin ? ElementNow{Kind::kStands, *twin} : ElementNow{Kind::kGone};
}

ElementNow position_by_name(const merge::DocumentState& remembered, const Path& path,
                            const ElementId& id, const Value& array) {
  if (remembered.detached) return {Kind::kUnsure};  // the store shows something else
  if (!remembered.incarnations.empty()) {
    const merge::WholeBody body(remembered);
    const auto list = body->lists.find(path);
    if (list != body->lists.end()) return position_in(list->second, id, array);
  }
  // No element was added or went since the array was assigned: names are positions.
  return id.dot.is_zero() ? ElementNow{Kind::kStands, id.index} : ElementNow{Kind::kGone};
}

// Sites may hold the fields of a document in different orders.
bool is_same(const std::optional<Value>& a, const Value& b) {
  if (!a) return false;
  if (a->type != Type::kDocument || b.type != Type::kDocument) return *a == b;
  return bson::equal_unordered(a->as_document(), b.as_document());
}

bool looks_as_it_did(const Value& element, const LedgerEntry& entry, const Path& inside) {
  const bson::Document beside = entry.beside->view().as_document();
  for (const bson::Element& each : beside) {
    if (!is_same(field_of(element, each.name), each.value)) return false;
  }
  if (beside.first()) return true;
  if (element.type != Type::kDocument) return false;
  const auto now = bson::PathFinder(element.as_document()).find(inside);
  const auto is = [&](const bson::OwnedValue& value) { return is_same(now, value.view()); };
  const bool was_put_back = entry.replaced && entry.replaced->value && is(*entry.replaced->value);
  return is(entry.value) || was_put_back || (entry.winning ? is(*entry.winning) : !now);
}

}  // namespace

ElementNow element_now(const LedgerEntry& entry, const merge::DocumentState& remembered,
                       std::string_view key, const bson::Document& document) {
  const Path path = path_of_array(entry.path);
  const std::optional<ElementId> id = element_named(entry.path[path.size()]);
  const std::optional<Value> array = bson::PathFinder(document).find(path);
  if (!id || !entry.beside || !array || array->type != Type::kArray) return {Kind::kGone};
  const std::vector<Value> elements = elements_of(*array);
  if (const auto at = position_by_key(elements, entry.beside->view(), key)) {
    return {Kind::kStands, *at};
  }
  ElementNow now = position_by_name(remembered, path, *id, *array);
  if (now.kind != Kind::kStands) return now;
  if (now.position >= elements.size()) return {Kind::kGone};
  const Path inside(entry.path.begin() + static_cast<std::ptrdiff_t>(path.size()) + 1,
                    entry.path.end());
  if (!id->dot.is_zero()) return now;
  // Another array may have been assigned since: only one that looks so, and stands there, is it.
  const auto looks = [&](const Value& each) { return looks_as_it_did(each, entry, inside); };
  const bool is_sure =
      looks(elements[now.position]) && std::count_if(elements.begin(), elements.end(), looks) == 1;
  if (!is_sure) now.kind = Kind::kUnsure;
  return now;
}

std::string why_no_place(const Path& path, Kind kind) {
  const std::string where = path_text(path);
  switch (kind) {
    case Kind::kStands:
      return "";
    case Kind::kGone:
      return "the element of the array that " + where +
             " lost in is not there any more: who wrote it may have an entry of all of it, or "
             "else write what you want of it";
    case Kind::kUnsure:
      return "which element of the array " + where +
             " lost in cannot be told by now, as more of it was written since: write the value "
             "where you want it";
    case Kind::kMoving:
      break;
  }
  return "the array that " + where +
         " lost in is not as it is remembered here: it changes all the time, then ask again, or it "
         "was changed around the sidecar, then write the value where you want it";
}

}  // namespace outrigger
