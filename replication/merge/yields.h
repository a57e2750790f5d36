// Removals that yield: an update their author had not seen stands against them.
//
// Such a removal takes nothing out of the state. It is noted at every incarnation that its author
// had before it, with what it had seen of it. An incarnation of which everything was seen by the
// removals noted there is *gone*: no document shows it, but its row holds all of it, so that an
// update which arrives later brings it back whole. Whether it is gone is a function of the state,
// so sites agree whatever came first.
//
// Incarnations that met one removal are judged together, as the one document they were to its
// author; so it makes no difference where their births were joined before. What is gone is kept
// until nobody can write to it any more.
//
// An author who has a document gone writes to others of this _id without reaching it, and one for
// whom it is back reaches it. Who remembers a removal therefore names it with what it writes there;
// who has forgotten it has seen all there was to it.
#pragma once

#include "replication/merge/merge.h"

namespace outrigger::merge {

// Had the author of this record seen all these births?
[[nodiscard]] bool all_observed(const std::vector<Dot>& births, const Record& record);
// Do effects of this record reach what is remembered there? `is_gone`: it is gone here.
[[nodiscard]] bool reaches(const Record& record, const DocumentEffects& effects,
                           const Incarnation& incarnation, bool is_gone);
// Notes a removal that has seen what `deps` covers; null: all there is.
void note_removal(Incarnation& incarnation, const Dot& dot, Removal why, const VersionVector* deps);
// Had its author seen all that is in a body?
[[nodiscard]] bool knows_all_of(const Record& record, const Body& body);
// The newest stamps in a body. After a record whose author had not seen all was applied to an
// incarnation that had these, notes which of its writes have been overwritten.
[[nodiscard]] VersionVector newest_in(const Body& body);
// Of these writes those that are not among the known ones.
[[nodiscard]] VersionVector beyond(const VersionVector& writes, const VersionVector& known);
void note_overwritten(Incarnation& incarnation, const VersionVector& before, const Record& record);
// What of an incarnation that it does not reach the author has seen: a value takes its place.
void note_unreached(Authorship& author, const Body& body);
// Puts what is gone apart from what is there. Of a full state.
void part(DocumentState& state);
// The newest write to it that no removal noted there has seen; zero: there is none.
[[nodiscard]] Dot newest_unseen(const Incarnation& incarnation);
// What the removal of a document that this site takes away can be: it yields only where all of the
// document is known, to be kept.
[[nodiscard]] Removal removal_of(const DocumentState& state, const DocumentChange& change);
// Names the removals that are remembered.
void name_removals(const DocumentState& state, DocumentEffects& effects);

// Removals that this record, or what was there before it, has outlived, once what is gone is known.
// `called`: births of what was gone, and may be there again.
void note_withstood(const DocumentState& after, const Record& record,
                    const std::vector<Dot>& called, std::vector<Loss>& losses);

// Has everybody everything that is remembered of it?
[[nodiscard]] bool is_stable(const Incarnation& incarnation, const VersionVector& stable);

// Calls visit(stamp, needs_closed) for each stamp in a body: see the types of merge.
template <typename Visit>
void for_each_stamp_in(const Body& body, const Visit& visit) {
  for (const auto& [path, reg] : body.registers) for_each_stamp(reg, visit);
  for (const auto& [path, entries] : body.counters) for_each_stamp(entries, visit);
  for (const auto& [path, list] : body.lists) for_each_stamp(list, visit);
  for (const auto& [path, contest] : body.contests) for_each_stamp(contest, visit);
  for (const auto& [path, stamp] : body.asserted) visit(stamp, false);
  for (const auto& [path, seen] : body.replaced) {
    for (const auto& [origin, hlc] : seen.entries()) visit(Dot{hlc, origin}, false);
  }
}

// Likewise births, removals, and what since when keys are held is told from.
template <typename Visit>
void for_each_stamp_in(const Incarnation& incarnation, const Visit& visit) {
  for (const Dot& birth : incarnation.births) visit(birth, false);
  for_each_stamp_in(incarnation.body, visit);
  for (const NotedRemoval& each : incarnation.removals) visit(each.dot, false);
  for_each_compared(incarnation.holding, [&](const Dot& stamp) { visit(stamp, false); });
  for (const auto& [origin, hlc] : incarnation.overwritten.entries()) {
    visit(Dot{hlc, origin}, false);
  }
}

}  // namespace outrigger::merge
