#include "replication/merge/view.h"

#include <algorithm>

namespace outrigger::merge {
namespace {

Node& child_of(Node& parent, std::string_view name) {
  auto at = parent.children.end();
  // Paths come in order, so the child is nearly always the last one or a new last one.
  if (!parent.children.empty() && parent.children.back().name >= name) {
    at = std::lower_bound(parent.children.begin(), parent.children.end(), name,
                          [](const Node& node, std::string_view n) { return node.name < n; });
    if (at->name == name) return *at;
  }
  at = parent.children.emplace(at);
  at->name = name;
  return *at;
}

Node& node_at(Node& root, const Path& path) {
  Node* node = &root;
  for (const std::string& name : path) node = &child_of(*node, name);
  return *node;
}

bool is_counter_base(const Node& node) {
  return node.content() == Content::kAbsent ||
         (node.content() == Content::kValue && node.reg->value.view().is_number());
}

Node::Shows shown_by(Node& node, bool any_child) {
  if (node.asserted > node.stamp || node.content() == Content::kDocument) {
    return Node::Shows::kDocument;
  }
  if (node.content() == Content::kAbsent && any_child) return Node::Shows::kDocument;
  const bool present = node.content() == Content::kValue;
  if (node.entries != nullptr && is_counter_base(node)) {
    static const std::vector<CounterEntry> kNoBaseline;
    node.sum = counter_value(present ? std::optional(node.reg->value) : std::nullopt,
                             node.governs ? node.reg->baseline : kNoBaseline, *node.entries);
    return node.sum.value ? Node::Shows::kCounter : Node::Shows::kNothing;
  }
  return present ? Node::Shows::kRegister : Node::Shows::kNothing;
}

void resolve(Node& node, const Dot& above, bool is_root) {
  node.governs = node.reg != nullptr && !(above > node.reg->stamp);
  node.stamp = node.governs ? node.reg->stamp : above;
  bool any_child = false;
  for (Node& child : node.children) {
    resolve(child, node.stamp, false);
    any_child |= child.shows != Node::Shows::kNothing;
  }
  node.shows = is_root ? Node::Shows::kDocument : shown_by(node, any_child);
}

void write_fields(const Node& node, bool is_root, bson::Writer& out) {
  std::vector<const Node*> fields;
  for (const Node& child : node.children) {
    if (child.shows != Node::Shows::kNothing) fields.push_back(&child);
  }
  // MongoDB keeps _id first; fields without a place of their own come last.
  auto rank = [&](const Node* field) {
    const uint32_t order = field->governs ? field->reg->order : UINT32_MAX;
    return std::tuple(!(is_root && field->name == "_id"), order, field->name);
  };
  std::sort(fields.begin(), fields.end(),
            [&](const Node* a, const Node* b) { return rank(a) < rank(b); });
  for (const Node* field : fields) {
    switch (field->shows) {
      case Node::Shows::kNothing:
        break;
      case Node::Shows::kDocument:
        out.open_document(field->name);
        write_fields(*field, false, out);
        out.close();
        break;
      case Node::Shows::kRegister:
        out.value(field->name, field->reg->value);
        break;
      case Node::Shows::kCounter:
        out.value(field->name, *field->sum.value);
        break;
    }
  }
}

void report_overflow(const Node& node, Path& path, std::vector<Loss>& losses) {
  if (node.shows == Node::Shows::kCounter && node.sum.clamped) {
    Loss loss;
    loss.kind = LossKind::kOverflow;
    loss.path = path;
    loss.value = node.entries->back().sum;
    loss.loser = Dot{node.entries->back().last, node.entries->back().first.origin};
    loss.winner = node.stamp;
    loss.winning = node.sum.value;
    losses.push_back(std::move(loss));
  }
  for (const Node& child : node.children) {
    path.emplace_back(child.name);
    report_overflow(child, path, losses);
    path.pop_back();
  }
}

}  // namespace

Node view_tree(const Body& body) {
  Node root;
  for (const auto& [path, reg] : body.registers) node_at(root, path).reg = &reg;
  for (const auto& [path, entries] : body.counters) node_at(root, path).entries = &entries;
  for (const auto& [path, stamp] : body.asserted) node_at(root, path).asserted = stamp;
  resolve(root, Dot(), true);
  return root;
}

const Node* find_node(const Node& root, const Path& path, std::vector<const Node*>* above) {
  const Node* node = &root;
  for (const std::string& name : path) {
    if (above != nullptr) above->push_back(node);
    const auto at =
        std::lower_bound(node->children.begin(), node->children.end(), name,
                         [](const Node& child, std::string_view n) { return child.name < n; });
    if (at == node->children.end() || at->name != name) return nullptr;
    node = &*at;
  }
  return node;
}

std::string write_document(const Node& root) {
  bson::Writer out;
  write_fields(root, true, out);
  return out.finish();
}

std::optional<std::string> visible(const DocumentState& state, std::vector<Loss>* losses) {
  OUTRIGGER_ASSERT(state.full);
  if (state.incarnations.empty()) return std::nullopt;
  Body joined;
  const bool single = state.incarnations.size() == 1;
  if (!single) joined = join(state.incarnations);
  const Node root = view_tree(single ? state.incarnations.front().body : joined);
  if (losses != nullptr) {
    Path path;
    report_overflow(root, path, *losses);
  }
  return write_document(root);
}

}  // namespace outrigger::merge
