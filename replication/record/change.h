// What a local write turned out to do to one document, as the capture saw it: the raw material of
// effects, before causal metadata (entries, baselines, births) is looked up in the document's row.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "replication/record/effect.h"

namespace outrigger {

struct PathChange {
  Operation kind = Operation::kAssign;  // or kUnset, kIncrement
  Path path;
  bson::OwnedValue value;  // kAssign: the new one (documents are decomposed); kIncrement: the delta
  // kIncrement: the value before, when an image told it; `base_known` with nothing means absent.
  bool base_known = false;
  std::optional<bson::OwnedValue> base;
};

struct DocumentChange {
  enum class Kind : uint8_t {
    kInsert,   // a new document; `document` is all of it
    kUpsert,   // a new document made by an upsert: fields merge with another upsert's, kIncrement
               // paths in `changes` add up; `document` is all of it, as stored
    kReplace,  // the whole content replaced by `document`
    kUpdate,   // `changes`
    kRemove,
  };
  Kind kind = Kind::kUpdate;
  std::string ns;
  bson::OwnedValue id;
  std::string document;             // BSON; kInsert, kUpsert, kReplace
  std::vector<PathChange> changes;  // kUpdate; kUpsert: only the kIncrement ones
};

}  // namespace outrigger
