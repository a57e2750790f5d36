// Incarnations: which of them a record touches, and when those that everybody knows become one.
#include <algorithm>

#include "replication/merge/body.h"
#include "replication/merge/losses.h"

namespace outrigger::merge {
namespace {

bool all_observed(const std::vector<Dot>& births, const Record& record) {
  return std::all_of(births.begin(), births.end(),
                     [&](const Dot& birth) { return record.deps.covers(birth); });
}

uint32_t next_order(const DocumentState& state) {
  uint32_t next = 0;
  for (const Incarnation& incarnation : state.incarnations) {
    for (const auto& [path, reg] : incarnation.body.registers) {
      next = std::max(next, reg.order + 1);
    }
  }
  return next;
}

void add_birth(DocumentState& state, const Dot& dot) {
  for (const Incarnation& incarnation : state.incarnations) {
    const auto& births = incarnation.births;
    if (std::find(births.begin(), births.end(), dot) != births.end()) return;
  }
  state.incarnations.emplace_back().births.push_back(dot);
}

void remove_observed(DocumentState& state, const Record& record, LossFinder& losses) {
  const DocumentState before = state;
  std::erase_if(state.incarnations, [&](const Incarnation& incarnation) {
    if (!all_observed(incarnation.births, record)) return false;
    losses.removed(before, incarnation);
    return true;
  });
}

// Calls visit(stamp, needs_closed): see the types of merge.
template <typename Visit>
void for_each_stamp_in(const Body& body, const Visit& visit) {
  for (const auto& [path, reg] : body.registers) for_each_stamp(reg, visit);
  for (const auto& [path, entries] : body.counters) for_each_stamp(entries, visit);
  for (const auto& [path, list] : body.lists) for_each_stamp(list, visit);
  for (const auto& [path, contest] : body.contests) for_each_stamp(contest, visit);
  for (const auto& [path, stamp] : body.asserted) visit(stamp, false);
}

// The names of elements outlive the rest.
Body names_of(const Body& body) {
  Body names;
  for (const auto& [path, list] : body.lists) {
    if (list.hidden || is_as_assigned(list)) continue;
    List& kept = names.lists[path];
    kept = list;
    settle(kept);
  }
  return names;
}

// Births that everybody knows become one; a record that is still to come has seen all of them.
void join_stable_births(DocumentState& state, const VersionVector& stable) {
  const auto is_stable = [&](const Incarnation& incarnation) {
    return std::all_of(incarnation.births.begin(), incarnation.births.end(),
                       [&](const Dot& birth) { return stable.covers(birth); });
  };
  const auto young =
      std::stable_partition(state.incarnations.begin(), state.incarnations.end(), is_stable);
  const std::vector<Incarnation> old(state.incarnations.begin(), young);
  if (old.size() < 2) return;
  Incarnation joined;
  for (const Incarnation& incarnation : old) {
    joined.births.insert(joined.births.end(), incarnation.births.begin(), incarnation.births.end());
  }
  std::sort(joined.births.begin(), joined.births.end());
  joined.body = join(old);
  purge(joined.body);
  note_hidden(joined.body);
  state.incarnations.erase(state.incarnations.begin(), young);
  state.incarnations.push_back(std::move(joined));
}

}  // namespace

void apply_remote(DocumentState& state, const Record& record, const DocumentEffects& effects,
                  std::vector<Loss>* losses) {
  OUTRIGGER_ASSERT(state.full);
  const Dot dot = record.dot();
  // Of several incarnations one may go and leave what another had hidden; so may a value of those
  // beside each other.
  state.opaque |= state.incarnations.size() > 1 ||
                  std::any_of(state.incarnations.begin(), state.incarnations.end(),
                              [](const auto& each) { return !each.body.contests.empty(); });
  LossFinder finder(state, record, effects, losses);
  Authorship author(dot, &record.deps, effects);
  author.next_order = next_order(state);
  for (Incarnation& incarnation : state.incarnations) {
    if (all_observed(incarnation.births, record)) begin_counters(incarnation.body, effects);
  }
  bool updates = false;
  bool touched = false;
  for (const Effect& effect : effects.effects) {
    if (!well_formed(effect, dot, effects.id)) continue;
    if (effect.kind == Operation::kRemove) {
      remove_observed(state, record, finder);
      continue;
    }
    state.opaque |= bson::repeats_names(effect.value.view());
    if (effect.is_birth()) add_birth(state, dot);
    updates = true;
    for (Incarnation& incarnation : state.incarnations) {
      const auto& births = incarnation.births;
      const bool own = births.size() == 1 && births.front() == dot;
      const bool reached = !effect.is_birth() && all_observed(births, record);
      if (!own && !reached) continue;
      apply_effect(incarnation.body, effect, author);
      touched = true;
    }
  }
  if (updates && !touched) finder.discarded();
  finder.finish(state);
  for (Incarnation& incarnation : state.incarnations) purge(incarnation.body);
}

std::string stable_row(const DocumentState& state) {
  DocumentState rest;
  rest.opaque = state.opaque;
  for (const Incarnation& incarnation : state.incarnations) {
    Body names = names_of(incarnation.body);
    if (names.lists.empty()) continue;
    Incarnation& kept = rest.incarnations.emplace_back();
    kept.births.emplace_back();
    kept.body = std::move(names);
  }
  return strip(rest);
}

bool collect(DocumentState& state, const VersionVector& stable, const VersionVector& closed) {
  join_stable_births(state, stable);
  if (state.detached || state.incarnations.size() > 1) return false;
  for (const Incarnation& incarnation : state.incarnations) {
    for (const Dot& birth : incarnation.births) {
      if (!stable.covers(birth)) return false;
    }
    bool settled = true;
    for_each_stamp_in(incarnation.body, [&](const Dot& stamp, bool needs_closed) {
      settled &= stable.covers(stamp) && (!needs_closed || closed.covers(stamp));
    });
    if (!settled) return false;
  }
  return true;
}

VersionVector stamps(const DocumentState& state) {
  VersionVector result;
  for (const Incarnation& incarnation : state.incarnations) {
    for (const Dot& birth : incarnation.births) result.raise(birth.origin, birth.hlc);
    for_each_stamp_in(incarnation.body,
                      [&](const Dot& stamp, bool) { result.raise(stamp.origin, stamp.hlc); });
  }
  return result;
}

}  // namespace outrigger::merge
