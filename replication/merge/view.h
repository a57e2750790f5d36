// From a body to what a document shows. The body's maps become a tree, each node decides what it
// shows from the stamps above it and from what its children show, and the tree is written out.
//
//   governing register newer than every effect below   shows that register
//   an effect below is newer than a whole value here   shows a document, even an empty one
//   absent, but something below survived               shows a document
//   absent or a number, with increments                shows the sum
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "replication/merge/body.h"

namespace outrigger::merge {

// Borrows from the body it was made of.
struct Node {
  enum class Shows : uint8_t { kNothing, kDocument, kRegister, kCounter };

  std::string_view name;
  const Register* reg = nullptr;
  const std::vector<CounterEntry>* entries = nullptr;
  Dot asserted;
  std::vector<Node> children;  // sorted by name

  // Filled in by `resolve`.
  Dot stamp;             // of the governing register
  bool governs = false;  // `reg` is the governing register
  Shows shows = Shows::kNothing;
  CounterValue sum;  // kCounter

  [[nodiscard]] Content content() const { return governs ? reg->content : Content::kAbsent; }
};

// The resolved tree of a body without kShown content.
[[nodiscard]] Node view_tree(const Body& body);
// The node at a path; the nodes passed on the way are appended to `above` when given (root first).
[[nodiscard]] const Node* find_node(const Node& root, const Path& path,
                                    std::vector<const Node*>* above = nullptr);
// The document a resolved tree shows.
[[nodiscard]] std::string write_document(const Node& root);

}  // namespace outrigger::merge
