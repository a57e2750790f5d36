// Values that were taken away from an array where that wins: set(remove_wins).
//
// Such a removal stands against every element of an equal value whose author had not seen it, also
// against one that comes later; who has seen it may add the value anew. So it is remembered: the
// value, and the commit that took it away. An element says which of the removals that were
// remembered when it came its author had seen; those that come later it had not. That author is who
// gave it the value it has.
//
// What loses like that does not show, but stays where it is: somebody who has not seen the removal
// either may give it another value. Once the removal is stable nobody can, and both go. So whether
// an element shows is a function of the state, whatever came first, and of births that are joined.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "replication/bson/bson.h"
#include "replication/causality/version_vector.h"

namespace outrigger::merge {

struct Authorship;
struct List;
struct ListElement;

struct TakenValue {
  Dot by;
  bson::OwnedValue value;
};

// Values are equal if their bytes are; of documents the order of fields says nothing, as sites may
// have them in different ones.
[[nodiscard]] bool are_equal(const bson::Value& a, const bson::Value& b);
// What is in the first of two arrays, and not in the second; each value once. An array that is none
// has nothing in it.
[[nodiscard]] std::vector<bson::OwnedValue> taken_between(const bson::Value& before,
                                                          const bson::Value& after);

// Which elements of a list that leaves out. Borrows from the list, whose values must be there.
class TakenValues {
 public:
  explicit TakenValues(const List& list);
  [[nodiscard]] bool empty() const { return by_hash_.empty(); }
  // The removals that stand against it, by their dots. None: it is there.
  [[nodiscard]] std::vector<Dot> against(const ListElement& element) const;
  [[nodiscard]] bool has(const ListElement& element) const;

 private:
  std::unordered_multimap<uint64_t, const TakenValue*> by_hash_;  // of the values
};
// Is there anything left to show?
[[nodiscard]] bool is_anything_left(const List& list);

// These were taken away from it.
void take_away(List& list, const std::vector<bson::OwnedValue>& values, const Dot& by);
// Removals that are remembered there and that this author has seen.
void note_removals_seen(VersionVector& seen, const List& list, const Authorship& author);
// So was this, from another state of it.
void join_taken(List& list, const std::vector<TakenValue>& taken);
// Drops what does not show and nobody can give another value: what these removals took, and with it
// the removals. `is_over`: of their dots.
void forget_taken(List& list, const std::function<bool(const Dot&)>& is_over);

}  // namespace outrigger::merge
