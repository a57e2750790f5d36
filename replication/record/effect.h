// An effect is what one commit did to one document, resolved at the origin: values, never
// predicates. Peers apply effects; they never re-run a filter, a clock or an index.
//
// A document, or a part of one, travels as its bytes: as the author's store holds it, `_id` with
// its own type, fields in their order. It is one effect however many fields it has; what the author
// had seen of counters in it travels beside it. Where a merge meets it, it is taken as a container
// and its fields, so that edits of different fields both stand; what names a field twice is one
// value.
//
// A path is an array of field names (never a dotted string: names may hold dots). Arrays are whole
// values: an array, however it was edited, travels as one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "replication/bson/bson.h"
#include "replication/causality/stamp.h"
#include "replication/causality/version_vector.h"

namespace outrigger {

using Path = std::vector<std::string>;  // empty: the whole document (its root)

// One origin's running sum at one path, since the dot that opened it. `last` is the stamp of its
// newest increment. As a baseline item: how far an author had seen the entry when it assigned.
struct CounterEntry {
  Dot first;
  Hlc last = 0;
  bson::OwnedValue sum;  // a number
  friend bool operator==(const CounterEntry&, const CounterEntry&) = default;
};

// How far an author had seen the increments at one path when it gave it a value.
struct Baseline {
  Path path;
  std::vector<CounterEntry> entries;
  friend bool operator==(const Baseline&, const Baseline&) = default;
};

enum class EffectKind : uint8_t {
  kBirth = 1,      // a new incarnation, named by the record's dot; `value` is the document
  kWeakBirth = 2,  // likewise, by an upsert: its fields stand beside those of other births
  kRemove = 3,     // the document: every incarnation the record had observed
  kAssign = 4,     // path := value; an empty path: the whole document is replaced
  kUnset = 5,      // the field at path and all below it
  kIncrement = 6,  // counter at path: `entry` is the author's running sum including this one
};

struct Effect {
  EffectKind kind = EffectKind::kAssign;
  Path path;               // empty: the whole document
  bson::OwnedValue value;  // kBirth, kWeakBirth, kAssign
  // Of what is given a value or taken away: entries the author had seen there and below.
  std::vector<Baseline> baselines;
  CounterEntry entry;  // kIncrement: first, last (= the record's stamp), sum
  [[nodiscard]] bool is_birth() const {
    return kind == EffectKind::kBirth || kind == EffectKind::kWeakBirth;
  }
  friend bool operator==(const Effect&, const Effect&) = default;
};

struct DocumentEffects {
  std::string ns;       // "db.collection"
  bson::OwnedValue id;  // the document's _id as the author's store holds it
  std::vector<Effect> effects;
  friend bool operator==(const DocumentEffects&, const DocumentEffects&) = default;
};

}  // namespace outrigger
