// Since when an incarnation holds the keys of unique indexes that it shows.
//
// Its author says of each write whether it may have changed them (record/operation.h): a write that
// may is a *claim*, and so is a birth. Later writes that leave them as they were leave the claim as
// it was, too: an owner that is saved again, whole, goes on being the earlier one.
//
// What "as they were" means is what the author saw. Of two that did not see each other, one that
// moves the document to another key and one that writes the old key again, the merge may show
// either: the second gives the document a key that it had lost. So a write that keeps the keys
// counts as a claim where it and something that counts have not seen each other; where it met
// others that keep them it does not, however many sites write at once. A removal that yields
// counts, too, and so does every write, wherever it wrote, that did not see such a one nor was seen
// by it: it has brought the document back. So these make a chain, of which the newest stands. In
// whatever order they come it is the same: a function of what was written, so sites agree.
//
// With that, who comes to show a key does so by a write that counts, or by one that saw all that
// counts (claims/claim.h builds on it). Whoever writes where several incarnations stand beside each
// other claims: what it keeps is what these show together.
//
// Where there are no unique indexes nobody counts anything, and rows have no bytes of this.
#pragma once

#include <vector>

#include "replication/causality/version_vector.h"
#include "replication/record/operation.h"

namespace outrigger::merge {

struct Holding {
  Dot since;             // the newest that counts; zero: none but births
  VersionVector counts;  // of each origin the newest that does. Holes mean nothing
  VersionVector keeps;   // likewise of those that have seen all that counts, and keep the keys
  VersionVector passes;  // likewise of those that write elsewhere
  [[nodiscard]] bool empty() const {
    return since.is_zero() && counts.empty() && keeps.empty() && passes.empty();
  }
  friend bool operator==(const Holding&, const Holding&) = default;
};

// One that yields, and has met an incarnation.
struct NotedRemoval {
  Dot dot;
  Removal why = Removal::kUpdateWins;  // never kPlain
};

// A write that reaches it. `seen`: what its author had; null: all there is.
void note_write(Holding& holding, const std::vector<NotedRemoval>& removals, const Dot& dot,
                Keys keys, const VersionVector* seen);
// A removal that yields.
void note_yielding(Holding& holding, const Dot& dot, const VersionVector* seen);
// Of two that have become one.
void join(Holding& into, const Holding& other);

// Calls visit(stamp) for each write that others may have to be compared with.
template <typename Visit>
void for_each_compared(const Holding& holding, const Visit& visit) {
  for (const VersionVector* all : {&holding.counts, &holding.keeps, &holding.passes}) {
    for (const auto& [origin, hlc] : all->entries()) visit(Dot{hlc, origin});
  }
}

}  // namespace outrigger::merge
