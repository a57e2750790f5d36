// An effect is what one commit did to one document, resolved at the origin: values, never
// predicates. Peers apply effects; they never re-run a filter, a clock or an index.
//
// A path is an array of field names (never a dotted string: names may hold dots). Arrays are whole
// values: an array, however it was edited, travels as one register. A document value is decomposed
// into a container (Shape::kDocument) and its fields, so that edits of different fields both stand;
// a sub-document with repeated field names cannot be decomposed and travels as one value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "replication/bson/bson.h"
#include "replication/stamp.h"
#include "replication/version_vector.h"

namespace outrigger {

using Path = std::vector<std::string>;  // empty: the whole document (its root)

enum class Shape : uint8_t {
  kAbsent = 0,    // unset
  kDocument = 1,  // a container; its fields have effects of their own
  kValue = 2,     // a leaf: scalar, array, or a document that cannot be decomposed
};

// One origin's running sum at one path, since the dot that opened it. `last` is the stamp of its
// newest increment. As a baseline item: how far an author had seen the entry when it assigned.
struct CounterEntry {
  Dot first;
  Hlc last = 0;
  bson::OwnedValue sum;  // a number
  friend bool operator==(const CounterEntry&, const CounterEntry&) = default;
};

enum class EffectKind : uint8_t {
  kBirth = 1,      // a new incarnation, named by the record's dot; no path
  kRemove = 2,     // the document: every incarnation the record had observed; no path
  kAssign = 3,     // register at path := shape/value; counters there restart from `baseline`
  kRebase = 4,     // a counter below an assigned container restarts, absent, from `baseline`
  kIncrement = 5,  // counter at path: `entry` is the author's running sum including this one
};

struct Effect {
  EffectKind kind = EffectKind::kAssign;
  Path path;
  Shape shape = Shape::kAbsent;        // kAssign
  bson::OwnedValue value;              // kAssign with Shape::kValue
  std::vector<CounterEntry> baseline;  // kAssign, kRebase: entries the author had seen at path
  CounterEntry entry;                  // kIncrement: first, last (= the record's stamp), sum
  friend bool operator==(const Effect&, const Effect&) = default;
};

struct DocumentEffects {
  std::string ns;       // "db.collection"
  bson::OwnedValue id;  // the document's _id as the author's store holds it
  std::vector<Effect> effects;
  friend bool operator==(const DocumentEffects&, const DocumentEffects&) = default;
};

}  // namespace outrigger
