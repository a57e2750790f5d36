// Many fields of one document, found in about the time it takes to walk it once. A search by name
// is a walk of its own; one for each of n names makes n walks, and documents come with tens of
// thousands of names. Most callers ask in the order of the document, so the finder looks first
// where the last one was found; when that has failed a few times it sorts the names once.
//
// Sorted, not hashed: names come from outside, and may be chosen to collide.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "replication/bson/bson.h"

namespace outrigger::bson {

// Which levels of a document are looked at.
enum class Levels : uint8_t {
  kTop,    // that of its own fields alone
  kPaths,  // and what a path of names reaches: documents in it, but nothing in arrays
  kAll,    // and arrays, and what is in them
};
// Is a name used twice at one of these levels?
[[nodiscard]] bool repeats_names(const Document& document, Levels levels = Levels::kPaths);
[[nodiscard]] inline bool repeats_names(const Value& value) {
  return value.type == Type::kDocument && repeats_names(value.as_document());
}

// The text in that field; empty: there is none.
[[nodiscard]] inline std::string text_at(const Document& document, std::string_view name) {
  const auto value = document.find(name);
  return value && value->type == Type::kString ? std::string(value->as_string()) : std::string();
}

// Is every element of the array a document with this field, no two with the same value there?
[[nodiscard]] bool is_keyed_by(const Value& array, std::string_view field);

// Borrows the document's bytes.
class FieldFinder {
 public:
  explicit FieldFinder(const Document& document) : document_(document), next_(document.begin()) {}

  // First field of that name.
  [[nodiscard]] std::optional<Value> find(std::string_view name);
  // Elements looked at so far: what the finding cost.
  [[nodiscard]] size_t looked_at() const { return looked_at_; }

 private:
  void sort();

  Document document_;
  Document::Iterator next_;
  size_t walks_ = 0;
  bool sorted_ = false;
  std::vector<Element> names_;  // sorted, equal names in their order
  size_t looked_at_ = 0;
};

// The same for paths of names, level by level.
class PathFinder {
 public:
  explicit PathFinder(const Document& document) : document_(document) {}

  // How far documents lead along a path.
  struct Reached {
    std::optional<Value> value;  // at the last of `names`; nothing: no field of that name there
    size_t names = 0;
  };
  template <typename Path>
  [[nodiscard]] Reached walk(const Path& path, size_t from = 0) {
    Reached reached{Value{Type::kDocument, document_.bytes()}, from};
    while (reached.names < path.size() && reached.value && reached.value->type == Type::kDocument) {
      reached.value = at(reached.value->as_document()).find(path[reached.names++]);
    }
    return reached;
  }
  // Nothing when it is not there or something on the way is no document.
  template <typename Path>
  [[nodiscard]] std::optional<Value> find(const Path& path, size_t from = 0) {
    const Reached reached = walk(path, from);
    return reached.names == path.size() ? reached.value : std::nullopt;
  }

 private:
  FieldFinder& at(const Document& level) {
    return levels_.try_emplace(level.bytes().data(), level).first->second;
  }

  Document document_;
  std::unordered_map<const char*, FieldFinder> levels_;  // by where their bytes begin
};

// Is there anything at a path? Nothing is at the empty one.
template <typename Path>
[[nodiscard]] bool has_path(const Document& document, const Path& path) {
  return !path.empty() && PathFinder(document).find(path).has_value();
}

}  // namespace outrigger::bson
