// A contest: the values that sites gave to one path without knowing of each other, side by side,
// of which a rule says which one shows.
//
// It stands beside the register of its path, which goes on holding the newest of them. A value
// takes the place of those its author had seen, whatever the rule would say of the two: who has
// seen a value and writes another one means it. So a value that is replaced need not be remembered:
// whoever may still replace it, too, has seen it. What is assigned or taken away above the path
// replaces what it had seen likewise; values it had not seen show in it.
//
// Under one rule all of them show, as the array of what is in them. The store then shows none of
// them, and whoever writes has seen each.
//
// Values are in the row as long as the contest is: the store shows one of them at most.
#pragma once

#include <optional>
#include <vector>

#include "replication/merge/types/row_stamps.h"
#include "replication/record/contest_rule.h"
#include "replication/record/effect.h"

namespace outrigger::merge {

struct Authorship;

struct Contender {
  Dot dot;  // of the commit that gave it
  bool absent = false;
  bson::OwnedValue value;  // unless it is absent
  ContestRule rule;
};

struct Contest {
  std::vector<Contender> contenders;  // by their dots, each once
};

// One value more, in place of those its author had seen.
void contend(Contest& contest, const Effect& effect, const Authorship& author);
// The author has given a container above a value.
void drop_observed(Contest& contest, const Authorship& author);
// What is in either of them.
void join(Contest& contest, const Contest& other);

// The one that shows; there is one. Where all of them do, the newest.
[[nodiscard]] const Contender& chosen(const Contest& contest);
// Where all of them show that are there: the distinct elements of all, those of the earlier first;
// of what is no array, itself. Nothing: the chosen one shows, as it is the only one, all are equal,
// or it would be more than a document should hold (kUnionBytesMax, kUnionDepthMax).
[[nodiscard]] std::optional<bson::OwnedValue> union_of(const Contest& contest);
// So that a document has room for several, and one is made within milliseconds.
inline constexpr size_t kUnionBytesMax = size_t{1} << 20;
inline constexpr int kUnionDepthMax = 100;
// Was it this commit that gave one of them, other than by taking it away?
[[nodiscard]] bool has_given(const Contest& contest, const Dot& dot);
// The order in which MongoDB sorts values: by kind first, so every text is above every number.
[[nodiscard]] int compare_values(const bson::Value& a, const bson::Value& b);

// Calls visit(stamp, needs_closed) for what must be stable before the contest can be forgotten.
template <typename Visit>
void for_each_stamp(const Contest& contest, const Visit& visit) {
  for (const Contender& each : contest.contenders) visit(each.dot, false);
}

void write(RowOut& out, const Contest& contest);
void read(RowIn& in, Contest& contest);

}  // namespace outrigger::merge
