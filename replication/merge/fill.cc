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
#include "replication/merge/paths.h"
#include "replication/merge/row.h"
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
bool is_implied(const Register& reg, Content content, const Dot* inherited, const Body& body) {
  if (!reg.baseline.empty()) return false;
  if (inherited != nullptr) {
    const bool from_document = content == Content::kShown || content == Content::kAbsent;
    return from_document && reg.stamp == *inherited;
  }
  if (content == Content::kAbsent) return reg.stamp.is_zero();
  // Containers of a floor have no stamp: what lies in them asserts them.
  const Dot floor = reg.content == Content::kDocument ? Dot() : body.floor_stamp;
  return content == Content::kShown && reg.stamp == floor;
}

// The registers of a full body that the document does not imply.
std::map<Path, Register> needed_registers(const Body& body, const Node& root) {
  std::map<Path, Register> needed;
  // A document that is one value hides what is below; it must not be read back as shown there.
  const bool one_value = root.shows == Node::Shows::kRegister;
  StampsAbove kept;
  for (const auto& [path, reg] : body.registers) {
    const bool hidden = body.counters.contains(path) || (one_value && !path.empty());
    const Content content = hidden ? reg.content : content_in_row(reg, find_node(root, path));
    if (is_implied(reg, content, kept.nearest(path), body)) continue;
    needed.emplace_hint(needed.end(), path, kept_in_row(reg, content));
    kept.note(path, reg.stamp);
  }
  return needed;
}

bool nothing_to_remember(const Incarnation& incarnation) {
  const Body& body = incarnation.body;
  return incarnation.births.size() == 1 && incarnation.births.front().is_zero() &&
         body.registers.empty() && body.counters.empty() && body.asserted.empty();
}

}  // namespace

void fill(DocumentState& state, const std::optional<bson::Document>& document) {
  if (state.full) return;
  state.full = true;
  if (state.incarnations.empty()) {
    if (!document || state.detached) return;
    state.incarnations.emplace_back().births.emplace_back();
  }
  if (state.detached || state.incarnations.size() > 1) return;  // every value is in the row
  Body& body = state.incarnations.front().body;
  if (document) read_shown(body, SharedBytes::of(document->bytes()));
  give_up_shown(body);
  mask_sums(body);
}

void note_opaque(DocumentState& state, const std::optional<std::string>& document) {
  state.opaque = state.opaque && document && bson::repeats_names(bson::Document(*document));
}

std::string strip(const DocumentState& state) {
  if (state.incarnations.empty()) {
    return state.opaque || state.detached ? encode_row(state) : std::string();
  }
  if (!state.is_alone()) return encode_row(state);
  const Incarnation& incarnation = state.incarnations.front();
  DocumentState row;
  row.opaque = state.opaque;
  if (!state.full) {
    if (!nothing_to_remember(incarnation)) return encode_row(state);
    return row.opaque ? encode_row(row) : std::string();
  }
  Incarnation kept;
  kept.births = incarnation.births;
  kept.body.counters = incarnation.body.counters;
  kept.body.asserted = incarnation.body.asserted;
  kept.body.registers = needed_registers(incarnation.body, view_tree(incarnation.body));
  if (!nothing_to_remember(kept)) {
    row.incarnations.push_back(std::move(kept));
  } else if (!row.opaque) {
    return {};
  }
  return encode_row(row);
}

}  // namespace outrigger::merge
