// A list: an array whose elements were edited, so that each of them stands for itself.
//
// It lies over the register of its path. That says what array was assigned last; the list holds
// the elements of that array which are left, and beside them those that were added. Of an addition
// and an assignment that do not know each other both stand; of an edit of one element and the
// removal of another, too. What is removed is forgotten at once: whoever may still speak of it has
// seen it, and an addition comes only once.
//
// No array is a list before an element of it is edited. Then its elements get their names, which
// are their positions in the array as it was assigned (record/list_edit.h). They keep them for as
// long as the list exists, also when all else of the document is forgotten: sites forget at
// different times, and must not name elements differently. Only a list of which nothing is left but
// the array as it was assigned, in its order, is one no more: its names are its positions.
//
// A row holds the values of the elements until everything in it is stable. So a store that forgot
// some of it is told all, and what it shows need not be asked. Then the list is *settled*: the
// values are the store's, and the row keeps names, with a hash of the array they belong to.
//
// An element that was moved stands at another place than the one it is named by. Who moves it does
// nothing else to it; of two moves the later one holds, and of one that is gone none does. The row
// keeps that place with the name.
//
// Two sites may put equal values into one set: both stay, the first of them shows. Where removals
// win, what was taken away is remembered beside the elements (taken.h).
//
// Where something in an element was edited by itself, the element has an inside: a state of its
// own, as a document has one (merge/inside.h). Its value is then what that shows.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "replication/merge/types/row_stamps.h"
#include "replication/merge/types/taken.h"
#include "replication/record/effect.h"

namespace outrigger::merge {

struct Authorship;
struct ListElement;

// What must be stable before it can be forgotten; the second: and closed.
using StampVisit = std::function<void(const Dot&, bool)>;

// What stands in an element. Copies of a list share it, so it never changes.
class Inside {
 public:
  virtual ~Inside() = default;
  [[nodiscard]] virtual bson::OwnedValue shown() const = 0;
  // After the element as a whole was given a value.
  [[nodiscard]] virtual std::shared_ptr<const Inside> given(const bson::OwnedValue& value,
                                                            const Authorship& author) const = 0;
  // With another state of this element.
  [[nodiscard]] virtual std::shared_ptr<const Inside> joined(const ListElement& other) const = 0;
  virtual void for_each_stamp(const StampVisit& visit) const = 0;
  virtual void write(RowOut& out) const = 0;
};

struct ListElement {
  Place place;
  Place moved;  // to where, by the latest move; empty: it stands where it was added
  bool as_set = false;
  // Of the commit that gave it its value, or wrote into it last, if not the one that added it.
  Dot changed;
  bson::OwnedValue value;
  // Of a settled list: it does not show, its value is that of the element that shows here.
  std::optional<uint32_t> twin_at;
  std::shared_ptr<const Inside> inside;  // null: nothing in it was edited by itself
  bool is_stale = false;  // the value is not what the inside shows by now: show_insides (body.h)
  // Of the removals that win and were remembered when it got its value, those that its giver had
  // seen (taken.h).
  VersionVector after{};

  [[nodiscard]] const ElementId& id() const { return place.back().id; }
  [[nodiscard]] const Place& stands() const { return moved.empty() ? place : moved; }
  [[nodiscard]] bool is_assigned() const { return place.back().lane == Lane::kAssigned; }
};

// Where the elements of a list are, by their names. Made once many have been looked for; whoever
// has elements come, go or stand elsewhere forgets it. Copies of a list share it.
class ListIndex {
 public:
  [[nodiscard]] const ListElement* find(const std::vector<ListElement>& elements,
                                        const ElementId& id);
  void forget() { *this = ListIndex(); }

