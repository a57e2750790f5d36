// An effect is what one commit did to one document, resolved at the origin: values, never
// predicates. Peers apply effects; they never re-run a filter, a clock or an index.
//
// A document, or a part of one, travels as its bytes: as the author's store holds it, `_id` with
// its own type, fields in their order. It is one effect however many fields it has; what the author
// had seen of counters in it travels beside it. Where a merge meets it, it is taken as a container
// and its fields, so that edits of different fields both stand; what names a field twice is one
// value.
//
// An array that is given as a whole travels as one; where its elements were edited, those do
// (list_edit.h). What was done in an element has a path that leads through its name
// (path.h), and comes behind the edit of the array.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "config/bounds.h"
#include "replication/bson/bson.h"
#include "replication/causality/stamp.h"
#include "replication/causality/version_vector.h"
#include "replication/record/contest_rule.h"
#include "replication/record/list_edit.h"
#include "replication/record/operation.h"
#include "replication/record/path.h"

namespace outrigger {

// One origin's running sum at one path, since the dot that opened it. `last` is the stamp of its
// newest increment. As a baseline item: how far an author had seen the entry when it assigned.
struct CounterEntry {
  Dot first;
  Hlc last = 0;
  bson::OwnedValue sum;  // a number
  // Between what its author has the number at this path stay, as of `last`. No baseline says it.
  std::optional<Bounds> bounds = {};
  [[nodiscard]] Dot newest() const { return {last, first.origin}; }
  friend bool operator==(const CounterEntry&, const CounterEntry&) = default;
};

// How far an author had seen the increments at one path when it gave it a value.
struct Baseline {
  Path path;
  std::vector<CounterEntry> entries;
  friend bool operator==(const Baseline&, const Baseline&) = default;
};

struct Effect {
  Operation kind = Operation::kAssign;  // never kUnknown
  Path path;                            // empty: the whole document
  bson::OwnedValue value;               // kBirth, kWeakBirth: the document; kAssign
  // Of what is given a value or taken away: entries the author had seen there and below.
  std::vector<Baseline> baselines;
  // kIncrement: the author's running sum including this one; its last stamp is the record's.
  CounterEntry entry;
  ListEdit edit;  // kEdit
  // kAssign, kUnset, below the root: what it is to values that its author had not seen.
  ContestRule rule;
  Removal removal = Removal::kPlain;  // kRemove
  bool is_version = false;  // kAssign of the whole document: where it loses, it does whole
  // kEdit, kAssign below the root: values that were in the array and are no more, where that stands
  // against whoever adds them without having seen it.
  std::vector<bson::OwnedValue> taken{};
  [[nodiscard]] bool is_birth() const { return outrigger::is_birth(kind); }
  friend bool operator==(const Effect&, const Effect&) = default;
};

struct DocumentEffects {
  std::string ns;       // "db.collection"
  bson::OwnedValue id;  // the document's _id as the author's store holds it
  std::vector<Effect> effects;
  Keys keys = Keys::kClaims;  // what all of them are to these; of births and removals nothing
  // Removals that yield and that its author remembers: by which something was gone there, which
  // these effects do not reach, and which something has outlived, which they do.
  std::vector<Dot> gone{};
  std::vector<Dot> there{};
  friend bool operator==(const DocumentEffects&, const DocumentEffects&) = default;
};

[[nodiscard]] inline bool writes_to_what_is_there(const DocumentEffects& document) {
  return std::any_of(document.effects.begin(), document.effects.end(), [](const Effect& each) {
    return each.kind != Operation::kRemove && !each.is_birth();
  });
}

}  // namespace outrigger
