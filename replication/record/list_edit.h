// What one commit did to the elements of an array: which it took away, changed, moved and added.
//
// An element has a name that nobody else gives: the commit that added it, and a number among those
// of that commit. Those that came with the array itself, when it was assigned as a whole, are named
// by their position then, and by no commit: two sites name them alike, also when one of them has
// forgotten since who assigned the array. What such a name means is settled by causes: it is of the
// assignment the author had seen last, and whoever has a later one has no such element any more.
//
// Where an element stands is part of its name, so that those before it may go and nobody need
// remember them: in front of all, behind all, or right behind another one.
//
// An element that is moved keeps its name, and what was done to it under that name stands. It gets
// another place to stand at, whose last part is of the commit that moved it; of several the largest
// holds. What stands behind its old place stays there.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "replication/bson/bson.h"
#include "replication/causality/stamp.h"
#include "replication/record/path.h"

namespace outrigger {

// Where among its siblings: in this order.
enum class Lane : uint8_t {
  kFront = 0,     // in front, the newest commit's first
  kAssigned = 1,  // came with the array, by position
  kBack = 2,      // behind, the newest commit's last
  kBehind = 3,    // right behind the one before it in the place, the newest commit's first
};

struct PlacePart {
  Lane lane = Lane::kBack;
  ElementId id;
  friend bool operator==(const PlacePart&, const PlacePart&) = default;
};

// From an element that is in no other's wake to the one it is of, which is the last. Never empty.
using Place = std::vector<PlacePart>;
inline constexpr size_t kPlacePartsMax = 32;

[[nodiscard]] bool comes_before(const Place& a, const Place& b);
// Is it one at which a commit of this dot may add an element to an array, or to which move one?
[[nodiscard]] bool is_place_of(const Place& place, const Dot& dot);

struct AddedElement {
  Place place;
  bool as_set = false;  // $addToSet: of several added so, with equal values, one shows
  bson::OwnedValue value;
  friend bool operator==(const AddedElement&, const AddedElement&) = default;
};

struct ChangedElement {
  ElementId id;
  bson::OwnedValue value;  // the whole of it
  friend bool operator==(const ChangedElement&, const ChangedElement&) = default;
};

struct MovedElement {
  ElementId id;
  Place to;  // as one that this commit adds
  friend bool operator==(const MovedElement&, const MovedElement&) = default;
};

struct ListEdit {
  std::vector<ElementId> removed;
  std::vector<ChangedElement> changed;
  std::vector<MovedElement> moved;
  std::vector<AddedElement> added;
  friend bool operator==(const ListEdit&, const ListEdit&) = default;
};

}  // namespace outrigger
