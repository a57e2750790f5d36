// The document a state stands for: the tree of what has state of its own, written out over the
// bytes it lies in.
#include <algorithm>
#include <tuple>

#include "replication/merge/inside.h"
#include "replication/merge/view.h"

namespace outrigger::merge {
namespace {

class DocumentWriter {
 public:
  void fields(const Node& node, bool is_root) {
    std::vector<bool> written(node.children.size());
    if (is_root) first_field(node, "_id", written);
    if (node.content == Content::kDocument) {
      for (const bson::Element& element : node.fields) {
        if (is_root && element.name == "_id") continue;
        const Node* child = node.child(element.name);
        if (child == nullptr) {
          out_.element(element);
        } else if (const auto index = static_cast<size_t>(child - node.children.data());
                   !written[index]) {
          written[index] = true;
          field(*child);
        }
      }
    }
    new_fields(node, written);
  }
  std::string finish() { return out_.finish(); }

 private:
  // MongoDB keeps _id first.
  void first_field(const Node& node, std::string_view name, std::vector<bool>& written) {
    const Node* child = node.child(name);
    if (child != nullptr) {
      written[static_cast<size_t>(child - node.children.data())] = true;
      return field(*child);
    }
    if (node.content != Content::kDocument) return;
    const auto value = node.fields.find(name);
    if (value) out_.value(name, *value);
  }

  // What the bytes do not hold comes after them, in the order it was made.
  void new_fields(const Node& node, const std::vector<bool>& written) {
    std::vector<const Node*> left;
    for (size_t i = 0; i < node.children.size(); ++i) {
      const bool shows = node.children[i].shows != Node::Shows::kNothing;
      if (!written[i] && shows) left.push_back(&node.children[i]);
    }
    const auto rank = [](const Node* child) {
      return std::tuple(child->governs ? child->reg->order : UINT32_MAX, child->name);
    };
    std::sort(left.begin(), left.end(),
              [&](const Node* a, const Node* b) { return rank(a) < rank(b); });
    for (const Node* child : left) field(*child);
  }

  void field(const Node& node) {
    switch (node.shows) {
      case Node::Shows::kNothing:
        break;
      case Node::Shows::kDocument:
        out_.open_document(node.name);
        fields(node, false);
        out_.close();
        break;
      case Node::Shows::kRegister:
      case Node::Shows::kList:
      case Node::Shows::kContest:
        out_.value(node.name, node.value);
        break;
      case Node::Shows::kCounter:
        out_.value(node.name, node.sum.shown());
        break;
    }
  }

  bson::Writer out_;
};

// What a resolved tree shows.
std::string write_document(const Node& root) {
  if (root.shows == Node::Shows::kRegister) return std::string(root.value.bytes);
  DocumentWriter out;
  out.fields(root, true);
  return out.finish();
}

void report_overflow(const Node& node, Path& path, std::vector<Loss>& losses);

// In the elements that show.
void report_overflow(const List& list, const Path& path, std::vector<Loss>& losses) {
  for (const size_t i : shown_of(list)) {
    const ListElement& element = list.elements[i];
    if (element.inside == nullptr) continue;
    const Body body = body_in(element);
    std::vector<Loss> inside;
    Path at;
    report_overflow(view_tree(body), at, inside);
    for (Loss& loss : inside) {
      loss.path = path_of_inside(path, element.id(), loss.path);
      losses.push_back(std::move(loss));
    }
  }
}

// The one that loses is the newest increment, to nobody: what the sum counts from, and which of
// them went into it, others may have forgotten by now. Entries are told apart by what the sum is.
void report_bound(const CounterSum& sum, const Path& path, std::vector<Loss>& losses) {
  if (!sum.bound) return;
  Loss& loss = losses.emplace_back();
  loss.kind = LossKind::kBounded;
  loss.path = path;
  loss.value = *sum.value;
  loss.loser = sum.newest->newest();
  loss.winning = sum.bound;
  loss.bounds = sum.newest->bounds;
}

void report_overflow(const Node& node, Path& path, std::vector<Loss>& losses) {
  if (node.shows == Node::Shows::kCounter) report_bound(node.sum, path, losses);
  if (node.shows == Node::Shows::kCounter && node.sum.clamped) {
    Loss loss;
    loss.kind = LossKind::kOverflow;
    loss.path = path;
    loss.value = node.entries->back().sum;
    loss.loser = node.entries->back().newest();
    loss.winner = node.stamp;
    loss.winning = node.sum.value;
    losses.push_back(std::move(loss));
  }
  if (node.shows == Node::Shows::kList) report_overflow(*node.list, path, losses);
  for (const Node& child : node.children) {
    path.emplace_back(child.name);
    report_overflow(child, path, losses);
    path.pop_back();
  }
}

}  // namespace

std::string shown_document(const Body& body) { return write_document(view_tree(body)); }

// But for what lies below the path of a counter, and hides it: there it is taken to show.
std::vector<Loss> bounds_shown(const DocumentState& state) {
  std::vector<Loss> shown;
  const bool tells =
      std::any_of(state.incarnations.begin(), state.incarnations.end(),
                  [](const Incarnation& each) { return tell_bounds(each.body.counters); });
  if (!tells) return shown;
  const WholeBody body(state);
  const auto is_document_at = [&](const Path& path, const Dot& than) {
    const auto asserted = body->asserted.find(path);
    return asserted != body->asserted.end() && asserted->second > than;
  };
  for (const auto& [path, entries] : body->counters) {
    const Governor governor = governor_of(*body, path);
    if (is_document_at(path, governor.stamp)) continue;
    if (governor.reg != nullptr && !governor.is_own && governor.reg->content == Content::kValue) {
      const Path above(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(governor.depth));
      if (!is_document_at(above, governor.stamp)) continue;
    }
    const auto base = counter_base(governor.own());
    if (base) report_bound(sum_of(*base, entries), path, shown);
  }
  return shown;
}

bool is_out_of_bounds(const DocumentState& state) { return !bounds_shown(state).empty(); }

std::vector<Loss> bounds_counted_on(const DocumentState& state, const DocumentEffects& effects) {
  const bool counts =
      std::any_of(effects.effects.begin(), effects.effects.end(), [](const Effect& effect) {
        return effect.kind == Operation::kIncrement && !is_into_element(effect.path);
      });
  return counts ? bounds_shown(state) : std::vector<Loss>();
}

void leave_out_bounds(std::vector<Loss>& losses, const std::vector<Loss>& shown) {
  std::erase_if(losses, [&](const Loss& loss) {
    return loss.kind == LossKind::kBounded &&
           std::any_of(shown.begin(), shown.end(),
                       [&](const Loss& before) { return before.path == loss.path; });
  });
}

std::optional<std::string> document_of(const DocumentState& state, std::vector<Loss>* losses) {
  OUTRIGGER_ASSERT(state.full);
  if (state.incarnations.empty()) return std::nullopt;
  const WholeBody body(state);
  const Node root = view_tree(*body);
  if (losses != nullptr) {
    Path path;
    report_overflow(root, path, *losses);
  }
  return write_document(root);
}

}  // namespace outrigger::merge
