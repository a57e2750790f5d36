// Whose is a key that two documents hold? Sites that were apart can each take in a document with
// the same e-mail address, and a unique index lets only one of them be shown.
//
// The owner rule: documents are ordered by their *claims*, and a document is shown unless an
// earlier one that is shown holds one of its keys. One that is not shown is *parked*: it holds no
// key, so that of three in a ring not all vanish. A claim is the largest stamp among what stands in
// the fields of the collection's unique indexes (but that of _id; with the fields that the filters
// of partial indexes ask for), then the _id. One that a removal yielded to an update took its keys
// again with these two: their stamps count, too, as long as the removal is remembered. So a claim
// is a function of the merged document alone, and who holds a key is one of all merged documents:
// the same wherever the same was seen, in whatever order it came.
//
// Stamps are forgotten once they are stable; such a claim is zero, earlier than any other. Sites
// forget at different times, and yet order any two documents that meet in a key alike:
//   - What is stable here has met everything written without having seen it. What takes the key
//     from now on follows it, and has the larger stamp: zero and the stamp say the same. So has the
//     update that brings back what was gone before.
//   - Two that have met already: where one of them is set aside, for the key or by another error,
//     what claims the same or later in its collection is not forgotten (site/collection.cc), and of
//     what is earlier zero says the same. Which keys a document holds changes with its fields
//     alone, and these give it a new claim.
// What an index finds that is made when documents collide already is nobody's to order so: it
// cannot be built, and the ledger says so.
#pragma once

#include <compare>
#include <span>
#include <string>

#include "replication/merge/merge.h"

namespace outrigger::merge {

struct Claim {
  Dot dot;                   // zero: stable everywhere
  std::string canonical_id;  // documents of one commit have one stamp
  friend auto operator<=>(const Claim&, const Claim&) = default;
};

// The largest stamp among what stands at, above or below these fields. Of a sparse state or a full
// one, the same of both. Without a document: zero.
[[nodiscard]] Dot claim_of(const DocumentState& state, std::span<const Path> fields);

}  // namespace outrigger::merge
