// What a local write turned out to do to one document, as the capture saw it: the raw material of
// effects, before causal metadata (entries, baselines, births) is looked up in the document's row.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "replication/record/effect.h"

namespace outrigger {

// What an operator did to the elements of an array.
enum class ArrayEdit : uint8_t {
  kMoves,     // adds some, takes some away; those that stay are as they were
  kAddsSet,   // $addToSet
  kInPlace,   // changes some where they stand, and may add some behind
  kKeyed,     // as kMoves and kInPlace together, and in another order: PathChange::key tells its
              // elements apart
  kComputed,  // whatever a pipeline does: told only where it adds or takes away, not both
  kFound,     // of a kAssign: nobody knows; this is what there is now
};

// What an operator named in an element: "items.2.qty", "items.$.qty".
struct ElementPart {
  std::optional<uint32_t> position;       // nothing: the statement's filters told which elements
  Path path;                              // in the element; empty: the element as a whole
  std::optional<bson::OwnedValue> delta;  // what was added to the number there
  friend bool operator==(const ElementPart&, const ElementPart&) = default;
};

struct PathChange {
  Operation kind = Operation::kAssign;  // or kUnset, kIncrement, kEdit
  Path path;
  // kAssign: the new one (documents are decomposed); kIncrement: the delta; kEdit: the array as it
  // is now.
  bson::OwnedValue value;
  // kIncrement, kEdit: the value before, when an image told it (of a kEdit one always did);
  // `base_known` with nothing means absent.
  bool base_known = false;
  std::optional<bson::OwnedValue> base;
  bool base_may_be_missing = false;    // kEdit: `base` is an empty array, but there may be none
  ArrayEdit edit = ArrayEdit::kMoves;  // kEdit
  // kKeyed: a field that every element of `base` and `value` has, no two with the same value there.
  // kMoves: likewise, should they be in another order.
  std::string key{};
  // kInPlace: all that may have changed in its elements. None: that is not known, and an element
  // that changed was given a value.
  std::vector<ElementPart> parts{};
};

struct DocumentChange {
  enum class Kind : uint8_t {
    kInsert,   // a new document; `document` is all of it
    kUpsert,   // a new document made by an upsert: fields merge with another upsert's, kIncrement
               // paths in `changes` add up, elements of kEdit paths stand beside its own;
               // `document` is all of it, as stored
    kReplace,  // the whole content replaced by `document`
    kUpdate,   // `changes`
    kRemove,
  };
  Kind kind = Kind::kUpdate;
  std::string ns;
  bson::OwnedValue id;
  // kRemove: one that yields needs `document` as it was; without that it is a plain one.
  Removal removal = Removal::kPlain;
  Keys keys = Keys::kClaims;        // kReplace, kUpdate
  bool is_version = false;          // kReplace: of a document whose versions its apps count
  std::string document;             // BSON; kInsert, kUpsert, kReplace
  std::vector<PathChange> changes;  // kUpdate; kUpsert: only the kIncrement and kEdit ones
};

}  // namespace outrigger
