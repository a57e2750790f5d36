// A counter: numbers that add up, whoever adds them and in whatever order they come.
//
// It counts on the register that governs its path, its base: a number, or nothing. Each origin has
// entries there, running sums since the dot that opened them, and what shows is the base plus what
// each entry gained since the base's author had seen it (the base's baseline). Sums are added in
// the order of first dots, so that doubles come out the same everywhere. Under a base that is no
// number increments are kept, hidden.
//
// An increment may tell bounds. Those of the newest entry that counts hold: a sum beyond them is
// remembered, and goes on counting, while the bound shows. So bounds are a view, and no site need
// agree on them, or on the order of increments, to agree on a document.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "replication/merge/types/row_stamps.h"
#include "replication/record/effect.h"

namespace outrigger::merge {

struct Authorship;
struct LocalContext;
struct Register;

using CounterEntries = std::vector<CounterEntry>;  // sorted by first dot
inline const CounterEntries kNoEntries;

// What a counter counts on. Borrows.
struct CounterBase {
  std::optional<bson::Value> number;  // nothing: it begins at nothing
  const CounterEntries* baseline = &kNoEntries;
};
// The base that a path's own register makes where it governs (null: none does). Nothing: what it
// holds is no number, or is not known.
[[nodiscard]] std::optional<CounterBase> counter_base(const Register* own);

// Base plus what the entries gained since. Nothing when the base is absent and no entry counts. An
// entry the baseline covers whole adds nothing at all (a zero could already change the type).
struct CounterSum {
  std::optional<bson::OwnedValue> value;
  bool clamped = false;                   // it left the range of int64
  const CounterEntry* newest = nullptr;   // of those that count; borrowed
  std::optional<bson::OwnedValue> bound;  // shows in its place, as it lies beyond its bounds
  [[nodiscard]] const bson::OwnedValue& shown() const { return bound ? *bound : *value; }
};
[[nodiscard]] CounterSum sum_of(const CounterBase& base, const CounterEntries& entries);
// What one entry adds to a base of this baseline. Nothing: its author had seen all of it.
[[nodiscard]] std::optional<bson::OwnedValue> gained(const CounterEntry& entry,
                                                     const CounterEntries& baseline);
// Is an entry, or a later state of it, still among those that count on a base of this baseline?
[[nodiscard]] bool still_counts(const CounterEntry& entry, const CounterEntries& entries,
                                const CounterEntries& baseline);

// The entry a local increment leaves: ours made longer where that is allowed, else a new one.
[[nodiscard]] CounterEntry counted(const bson::Value& delta, const Register* own,
                                   const CounterEntries& entries, const LocalContext& context);
[[nodiscard]] CounterEntry new_entry(const bson::OwnedValue& delta, const LocalContext& context);
// May a record of this stamp count so? May one name such a baseline?
[[nodiscard]] bool may_count(const CounterEntry& entry, const Dot& stamp);
[[nodiscard]] bool may_have_seen(const CounterEntries& baseline);

// One increment of a record, as it arrives.
void count(CounterEntries& entries, const CounterEntry& increment, const Authorship& author);
// The author has given the path, or a container above, a value. Entries it had seen but does not
// name (`named`) were part of what it replaced: it had folded them already, so nothing of them may
// count on top of the new value.
void drop_folded(CounterEntries& entries, const CounterEntries& named, const Authorship& author);
// Of each entry the later state.
void join(CounterEntries& entries, const CounterEntries& others);
[[nodiscard]] CounterEntries sorted(CounterEntries entries);

// Calls visit(stamp, needs_closed) for what must be stable before the entries can be forgotten.
template <typename Visit>
void for_each_stamp(const CounterEntries& entries, const Visit& visit) {
  for (const CounterEntry& entry : entries) visit(entry.newest(), true);
}

// As who has seen them tells them.
[[nodiscard]] CounterEntries seen(const CounterEntries& entries);

void write(RowOut& out, const CounterEntries& entries);
void read(RowIn& in, CounterEntries& entries);
// The bounds that entries tell stand apart from them in a row: most tell none.
[[nodiscard]] bool tell_bounds(const std::map<Path, CounterEntries>& counters);
void write_bounds(RowOut& out, const std::map<Path, CounterEntries>& counters);
void read_bounds(RowIn& in, std::map<Path, CounterEntries>& counters);

}  // namespace outrigger::merge
