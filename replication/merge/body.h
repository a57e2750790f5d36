// The rules of one body, the mergeable state of one incarnation of a document.
//
// A register wins over an older one at its path, and over every older one below its path. So the
// register that governs a path is its own, unless a container above was assigned later; then the
// path holds what was assigned with that container. Equal stamps are one commit and never kill each
// other. Counters live beside registers: an increment that the governing register's author had not
// seen (not in its baseline) adds to whatever value stands there. Every effect also asserts that
// the containers above it were there when it was made.
//
// Besides merging there is forgetting: `purge` drops what no later effect can bring back to view.
#pragma once

#include <optional>

#include "replication/bson/fields.h"
#include "replication/merge/decompose.h"
#include "replication/merge/merge.h"

namespace outrigger::merge {

inline const std::vector<CounterEntry> kNoEntries;

// A register that holds `value`; `within` is what its bytes are a part of.
void set_content(Register& reg, const Path& path, const bson::Value& value,
                 const SharedBytes& within);

// What governs a path by a register of its own: null when a container above was assigned later or
// there is none.
struct Base {
  Dot stamp;
  const Register* own = nullptr;
  [[nodiscard]] Content content() const { return own == nullptr ? Content::kAbsent : own->content; }
  [[nodiscard]] const std::vector<CounterEntry>& baseline() const;
};
[[nodiscard]] Base base_of(const Body& body, const Path& path);
// The largest stamp among the registers of the containers above `path`.
[[nodiscard]] Dot stamp_above(const Body& body, const Path& path);

[[nodiscard]] const CounterEntry* find_entry(const std::vector<CounterEntry>& entries,
                                             const Dot& first);

// base + what each entry gained since the baseline, added in the order of first dots. Nothing when
// the base is absent and no entry counts. An entry the baseline covers whole adds nothing at all
// (not even a zero, which could change the type). `base` must be a number when present.
struct CounterValue {
  std::optional<bson::OwnedValue> value;
  bool clamped = false;
};
[[nodiscard]] CounterValue counter_value(const std::optional<bson::OwnedValue>& base,
                                         const std::vector<CounterEntry>& baseline,
                                         const std::vector<CounterEntry>& entries);

// Of two registers at one path: the larger stamp; one commit only adds up its baselines.
[[nodiscard]] Register newer(const Register& a, const Register& b);
// Least upper bound of bodies that saw the same removals. No floor is left in it.
[[nodiscard]] Body join(const std::vector<Incarnation>& incarnations);

// One record, as it is applied to the bodies of one document.
struct Authorship {
  Dot stamp;
  const VersionVector* deps = nullptr;  // null: a local write, which has seen everything here
  // The baselines the record itself names, by path.
  std::map<Path, const std::vector<CounterEntry>*> named;
  uint32_t next_order = 0;  // place of the next new field

  Authorship(const Dot& dot, const VersionVector* seen, const DocumentEffects& effects);
  [[nodiscard]] bool observed(const Dot& dot) const { return deps == nullptr || deps->covers(dot); }
};

// Does a new document's birth leave the fields of other births beside its own? An upsert's does,
// unless it has no fields to merge (opaque) or too many.
[[nodiscard]] bool is_weak_birth(const DocumentChange& change);
// Can this effect be applied at all? False for what no author of ours makes: too deep, a name with
// NUL, a sum that is no number, another origin's entry, an _id that is not the document's.
[[nodiscard]] bool well_formed(const Effect& effect, const Dot& stamp, const bson::OwnedValue& id);
// One effect on one body, except kRemove; births: on the body of the new incarnation.
void apply_effect(Body& body, const Effect& effect, Authorship& author);
// Before the effects of one record: where it begins to count, what the document holds there becomes
// the register it counts from.
void begin_counters(Body& body, const DocumentEffects& effects);

// Drops registers older than one above them and assertions no newer than what governs their path.
// Neither can show again: stamps at a path only grow. It is safe to forget them before they are
// stable themselves, since the register that beats them stays until it is stable, and by then
// every record concurrent with it has been applied here.
void purge(Body& body);

}  // namespace outrigger::merge
