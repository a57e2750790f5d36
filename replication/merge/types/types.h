// The types of merge: what may stand at a path and what two writes make of it. A body (body.h)
// knows paths, births and which register governs a path; what a state at one path means, only its
// type knows. A register is the ground of all others: a counter stands beside one and counts on it,
// a list stands beside one and holds the elements of the array it was.
//
// A contest is a register, too: values that did not know of each other stay beside it, and a rule
// says which one shows (contest.h). That rule comes with the effect.
//
// A new type is a header and a source in this folder, a MergeType, and a map by path in Body. It
// has these functions (named as a counter's), asked for in these places:
//
//   type_of                              which type takes a local operation     local_effects.cc
//   counted, new_entry                   the effect it becomes                  local_effects.cc
//   may_count, may_have_seen             what a peer's effect may say           well_formed.cc
//   count                                the effect, applied                    body.cc
//   drop_folded                          a value is given to its path or above  body.cc
//   join, for_each_stamp, write, read    every state has them: MergeState       body.cc, births.cc,
//                                                                               row_encode.cc, ...
//   counter_base, sum_of                 what it shows over its register        view.cc
//   still_counts, gained                 what a merge hid of it                 losses.cc
//
// The type is chosen once, where a write is made; everywhere else an effect's operation tells it,
// so that sites need not agree on a rule to agree on a document.
#pragma once

#include "config/policy.h"
#include "replication/merge/types/contest.h"
#include "replication/merge/types/counter.h"
#include "replication/merge/types/list.h"
#include "replication/merge/types/register.h"

namespace outrigger::merge {

enum class MergeType : uint8_t { kRegister, kCounter, kList };

// Which type takes an operation on a path that this rule governs.
[[nodiscard]] inline MergeType type_of(Operation operation, PathType rule) {
  // Whoever captured an increment in place of its result has left no value to assign.
  if (operation == Operation::kIncrement) return MergeType::kCounter;
  return operation == Operation::kEdit && !is_assigned(rule) ? MergeType::kList
                                                             : MergeType::kRegister;
}

// Between what increments are to keep the number at such a path.
[[nodiscard]] inline std::optional<Bounds> bounds_of(const PathRuling& ruling) {
  return ruling.rule == nullptr ? std::nullopt : ruling.rule->bounds;
}

// The contest that values of a path are in, if they are in any, where this site gives one.
[[nodiscard]] inline ContestRule contest_of(const PathRuling& ruling, const std::string& author) {
  switch (ruling.type) {
    case PathType::kByOperation:
    case PathType::kList:
    case PathType::kKeyed:
    case PathType::kSet:
    case PathType::kCounter:
    case PathType::kBounded:
    case PathType::kLww:
    case PathType::kAtomic:
      break;
    case PathType::kFirstWins:
      return {ContestKind::kFirstWins, {}};
    case PathType::kMax:
      return {ContestKind::kMax, {}};
    case PathType::kMin:
      return {ContestKind::kMin, {}};
    case PathType::kPrefer:
      return {ContestKind::kPrefer, ruling.rule->preferred};
    case PathType::kSite:
      return {ContestKind::kSite, ruling.rule->preferred, author};
    case PathType::kLongest:
      return {ContestKind::kLongest, {}};
    case PathType::kMultiValue:
      return {ContestKind::kMultiValue, {}};
    case PathType::kUnion:
      return {ContestKind::kUnion, {}};
  }
  return {};
}

// What the state of every type can do at one path.
template <typename State>
concept MergeState = requires(State state, const State other, RowOut out, RowIn in) {
  join(state, other);                              // the least upper bound, into the first
  for_each_stamp(other, [](const Dot&, bool) {});  // what must be stable before it is forgotten
  write(out, other);                               // into a row
  read(in, state);                                 // into an empty state
};
static_assert(MergeState<Register> && MergeState<CounterEntries> && MergeState<List> &&
              MergeState<Contest>);

}  // namespace outrigger::merge
