#include "replication/merge/view.h"

#include <algorithm>

#include "replication/merge/types/decompose.h"

namespace outrigger::merge {
namespace {

bool name_before(const Node& node, std::string_view name) { return node.name < name; }

// Paths come in order, so each name is the last child's or a new last child's.
Node& node_at(Node& root, const Path& path) {
  Node* node = &root;
  for (const std::string& name : path) {
    if (node->children.empty() || node->children.back().name != name) {
      node->children.emplace_back().name = name;
    }
    node = &node->children.back();
  }
  return *node;
}

bool shows_list(const Node& node) {
  if (node.list == nullptr) return false;
  const bool is_array = node.content == Content::kValue && node.value.type == bson::Type::kArray;
  const bool is_left = node.content == Content::kAbsent && is_anything_left(*node.list);
  if (!is_array && !is_left && node.list->asserted <= node.stamp) return false;
  return node.asserted <= std::max(node.stamp, node.list->asserted);
}

void hide(Node& node) {
  node.shows = Node::Shows::kNothing;
  for (Node& child : node.children) hide(child);
}

// Of values beside each other. Nothing: the register shows, which holds the chosen one.
std::optional<Node::Shows> shown_by_contest(Node& node) {
  if (node.contest == nullptr) return std::nullopt;
  node.chosen = &chosen(*node.contest);
  if (auto all = union_of(*node.contest)) {
    for (Node& child : node.children) hide(child);
    node.is_union = true;
    node.array = *std::move(all);
    node.value = node.array.view();
    return Node::Shows::kContest;
  }
  if (node.governs && node.reg->stamp == node.chosen->dot) return std::nullopt;
  for (Node& child : node.children) hide(child);
  if (node.chosen->absent) return Node::Shows::kNothing;
  node.value = node.chosen->value.view();
  return Node::Shows::kContest;
}

Node::Shows shown_by(Node& node, bool any_child) {
  if (const auto shows = shown_by_contest(node)) return *shows;
  if (shows_list(node)) {
    node.array = array_of(*node.list);
    node.value = node.array.view();
    return Node::Shows::kList;
  }
  if (node.asserted > node.stamp || node.content == Content::kDocument) {
    return Node::Shows::kDocument;
  }
  if (node.content == Content::kAbsent && any_child) return Node::Shows::kDocument;
  if (node.entries != nullptr) {
    if (const std::optional<CounterBase> base = counter_base(node.own())) {
      node.sum = sum_of(*base, *node.entries);
      return node.sum.value ? Node::Shows::kCounter : Node::Shows::kNothing;
    }
  }
  return node.content == Content::kValue ? Node::Shows::kRegister : Node::Shows::kNothing;
}

// What a node stands below.
struct Above {
  Dot kills;                         // registers that are older
  std::optional<bson::Value> value;  // what the parent's bytes hold here
  bool floor = false;                // those bytes are the floor
};

class Resolver {
 public:
  explicit Resolver(const Body& body) : floor_stamp_(body.floor_stamp) {}

  void run(Node& node, const Above& above, Path& path) {
    const bool root = path.empty();
    node.governs = node.reg != nullptr && !(above.kills > node.reg->stamp);
    if (node.governs) {
      take(node, *node.reg);
    } else {
      take(node, above, path);
    }
    const bool floor = !node.governs && above.floor;
    const Dot kills = node.governs ? node.reg->stamp : above.kills;
    const bool any_child = run_children(node, kills, floor, path);
    node.shows = root ? shown_at_root(node) : shown_by(node, any_child);
  }

 private:
  static void take(Node& node, const Register& reg) {
    node.stamp = reg.stamp;
    node.content = reg.content;
    if (reg.content == Content::kValue) node.value = reg.value.view();
    if (reg.content == Content::kDocument) node.fields = reg.fields.document();
  }

  void take(Node& node, const Above& above, const Path& path) const {
    node.stamp = above.kills;
    // The document shows a sum there, which is no base.
    if (!above.value || node.entries != nullptr) return;
    if (is_container(*above.value, path)) {
      node.content = Content::kDocument;
      node.fields = above.value->as_document();
      if (above.floor) node.asserted = std::max(node.asserted, floor_stamp_);
    } else {
      node.content = Content::kValue;
      node.value = *above.value;
      if (above.floor) node.stamp = floor_stamp_;
    }
  }

  bool run_children(Node& node, const Dot& kills, bool floor, Path& path) {
    bool any = false;
    bson::FieldFinder fields(node.fields);
    const bool holds = node.content == Content::kDocument;
    for (Node& child : node.children) {
      Above above{kills, std::nullopt, floor};
      if (holds) above.value = fields.find(child.name);
      path.emplace_back(child.name);
      run(child, above, path);
      path.pop_back();
      any |= child.shows != Node::Shows::kNothing;
    }
    return any;
  }

  // A document that repeats its names is one value, and hides what was set in it.
  static Node::Shows shown_at_root(const Node& root) {
    const bool whole = root.content == Content::kValue && root.value.type == bson::Type::kDocument;
    return whole ? Node::Shows::kRegister : Node::Shows::kDocument;
  }

  const Dot floor_stamp_;
};

}  // namespace

const Node* Node::child(std::string_view child_name) const {
  const auto at = std::lower_bound(children.begin(), children.end(), child_name, name_before);
  return at == children.end() || at->name != child_name ? nullptr : &*at;
}

Node view_tree(const Body& body) {
  Node root;
  // All of them in one order of paths, so that each node is made behind its siblings.
  auto reg = body.registers.begin();
  auto counter = body.counters.begin();
  auto list = body.lists.begin();
  auto contest = body.contests.begin();
  auto asserted = body.asserted.begin();
  while (true) {
    const Path* next = nullptr;
    const auto consider = [&](const auto& at, const auto& map) {
      if (at != map.end() && (next == nullptr || at->first < *next)) next = &at->first;
    };
    consider(reg, body.registers);
    consider(counter, body.counters);
    consider(list, body.lists);
    consider(contest, body.contests);
    consider(asserted, body.asserted);
    if (next == nullptr) break;
    Node& node = node_at(root, *next);
    const Path& path = *next;
    const bool has_reg = reg != body.registers.end() && reg->first == path;
    const bool has_counter = counter != body.counters.end() && counter->first == path;
    const bool has_list = list != body.lists.end() && list->first == path;
    const bool has_contest = contest != body.contests.end() && contest->first == path;
    const bool has_asserted = asserted != body.asserted.end() && asserted->first == path;
    if (has_reg) node.reg = &(reg++)->second;
    if (has_counter) node.entries = &(counter++)->second;
    if (has_list) node.list = &(list++)->second;
    if (has_contest) node.contest = &(contest++)->second;
    if (has_asserted) node.asserted = (asserted++)->second;
  }
  Above above;
  above.floor = true;
  if (!body.floor.bytes.empty()) above.value = {bson::Type::kDocument, body.floor.bytes};
  Path path;
  Resolver(body).run(root, above, path);
  return root;
}

const Node* find_node(const Node& root, const Path& path) {
  const Node* node = &root;
  for (const std::string& name : path) {
    node = node->child(name);
    if (node == nullptr) return nullptr;
  }
  return node;
}

}  // namespace outrigger::merge
