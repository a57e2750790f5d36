// Incarnations: which of them a record touches, and when those that everybody knows become one.
#include <algorithm>

#include "replication/bson/fields.h"
#include "replication/merge/body.h"
#include "replication/merge/losses.h"
#include "replication/merge/types/decompose.h"
#include "replication/merge/yields.h"

namespace outrigger::merge {
namespace {

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
  std::erase_if(state.gone,
                [&](const Incarnation& each) { return all_observed(each.births, record); });
  const DocumentState before = state;
  std::erase_if(state.incarnations, [&](const Incarnation& incarnation) {
    if (!all_observed(incarnation.births, record)) return false;
    losses.removed(before, incarnation);
    return true;
  });
}

const Incarnation* find_birth(const DocumentState& state, const Dot& birth) {
  const auto at = std::find_if(
      state.incarnations.begin(), state.incarnations.end(), [&](const Incarnation& each) {
        return std::find(each.births.begin(), each.births.end(), birth) != each.births.end();
      });
  return at == state.incarnations.end() ? nullptr : &*at;
}

// A removal that yields: whether anything is gone by it shows when all of it is done.
void note_observed(DocumentState& state, const Record& record, const DocumentEffects& effects,
                   Removal why) {
  for (auto* all : {&state.incarnations, &state.gone}) {
    for (Incarnation& each : *all) {
      if (!reaches(record, effects, each, all == &state.gone)) continue;
      note_removal(each, record.dot(), why, &record.deps);
    }
  }
}

// What is gone and is written to stands beside the rest for as long as that takes. Gives a birth
// of each.
std::vector<Dot> call_back(DocumentState& state, const Record& record,
                           const DocumentEffects& effects) {
  std::vector<Dot> called;
  if (!writes_to_what_is_there(effects)) return called;
  const auto back = std::stable_partition(
      state.gone.begin(), state.gone.end(),
      [&](const Incarnation& each) { return !reaches(record, effects, each, true); });
  for (auto at = back; at != state.gone.end(); ++at) {
    called.push_back(at->births.front());
    state.incarnations.push_back(std::move(*at));
  }
  state.gone.erase(back, state.gone.end());
  return called;
}

void note_unreached(Authorship& author, const DocumentState& state, const Record& record,
                    const DocumentEffects& effects) {
  for (const auto* all : {&state.incarnations, &state.gone}) {
    for (const Incarnation& each : *all) {
      if (!reaches(record, effects, each, all == &state.gone)) note_unreached(author, each.body);
    }
  }
}

// What one alone has replaced elsewhere nobody can bring back.
void forget_replaced(DocumentState& state) {
  if (state.incarnations.size() != 1 || !state.gone.empty()) return;
  state.incarnations.front().body.replaced.clear();
}

// The names of elements outlive the rest.
Body names_of(const Body& body) {
  Body names;
  for (const auto& [path, list] : body.lists) {
    if (list.hidden) continue;
    List kept = list;
    settle(kept);
    if (!is_as_assigned(kept)) names.lists[path] = std::move(kept);
  }
  return names;
}

// What the store shows need not be in the row of a document that stands alone.
void leave_to_store(DocumentState& state) {
  DocumentState whole = state;
  whole.full = true;
  if (Result<DocumentState> row = load_row(strip(whole))) state = *std::move(row);
}

// Births that everybody knows become one; a record that is still to come has seen all of them.
void join_stable_births(DocumentState& state, const VersionVector& stable) {
  auto& all = state.incarnations;
  // What a removal has met stays by itself for as long as others may have it gone.
  const bool is_past = std::all_of(all.begin(), all.end(), [&](const Incarnation& each) {
    return each.removals.empty() || is_stable(each, stable);
  });
  const auto may_join = [&](const Incarnation& incarnation) {
    return (is_past || incarnation.removals.empty()) &&
           std::all_of(incarnation.births.begin(), incarnation.births.end(),
                       [&](const Dot& birth) { return stable.covers(birth); });
  };
  const auto young = std::stable_partition(all.begin(), all.end(), may_join);
  const std::vector<Incarnation> old(state.incarnations.begin(), young);
  if (old.size() < 2) return;
  Incarnation joined;
  for (const Incarnation& incarnation : old) {
    joined.births.insert(joined.births.end(), incarnation.births.begin(), incarnation.births.end());
  }
  std::sort(joined.births.begin(), joined.births.end());
  joined.body = join(old);
  for (const Incarnation& incarnation : old) {
    join(joined.holding, incarnation.holding);
    joined.overwritten.raise(incarnation.overwritten);
    joined.overwritten.raise(newest_in(incarnation.body));
  }
  purge(joined.body);
  VersionVector known = newest_in(joined.body);
  known.raise(stable);
  joined.overwritten = beyond(joined.overwritten, known);
  note_hidden(joined.body);
  state.incarnations.erase(state.incarnations.begin(), young);
  state.incarnations.push_back(std::move(joined));
  if (state.is_alone()) leave_to_store(state);
}

}  // namespace

bool is_weak_birth(const DocumentChange& change, bool inserts_merge) {
  if (change.kind != DocumentChange::Kind::kUpsert && !inserts_merge) return false;
  const bson::Document document(change.document);
  return !bson::repeats_names(document) && names_in_paths(document) <= kNamesTakenApartMax;
}

