// The rules of one body, the mergeable state of one incarnation of a document: those that are true
// of every type of merge. What a state at one path means is its type's affair (types/types.h).
//
// A register wins over an older one at its path, and over every older one below its path. So the
// register that governs a path is its own, unless a container above was assigned later; then the
// path holds what was assigned with that container. Equal stamps are one commit and never kill each
// other. Counters live beside registers: an increment that the governing register's author had not
// seen (not in its baseline) adds to whatever value stands there. So do lists: elements that its
// author had not seen stand beside those it assigned; what stands in an element merges in a body of
// its own (inside.h). Every effect also asserts that the containers
// above it were there when it was made.
//
// Besides merging there is forgetting: `purge` drops what no later effect can bring back to view.
#pragma once

#include "replication/merge/merge.h"
#include "replication/merge/types/types.h"

namespace outrigger::merge {

// What stands for a path: its own register, that of a container above which was assigned later, or,
// without either, the floor.
struct Governor {
  Dot stamp;
  const Register* reg = nullptr;  // null: the floor
  bool is_own = false;            // `reg` is the path's own
  size_t depth = 0;               // of the path `reg` stands at

  // The register that types count on: the path's own where it governs, else null.
  [[nodiscard]] const Register* own() const { return is_own ? reg : nullptr; }
};
[[nodiscard]] Governor governor_of(const Body& body, const Path& path);

// Least upper bound of bodies that saw the same removals. No floor is left in it.
[[nodiscard]] Body join(const std::vector<const Body*>& bodies);
[[nodiscard]] Body join(const std::vector<Incarnation>& incarnations);
// A document's one body, joined where it has several incarnations. Borrows from the state.
class WholeBody {
 public:
  explicit WholeBody(const DocumentState& state) {
    const bool single = state.incarnations.size() == 1;
    if (!single) joined_ = join(state.incarnations);
    body_ = single ? &state.incarnations.front().body : &joined_;
  }
  WholeBody(const WholeBody&) = delete;
  WholeBody& operator=(const WholeBody&) = delete;
  [[nodiscard]] const Body& operator*() const { return *body_; }
  [[nodiscard]] const Body* operator->() const { return body_; }

 private:
  Body joined_;
  const Body* body_;
};

// Does a new document's birth leave the fields of other births beside its own? An upsert's does,
// and where inserts merge any, unless it has no fields to merge (opaque) or too many.
[[nodiscard]] bool is_weak_birth(const DocumentChange& change, bool inserts_merge);
// Does a change make a new document?
[[nodiscard]] inline bool is_new(const DocumentChange& change) {
  return change.kind == DocumentChange::Kind::kInsert ||
         change.kind == DocumentChange::Kind::kUpsert;
}
// Can this effect be applied at all? False for what no author of ours makes: too deep, a name with
// NUL, a sum that is no number, another origin's entry, an _id that is not the document's.
[[nodiscard]] bool well_formed(const Effect& effect, const Dot& stamp, const bson::OwnedValue& id);
// One effect on one body, except kRemove; births: on the body of the new incarnation.
void apply_effect(Body& body, const Effect& effect, Authorship& author);
// In a full state every path of a contest has a register of its own: what shows there without it.
void complete_contests(Body& body);
// Before the effects of one record: where it begins to count, or a contest, what the document holds
// there becomes the register it counts from, or that is under the contest.
void begin_counters(Body& body, const DocumentEffects& effects);

// ---- lists (lists.cc)
// The register of an array whose elements are the list's.
void leave_to_list(Register& reg);
[[nodiscard]] bool is_left_to_list(const Register& reg);
// The stamp of what stands for a path without a register of its own.
[[nodiscard]] Dot stamp_above(const Body& body, const Path& path);
// What stands at the path of a full state becomes a list, if it is none.
void begin_list(Body& body, const Path& path);
// The same of a sparse one, from what the store showed before a kEdit.
void begin_local_list(Body& body, const PathChange& change);
void apply_edit(Body& body, const Effect& effect, const Authorship& author);
// Arrays that were just given, by who has seen removals that win elsewhere: their elements say so.
void begin_lists_after(Body& body, const Effect& effect, const Authorship& author);
// What an array that was assigned as a whole leaves out, where removals win.
void take_from_assigned(Body& body, const Effect& effect, const Authorship& author);
// What the author of a value has seen taken away in the arrays of other incarnations.
void note_removals(Authorship& author, const DocumentState& state);
// An effect on what stands in an element.
void apply_inside(Body& body, const Effect& effect, const Authorship& author);
// After all effects of a record: the elements it wrote into show that.
void show_insides(Body& body);
// `fresh` is about to be put at `path`: what becomes of lists there and below.
void assign_lists(Body& body, const Path& path, Register& fresh, const Authorship& author);
// Which of the lists do not show. Of a body without kShown content.
void note_hidden(Body& body);
// What a row leaves out: the registers of lists whose array came with a container.
void complete_lists(Body& body);
// Of those whose registers are joined already.
void join_lists(Body& joined, const std::vector<const Body*>& bodies);
// Forgets lists that say nothing, and assertions that what governs has overtaken.
void purge_lists(Body& body);

// Drops registers older than one above them and assertions no newer than what governs their path.
// Neither can show again: stamps at a path only grow. It is safe to forget them before they are
// stable themselves, since the register that beats them stays until it is stable, and by then
// every record concurrent with it has been applied here.
void purge(Body& body);
// The store does not show what the registers say it does, or there is no document at all.
void give_up_shown(Body& body);

}  // namespace outrigger::merge
