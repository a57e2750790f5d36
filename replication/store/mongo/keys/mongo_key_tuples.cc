#include "replication/store/mongo/keys/mongo_key_tuples.h"

#include <algorithm>
#include <charconv>
#include <span>

namespace outrigger::mongo {
namespace {

using bson::Type;
using bson::Value;

const Value kNull{Type::kNull, {}};
// mongod has no document with more of them in an index (indexMaxNumGeneratedKeysPerDocument).
constexpr size_t kKeysMax = 100'000;

// How far a field's path has led. `rest` is empty at its end.
struct Place {
  Value at;
  std::span<const std::string> rest;
  bool is_element = false;  // of an array: one that lies in it is a value as any other
};

std::optional<size_t> position_in(const std::string& name) {
  size_t position = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), position);
  const bool is_one = error == std::errc() && end == name.data() + name.size();
  return is_one ? std::optional(position) : std::nullopt;
}

std::optional<Value> element_at(const Value& array, size_t position) {
  for (const bson::Element& each : array.as_document()) {
    if (position-- == 0) return each.value;
  }
  return std::nullopt;
}

// Down to a value, or to an array of which each element gives a key.
void go_down(Place& place) {
  while (!place.rest.empty()) {
    std::optional<Value> next;
    if (place.at.type == Type::kDocument) {
      next = place.at.as_document().find(place.rest.front());
    } else if (place.at.type == Type::kArray && !place.is_element) {
      const auto position = position_in(place.rest.front());
      if (!position) return;
      next = element_at(place.at, *position);
    }
    place = next ? Place{*next, place.rest.subspan(1)} : Place{kNull, {}, true};
  }
}

void add_tuples(std::vector<Place> places, std::vector<KeyTuple>& tuples) {
  if (tuples.size() > kKeysMax) return;
  std::optional<Value> array;
  for (Place& place : places) {
    go_down(place);
    const bool is_array = place.at.type == Type::kArray && !place.is_element;
    if (is_array && !array) array = place.at;
  }
  if (!array) {
    KeyTuple& tuple = tuples.emplace_back();
    for (const Place& place : places) tuple.push_back(place.at);
    return;
  }
  const auto is_in_it = [&](const Place& place) {  // no index takes two arrays
    return !place.is_element && place.at.type == Type::kArray &&
           place.at.bytes.data() == array->bytes.data();
  };
  const auto with_element = [&](const std::optional<Value>& element) {
    std::vector<Place> next = places;
    for (Place& place : next) {
      if (!is_in_it(place)) continue;
      const bool is_there = element || place.rest.empty();  // an empty one is a value itself
      place = Place{is_there ? element.value_or(*array) : kNull, place.rest, true};
      if (!is_there) place.rest = {};
    }
    add_tuples(std::move(next), tuples);
  };
  if (array->as_document().empty()) return with_element(std::nullopt);
  for (const bson::Element& each : array->as_document()) with_element(each.value);
}

}  // namespace

std::vector<KeyTuple> key_tuples(const bson::Document& document, const std::vector<Path>& fields) {
  std::vector<Place> places;
  for (const Path& field : fields) places.push_back({{Type::kDocument, document.bytes()}, field});
  std::vector<KeyTuple> tuples;
  add_tuples(std::move(places), tuples);
  if (tuples.size() > kKeysMax) tuples.clear();
  return tuples;
}

std::string tuples_array(const std::vector<KeyTuple>& tuples) {
  bson::Writer out;
  size_t at = 0;
  for (const KeyTuple& tuple : tuples) {
    out.open_array(bson::index_name(at++));
    size_t field = 0;
    for (const Value& value : tuple) out.value(bson::index_name(field++), value);
    out.close();
  }
  return out.finish();
}

KeySet::KeySet(const std::vector<KeyTuple>& tuples) {
  for (const KeyTuple& each : tuples) keys_.insert(key_of(each));
}

bool KeySet::has_one_of(const std::vector<KeyTuple>& tuples) const {
  return std::any_of(tuples.begin(), tuples.end(),
                     [&](const KeyTuple& each) { return keys_.contains(key_of(each)); });
}

std::vector<std::string> KeySet::key_of(const KeyTuple& tuple) {
  std::vector<std::string> key;
  for (const Value& value : tuple) key.push_back(bson::canonical_key(value));
  return key;
}

}  // namespace outrigger::mongo
