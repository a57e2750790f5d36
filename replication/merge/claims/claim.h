// Whose is a key that two documents hold? Sites that were apart can each take in a document with
// the same e-mail address, and a unique index lets only one of them be shown.
//
// The owner rule: documents are ordered by their *claims*, and a document is shown unless an
// earlier one that is shown holds one of its keys. One that is not shown is *parked*: it holds no
// key, so that of three in a ring not all vanish. A claim is since when the document holds its keys
// (merge/holding/holding.h: a birth, a write that may have changed them, what brought it back after
// a removal), then the _id. It is a function of what was written alone, whatever the indexes are
// today, and who holds a key is one of all merged documents: the same wherever the same was seen,
// in whatever order it came.
//
// Claims are forgotten; a forgotten one is zero, earlier than any other. Sites forget at different
// times, and yet order any two documents that meet in a key alike. Say A claims a, X claims x, a is
// the earlier one, and they hold one key. What must not be is that a site has forgotten x and still
// has to compare the two. It forgets x (site/collection.cc) only when
//   - everything that is remembered of X is stable, and so is all that is known there and is not
//     later than x: whatever arrives from then on has seen that, and has a larger stamp;
//   - nothing that is set aside in the collection, for whatever reason, claims x or earlier.
// If A and X both hold the key there by then, one of them is set aside, and claims no later than x.
// So one of them has yet to come to hold it, by something that arrives later. That has seen x, so
// it does not count: else it would be the later claim. So it has seen all that counts, of A and of
// X, and was written where each is one document: it keeps the keys as they show here, too. (Neither
// does a removal bring an older key back: it takes what is as old as a with it.)
//
// What an index finds that is made when documents collide already is nobody's to order so: it
// cannot be built, and the ledger says so.
#pragma once

#include <compare>
#include <string>

#include "replication/merge/merge.h"

namespace outrigger::merge {

struct Claim {
  Dot dot;                   // zero: forgotten
  std::string canonical_id;  // documents of one commit have one stamp
  friend auto operator<=>(const Claim&, const Claim&) = default;
};

// Of a sparse state or a full one, the same of both. Without a document: zero.
[[nodiscard]] Dot claim_of(const DocumentState& state);
// The least it can come to be by removals: that of its earliest incarnation, those that are gone
// included.
[[nodiscard]] Dot least_claim_of(const DocumentState& state);

}  // namespace outrigger::merge