void apply_remote(DocumentState& state, const Record& record, const DocumentEffects& effects,
                  std::vector<Loss>* losses) {
  OUTRIGGER_ASSERT(state.full);
  const Dot dot = record.dot();
  // Of several incarnations one may go and leave what another had hidden; so may a value of those
  // beside each other. One that comes back may be of any kind.
  state.opaque |= state.incarnations.size() > 1 || !state.gone.empty() ||
                  std::any_of(state.incarnations.begin(), state.incarnations.end(),
                              [](const auto& each) { return !each.body.contests.empty(); });
  const std::vector<Dot> called = call_back(state, record, effects);
  LossFinder finder(state, record, effects, losses);
  Authorship author(dot, &record.deps, effects);
  author.next_order = next_order(state);
  note_removals(author, state);
  const bool writes = writes_to_what_is_there(effects);
  if (writes) note_unreached(author, state, record, effects);
  std::map<Dot, VersionVector> before;  // by a birth
  for (Incarnation& incarnation : state.incarnations) {
    if (!reaches(record, effects, incarnation, false)) continue;
    begin_counters(incarnation.body, effects);
    if (!writes) continue;
    if (!knows_all_of(record, incarnation.body)) {
      before.emplace(incarnation.births.front(), newest_in(incarnation.body));
    }
    note_write(incarnation.holding, incarnation.removals, dot, effects.keys, &record.deps);
  }
  bool updates = false;
  std::vector<Dot> touched;  // a birth of each
  for (const Effect& effect : effects.effects) {
    if (!well_formed(effect, dot, effects.id)) continue;
    if (effect.kind == Operation::kRemove) {
      effect.removal == Removal::kPlain ? remove_observed(state, record, finder)
                                        : note_observed(state, record, effects, effect.removal);
      continue;
    }
    state.opaque |= bson::repeats_names(effect.value.view());
    if (effect.is_birth()) add_birth(state, dot);
    updates = true;
    for (Incarnation& incarnation : state.incarnations) {
      const auto& births = incarnation.births;
      const bool own = births.size() == 1 && births.front() == dot;
      const bool reached = !effect.is_birth() && reaches(record, effects, incarnation, false);
      if (!own && !reached) continue;
      apply_effect(incarnation.body, effect, author);
      touched.push_back(births.front());
    }
  }
  for (Incarnation& incarnation : state.incarnations) show_insides(incarnation.body);
  finder.finish(state);
  for (Incarnation& incarnation : state.incarnations) {
    purge(incarnation.body);
    const auto was = before.find(incarnation.births.front());
    if (was != before.end()) note_overwritten(incarnation, was->second, record);
  }
  part(state);
  forget_replaced(state);
  const auto is_there = [&](const Dot& birth) { return find_birth(state, birth) != nullptr; };
  if (updates && std::none_of(touched.begin(), touched.end(), is_there)) finder.discarded();
  if (losses != nullptr) note_withstood(state, record, called, *losses);
}

std::string stable_row(const DocumentState& state, bool keeps_claim) {
  DocumentState rest;
  rest.opaque = state.opaque;
  for (const Incarnation& incarnation : state.incarnations) {
    Incarnation kept;
    kept.births.emplace_back();
    kept.body = names_of(incarnation.body);
    if (keeps_claim) kept.holding.since = claim_of(incarnation);
    if (kept.body.lists.empty() && kept.holding.empty()) continue;
    rest.incarnations.push_back(std::move(kept));
  }
  return strip(rest);
}

bool collect(DocumentState& state, const VersionVector& stable, const VersionVector& closed) {
  join_stable_births(state, stable);
  // All at once: what some of them hold may be why others are gone.
  if (std::all_of(state.gone.begin(), state.gone.end(),
                  [&](const Incarnation& each) { return is_stable(each, stable); })) {
    state.gone.clear();
    forget_replaced(state);
  }
  if (state.detached || state.incarnations.size() > 1 || !state.gone.empty()) return false;
  for (const Incarnation& incarnation : state.incarnations) {
    bool settled = true;
    for_each_stamp_in(incarnation, [&](const Dot& stamp, bool needs_closed) {
      settled &= stable.covers(stamp) && (!needs_closed || closed.covers(stamp));
    });
    if (!settled) return false;
  }
  if (is_out_of_bounds(state)) return false;
  for (Incarnation& incarnation : state.incarnations) {
    if (!incarnation.removals.empty()) note_hidden(incarnation.body);  // its row does not say
  }
  return true;
}

VersionVector stamps(const DocumentState& state) {
  VersionVector result;
  const auto add = [&](const Dot& stamp, bool) { result.raise(stamp.origin, stamp.hlc); };
  for (const auto* all : {&state.incarnations, &state.gone}) {
    for (const Incarnation& incarnation : *all) {
      for_each_stamp_in(incarnation, add);
      for (const auto& [origin, hlc] : incarnation.seen.entries()) result.raise(origin, hlc);
      const Dot& since = incarnation.holding.since;
      if (!since.is_zero()) add(since, false);
    }
  }
  return result;
}

}  // namespace outrigger::merge
