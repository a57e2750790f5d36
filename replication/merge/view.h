// From a body to what a document shows. What has state of its own becomes a tree; each node decides
// what it shows from the stamps above it and from what its children show; then the tree is written
// out over the bytes it lies in. Fields without state are never made nodes: they are copied.
//
//   values beside each other at the path              shows the chosen one, or what is in all
//   governing register newer than every effect below   shows that register
//   an effect below is newer than a whole value here   shows a document, even an empty one
//   absent, but something below survived               shows a document
//   absent or a number, with increments                shows the sum, or the bound it lies beyond
//   an array, or absent, with elements                 shows the elements
//   an edit of elements newer than what governs        likewise
//
// A node without a governing register of its own holds what its parent's bytes hold at its name.
#pragma once

#include <string_view>
#include <vector>

#include "replication/bson/fields.h"
#include "replication/merge/body.h"

namespace outrigger::merge {

// Borrows from the body it was made of.
struct Node {
  enum class Shows : uint8_t { kNothing, kDocument, kRegister, kCounter, kList, kContest };

  std::string_view name;
  const Register* reg = nullptr;
  const CounterEntries* entries = nullptr;
  const List* list = nullptr;
  const Contest* contest = nullptr;
  Dot asserted;
  std::vector<Node> children;  // sorted by name

  // Filled in by `resolve`.
  Dot stamp;             // of what governs
  bool governs = false;  // `reg` is what governs
  Content content = Content::kAbsent;
  bson::Value value;      // kValue, or what a list or a contest shows
  bson::Document fields;  // kDocument
  Shows shows = Shows::kNothing;
  CounterSum sum;  // kCounter
  // Of values beside each other, the one that shows; also where the register holds it.
  const Contender* chosen = nullptr;
  bool is_union = false;   // kContest: all of them show
  bson::OwnedValue array;  // kList, or of a union: `value` is a view of it

  [[nodiscard]] const Node* child(std::string_view child_name) const;
  [[nodiscard]] bool shows_leaf() const {
    return shows == Shows::kRegister || shows == Shows::kCounter || shows == Shows::kList ||
           shows == Shows::kContest;
  }
  // The path's own register, where it governs; else null.
  [[nodiscard]] const Register* own() const { return governs ? reg : nullptr; }
  // How far its author had seen the entries.
  [[nodiscard]] const CounterEntries& baseline() const {
    return governs ? reg->baseline : kNoEntries;
  }
};

// The resolved tree of a body without kShown content.
[[nodiscard]] Node view_tree(const Body& body);
// The document it shows.
[[nodiscard]] std::string shown_document(const Body& body);
// The node at a path, if what is there has state of its own.
[[nodiscard]] const Node* find_node(const Node& root, const Path& path);

}  // namespace outrigger::merge
