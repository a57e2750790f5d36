// Between a row and the state it stands for: `fill` reads from the document what the row leaves
// out, `strip` leaves out what `fill` would find again.
//
// A field of the document without a register of its own in the row carries the stamp of the nearest
// register of a container above it, since it was assigned with that container; without one, that of
// the floor. So the bytes of those containers, and of the floor, are simply what the document shows
// there. A container that nobody ever assigned (it appeared with a field below it) gets that stamp
// too; it could not be told from one that was there before, and no rule asks: what lives in it
// asserts it with larger stamps.
#include "replication/bson/fields.h"
#include "replication/merge/body.h"
#include "replication/merge/row.h"
#include "replication/merge/types/paths.h"
#include "replication/merge/view.h"

namespace outrigger::merge {
namespace {

void read_shown(Body& body, const SharedBytes& document) {
  bson::PathFinder finder(document.document());
  for (auto& [path, reg] : body.registers) {
    if (reg.content != Content::kShown) continue;
    const auto value = finder.find(path);
    if (value) hold(reg, path, *value, document);
  }
  for (auto& [path, list] : body.lists) {
    if (list.settled) take_values(list, finder.find(path));
  }
  if (!body.registers.contains(Path())) body.floor = document;
}

// Where increments count from nothing, the sum in the document is no base.
void mask_sums(Body& body) {
  for (const auto& [path, entries] : body.counters) {
    if (body.registers.contains(path)) continue;
    Register absent;
    absent.stamp = governor_of(body, path).stamp;
    body.registers.emplace(path, std::move(absent));
  }
}

Content content_in_row(const Register& reg, const Node* node) {
  const bool shown = node != nullptr && node->governs && node->reg == &reg;
  if (!shown) return reg.content;
  const auto shows =
      reg.content == Content::kDocument ? Node::Shows::kDocument : Node::Shows::kRegister;
  return node->shows == shows ? Content::kShown : reg.content;
}

// Would a field of the document without a register be taken for just this one? `inherited`: the
// stamp of the nearest container with a register; null: there is the floor.
bool is_implied(const Path& path, const Register& reg, Content content, const Dot* inherited,
                const Body& body) {
  if (!reg.baseline.empty()) return false;
  const bool list = body.lists.contains(path);
  const bool by_list = list && is_left_to_list(reg);
  if (list && !by_list) return false;
  // The document shows what was chosen.
  if (content != Content::kShown && body.contests.contains(path)) return false;
  if (inherited != nullptr) {
    const bool from_document = content == Content::kShown || content == Content::kAbsent || by_list;
    return from_document && reg.stamp == *inherited;
  }
  if (by_list) return reg.stamp == body.floor_stamp;
  if (content == Content::kAbsent) return reg.stamp.is_zero();
  // Containers of a floor have no stamp: what lies in them asserts them.
  const Dot floor = reg.content == Content::kDocument ? Dot() : body.floor_stamp;
  return content == Content::kShown && reg.stamp == floor;
}

// Containers on the way to `path` that the document shows only because something below them is
// left: should that go, they go with it, so they must not be taken for assigned ones.
void keep_absent_above(const Path& path, const Body& body, const Node& root,
                       std::map<Path, Register>& needed) {
  const auto own = body.registers.find(path);
  if (own != body.registers.end() && own->second.content != Content::kAbsent) return;
  const Node* node = &root;
  for (size_t depth = 1; depth < path.size(); ++depth) {
    node = node->child(path[depth - 1]);
    if (node == nullptr || node->shows != Node::Shows::kDocument) return;
    if (node->content != Content::kAbsent || node->asserted > node->stamp) continue;
    Register absent;
    absent.stamp = node->stamp;
    needed.try_emplace(Path(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(depth)),
                       std::move(absent));
  }
}

// The registers of a full body that the document does not imply.
std::map<Path, Register> needed_registers(const Body& body, const Node& root) {
  std::map<Path, Register> needed;
  // A document that is one value hides what is below; it must not be read back as shown there.
  const bool one_value = root.shows == Node::Shows::kRegister;
  StampsAbove kept;
  for (const auto& [path, reg] : body.registers) {
    const bool hidden =
        body.counters.contains(path) || body.lists.contains(path) || (one_value && !path.empty());
    const Content content = hidden ? reg.content : content_in_row(reg, find_node(root, path));
    if (is_implied(path, reg, content, kept.nearest(path), body)) continue;
    needed.emplace_hint(needed.end(), path, kept_in_row(reg, content));
    kept.note(path, reg.stamp);
  }
  for (const auto& [path, entries] : body.counters) keep_absent_above(path, body, root, needed);
  for (const auto& [path, list] : body.lists) keep_absent_above(path, body, root, needed);
  for (const auto& [path, contest] : body.contests) keep_absent_above(path, body, root, needed);
  return needed;
}

bool nothing_to_remember(const Incarnation& incarnation) {
  const Body& body = incarnation.body;
  return incarnation.births.size() == 1 && incarnation.births.front().is_zero() &&
         incarnation.removals.empty() && incarnation.holding.empty() &&
         incarnation.overwritten.empty() && body.registers.empty() && body.counters.empty() &&
         body.lists.empty() && body.contests.empty() && body.asserted.empty() &&
         body.replaced.empty();
}

bool shows_list(const Node& root, const Path& path) {
  const Node* node = &root;
  for (const std::string& name : path) {
    if (node->shows != Node::Shows::kDocument) return false;
    node = node->child(name);
    if (node == nullptr) return false;
  }
  return node->shows == Node::Shows::kList;
}

void note_hidden(Body& body, const Node& root) {
  for (auto& [path, list] : body.lists) {
    list.hidden = !shows_list(root, path);
    if (list.hidden) unsettle(list);
  }
}

}  // namespace

void note_hidden(Body& body) {
  if (!body.lists.empty()) note_hidden(body, view_tree(body));
}

void fill(DocumentState& state, const std::optional<bson::Document>& document) {
  if (state.full) return;
  state.full = true;
  if (state.incarnations.empty()) {
    if (!document || state.detached) return;
    state.incarnations.emplace_back().births.emplace_back();
  }
  if (!state.is_alone()) return;  // every value is in the row
  Body& body = state.incarnations.front().body;
  if (document) {
    read_shown(body, SharedBytes::of(document->bytes()));
  } else {
    std::erase_if(body.lists, [](const auto& each) { return each.second.settled; });
  }
  give_up_shown(body);
  mask_sums(body);
  complete_lists(body);
  complete_contests(body);
}

void note_opaque(DocumentState& state, const std::optional<std::string>& document) {
  state.opaque = state.opaque && document && bson::repeats_names(bson::Document(*document));
}

std::string strip(const DocumentState& state) {
  if (state.incarnations.empty()) {
    const bool says = state.opaque || state.detached || !state.gone.empty();
    return says ? encode_row(state) : std::string();
  }
  if (!state.is_alone()) return encode_row(state);
  const Incarnation& incarnation = state.incarnations.front();
  DocumentState row;
  row.opaque = state.opaque;
  row.gone = state.gone;
  if (!state.full) {
    if (!nothing_to_remember(incarnation) || !row.gone.empty()) return encode_row(state);
    return row.opaque ? encode_row(row) : std::string();
  }
  Incarnation kept;
  kept.births = incarnation.births;
  kept.holding = incarnation.holding;
  kept.overwritten = incarnation.overwritten;
  kept.body.counters = incarnation.body.counters;
  kept.body.asserted = incarnation.body.asserted;
  kept.body.lists = incarnation.body.lists;
  kept.body.contests = incarnation.body.contests;
  kept.body.replaced = incarnation.body.replaced;
  const Node root = view_tree(incarnation.body);
  kept.body.registers = needed_registers(incarnation.body, root);
  note_hidden(kept.body, root);
  if (!nothing_to_remember(kept) || !row.gone.empty()) {
    row.incarnations.push_back(std::move(kept));
  } else if (!row.opaque) {
    return {};
  }
  return encode_row(row);
}

}  // namespace outrigger::merge