 private:
  uint32_t scans_ = 0;
  std::shared_ptr<const std::vector<uint32_t>> by_name_;
};

struct List {
  std::vector<ListElement> elements;  // as they stand
  Dot asserted;                       // newest edit
  std::vector<TakenValue> taken{};    // where removals win, by their dots; never of a settled one
  bool hidden = false;                // in a row: something else shows in its place
  bool settled = false;
  uint32_t hash = 0;  // settled: of the array the store shows
  mutable ListIndex index{};
};

// The elements of an array that was just assigned.
[[nodiscard]] List list_of(const bson::Value& array);
// The order of a list: by where elements stand. No two that stand at one place are told to us by
// anybody honest; their names decide then.
[[nodiscard]] bool stands_before(const ListElement& a, const ListElement& b);
// Those that show, by their numbers among the elements. Values must be there.
[[nodiscard]] std::vector<size_t> shown_of(const List& list);
// The array it shows, and whether it shows just this one.
[[nodiscard]] bson::OwnedValue array_of(const List& list);
[[nodiscard]] bool shows(const List& list, const bson::Value& array);
// Nothing but what was assigned, unchanged and unmoved.
[[nodiscard]] bool is_as_assigned(const List& list);
// It has elements that no other site knows by their names (take_values).
[[nodiscard]] bool names_for_itself(const List& list);
[[nodiscard]] bool has_added(const List& list);
// It is empty, and so is what is remembered.
[[nodiscard]] bool says_nothing(const List& list);

// One edit of a record, as it arrives. `knows_base`: its author had seen the assignment that the
// assigned elements are of. `after`: removals its author had seen, of those remembered elsewhere.
void edit(List& list, const ListEdit& edit, const Authorship& author, bool knows_base,
          const VersionVector& after = {});
// All that an edit does that names no element.
void note_edit(List& list, const Authorship& author);
// The element of that name, where an author may mean it; null: it is gone, or was never here.
[[nodiscard]] ListElement* element_meant(List& list, const ElementId& id, const Authorship& author,
                                         bool knows_base);
// null: there is none of that name.
[[nodiscard]] const ListElement* find_element(const List& list, const ElementId& id);
// What an element shows from now on. The store is not told of another order of fields, so the
// bytes stay where that alone differs.
void take_value(ListElement& element, const bson::OwnedValue& value);
// The store shows this: a document in an element may have its fields in another order.
void take_order(List& list, const bson::Value& array);
// The author has given the path, or a container above, a value: what it had seen was replaced.
void drop_observed(List& list, const Authorship& author);
// What was added by these commits was replaced by who had seen it elsewhere.
void drop_covered(List& list, const VersionVector& seen);
// Another array, or none, is assigned from now on, by who has seen these removals.
void assign(List& list, const std::optional<bson::Value>& array, const VersionVector& after = {});
// Of two states of one list, made of the same assignment, what is in either.
void join(List& list, const List& other);

// Everything in it is stable and the store shows it.
void settle(List& list);
// Its values, which are there, are to be in the row again.
void unsettle(List& list);
// The values of a settled list, from what the store shows. Where that is not the array it was, it
// was changed around us: names go to what stands in their places, as far as there is any.
void take_values(List& list, const std::optional<bson::Value>& array);

// Calls visit(stamp, needs_closed) for what must be stable before the values can be forgotten.
template <typename Visit>
void for_each_stamp(const List& list, const Visit& visit) {
  if (!list.asserted.is_zero()) visit(list.asserted, false);
  for (const TakenValue& each : list.taken) visit(each.by, false);
  for (const ListElement& element : list.elements) {
    for (const Place* place : {&element.place, &element.moved}) {
      for (const PlacePart& part : *place) {
        if (!part.id.dot.is_zero()) visit(part.id.dot, false);
      }
    }
    if (!element.changed.is_zero()) visit(element.changed, false);
    for (const auto& [origin, hlc] : element.after.entries()) visit(Dot{hlc, origin}, false);
    if (element.inside != nullptr) element.inside->for_each_stamp(visit);
  }
}

void write(RowOut& out, const List& list);
void read(RowIn& in, List& list);

}  // namespace outrigger::merge
