// What a local write does to its own row. The store shows its outcome already, and the write has
// seen everything here, so a sparse state stays sparse: what was assigned is "what the document
// shows", everything it replaced is forgotten.
#include <algorithm>

#include "replication/bson/fields.h"
#include "replication/merge/body.h"
#include "replication/merge/types/paths.h"
#include "replication/merge/yields.h"

namespace outrigger::merge {
namespace {

using Kind = DocumentChange::Kind;

// The first increment at a path: from now on the document shows base plus sums, so the base moves
// into the row.
void keep_base(Body& body, const PathChange& change) {
  if (!change.base_known) return;
  if (body.counters.contains(change.path)) return;
  const auto own = body.registers.find(change.path);
  if (own != body.registers.end() && own->second.content != Content::kShown) return;
  Register base;
  base.stamp = own != body.registers.end()
                   ? own->second.stamp
                   : std::max(governor_of(body, change.path).stamp, body.floor_stamp);
  if (change.base) {
    base.content = Content::kValue;
    base.value = *change.base;
  } else if (own == body.registers.end()) {
    return;  // absent, as a path without a register is
  }
  body.registers[change.path] = std::move(base);
}

// A container that nobody assigned, which is there because something in it is left (fill.cc).
bool holds_what_is_left(const Body& body, const Path& path, const Register& reg) {
  if (reg.content != Content::kAbsent) return false;
  const auto asserted = body.asserted.find(path);
  if (asserted != body.asserted.end() && asserted->second > reg.stamp) return false;
  const auto is_above = [&](const auto& map) {
    const auto next = map.upper_bound(path);
    return next != map.end() && has_prefix(next->first, path);
  };
  return is_above(body.counters) || is_above(body.lists) || is_above(body.contests);
}

// Back to a row: assigned values are in the store, and what has the stamp of its container is
// implied by it.
void leave_values_to_store(Body& body, const Dot& dot) {
  body.floor = {};
  StampsAbove above;
  for (auto at = body.registers.begin(); at != body.registers.end();) {
    auto& [path, reg] = *at;
    const bool counter = body.counters.contains(path);
    const bool list = body.lists.contains(path);
    // A field of an upsert's document that was given its value beside it (not a container: those of
    // a floor have no stamp).
    const bool is_born = reg.stamp == dot && dot == body.floor_stamp &&
                         reg.content == Content::kValue && !counter && !list;
    if (reg.stamp == dot && reg.content != Content::kAbsent && !counter && !list) {
      leave_to_store(reg);
    }
    const Dot* inherited = above.nearest(path);
    const bool from_store =
        list ? is_left_to_list(reg)
             : reg.content == Content::kShown ||
                   (reg.content == Content::kAbsent && !body.contests.contains(path));
    const Dot floor = is_born ? body.floor_stamp : Dot();
    if (from_store && reg.stamp == (inherited == nullptr ? floor : *inherited) &&
        reg.baseline.empty() && !holds_what_is_left(body, path, reg)) {
      at = body.registers.erase(at);
      continue;
    }
    above.note(path, reg.stamp);
    ++at;
  }
}

// Or assigned as a whole after all.
bool is_edited(const DocumentEffects& effects, const Path& path) {
  return std::any_of(effects.effects.begin(), effects.effects.end(), [&](const Effect& effect) {
    return effect.kind == Operation::kEdit && effect.path == path;
  });
}

void remove(DocumentState& state, const DocumentChange& change, const DocumentEffects& effects,
            const Dot& dot) {
  const Removal why = effects.effects.front().removal;
  if (why == Removal::kPlain) {
    state.gone.clear();
  } else {
    const bool is_told = !change.document.empty();
    fill(state, is_told ? std::optional(bson::Document(change.document)) : std::nullopt);
    for (Incarnation& each : state.incarnations) {
      note_removal(each, dot, why, nullptr);
      state.gone.push_back(std::move(each));
    }
  }
  state.incarnations.clear();
  state.detached = false;
  state.opaque = false;
}

bool brings_repeated_names(const DocumentChange& change) {
  if (change.kind != Kind::kUpdate) return bson::repeats_names(bson::Document(change.document));
  return std::any_of(change.changes.begin(), change.changes.end(), [](const PathChange& part) {
    return part.kind == Operation::kAssign && bson::repeats_names(part.value.view());
  });
}

}  // namespace

bool base_known(const DocumentState& state, const Path& path) {
  if (!state.is_sparse()) return true;
  if (state.incarnations.empty()) return false;
  const Body& body = state.incarnations.front().body;
  if (body.counters.contains(path)) return true;
  // A field without a register of its own came with the nearest container that has one; under an
  // unset or a whole value there is no such field.
  Path at = path;
  while (true) {
    const auto reg = body.registers.find(at);
    if (reg != body.registers.end()) {
      const Content content = reg->second.content;
      if (at.size() == path.size()) return content != Content::kShown;
      return content == Content::kAbsent || content == Content::kValue;
    }
    if (at.empty()) return false;
    at.pop_back();
  }
}

bool missing_is_empty(const DocumentState& state, const Path& path) {
  if (!state.is_sparse() || state.incarnations.empty()) return true;
  const Incarnation& incarnation = state.incarnations.front();
  const Body& body = incarnation.body;
  // What a container holds and what it does not hold have one stamp. What the floor holds has that
  // of the upsert, and what it does not hold has none.
  return incarnation.births.front().is_zero() || body.lists.contains(path) ||
         base_known(state, path) || governor_of(body, path).reg != nullptr;
}

void apply_local(DocumentState& state, const DocumentChange& change, const DocumentEffects& effects,
                 const LocalContext& context) {
  if (change.kind == Kind::kRemove) return remove(state, change, effects, context.dot);
  const bool stays_opaque = change.kind == Kind::kUpdate && state.opaque;
  state.opaque = stays_opaque || brings_repeated_names(change);
  // As the effects of a birth tell the others (local_effects.cc).
  if (is_new(change) && !state.detached) {
    state.incarnations.clear();
    state.gone.clear();
  }
  if (state.incarnations.empty() && !is_new(change) && !state.detached) {
    state.incarnations.emplace_back().births.emplace_back();
  }
  if (is_new(change)) state.incarnations.emplace_back().births.push_back(context.dot);
  const bool sparse = state.is_sparse();
  const bool writes = writes_to_what_is_there(effects);
  Authorship author(context.dot, nullptr, effects);
  note_removals(author, state);
  if (writes) {
    for (const Incarnation& each : state.gone) note_unreached(author, each.body);
  }
  for (Incarnation& incarnation : state.incarnations) {
    Body& body = incarnation.body;
    for (const PathChange& part : change.changes) {
      if (!sparse || is_new(change)) continue;
      if (part.kind == Operation::kEdit && is_edited(effects, part.path)) {
        begin_local_list(body, part);
      }
      if (part.kind != Operation::kIncrement) continue;
      OUTRIGGER_ASSERT(part.base_known || base_known(state, part.path));
      keep_base(body, part);
    }
    for (const auto& [path, reg] : body.registers) {
      if (!sparse) author.next_order = std::max(author.next_order, reg.order + 1);
    }
    if (!sparse) begin_counters(body, effects);
    const bool own = is_new(change) && incarnation.births.front() == context.dot;
    if (!own && writes) {
      note_write(incarnation.holding, incarnation.removals, context.dot, effects.keys, nullptr);
    }
    for (const Effect& effect : effects.effects) {
      if (own || !effect.is_birth()) apply_effect(body, effect, author);
    }
    show_insides(body);
    for (const PathChange& part : change.changes) {
      const auto list = body.lists.find(part.path);
      const bool shows = list != body.lists.end() && part.value.type == bson::Type::kArray;
      if (shows && !list->second.settled) take_order(list->second, part.value.view());
    }
    purge(body);
    if (sparse) leave_values_to_store(body, context.dot);
  }
}

}  // namespace outrigger::merge
