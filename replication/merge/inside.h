// What stands in an element of an array, where something in it was edited by itself: a body of its
// own, in which the element is the one field, without a name. So all that holds for the fields of a
// document holds for those of an element: increments add up, edits of different fields both stand,
// a newer value of the whole element takes the place of what lies in it.
//
// Which elements there are is the list's affair: with an element goes its body. Nothing outside is
// newer or older than what is in an element; a value that is given to the array, or above, gives
// other elements. Every value in such a body is explicit until the list is settled: then what it
// shows is what the store shows, and it is forgotten.
//
// No rule of paths holds in an element, and an array in it is one value.
#pragma once

#include "replication/merge/body.h"
#include "replication/record/change.h"
#include "replication/record/path.h"

namespace outrigger::merge {

class ElementBody : public Inside {
 public:
  explicit ElementBody(Body body) : body_(std::move(body)) {}

  [[nodiscard]] const Body& body() const { return body_; }
  [[nodiscard]] Body& body() { return body_; }

  [[nodiscard]] bson::OwnedValue shown() const override;
  [[nodiscard]] std::shared_ptr<const Inside> given(const bson::OwnedValue& value,
                                                    const Authorship& author) const override;
  [[nodiscard]] std::shared_ptr<const Inside> joined(const ListElement& other) const override;
  void for_each_stamp(const StampVisit& visit) const override;
  void write(RowOut& out) const override;

 private:
  Body body_;
};

// What a row keeps of it.
[[nodiscard]] std::shared_ptr<const Inside> read_inside(RowIn& in);

// What stands in an element, also where nothing in it was edited yet.
[[nodiscard]] Body body_in(const ListElement& element);
// An effect below an element, or on it, as one on that body.
[[nodiscard]] Effect effect_in_element(const Effect& effect);
// A path in that body as one of the document.
[[nodiscard]] Path path_of_inside(const Path& array, const ElementId& id, const Path& inside);
// Applies it there. What the element shows then, show_inside tells it.
void apply_in_element(ListElement& element, const Effect& effect, const Authorship& author);
void show_inside(ListElement& element);

// Where one document differs from another: what may have been written into an element.
[[nodiscard]] std::vector<ElementPart> parts_between(const bson::Document& before,
                                                     const bson::Document& after);

// What a local write did in an element, as effects on what stands there. The request names the
// parts (PathChange::parts), the store tells the element before and after.
//
// What leads from an element to `after`, by writes to these parts of the elements of `array`.
// `position`: where it stands; nothing: the array that the app saw was another one. Nothing: a new
// value of the whole element says it as well.
[[nodiscard]] std::optional<std::vector<Effect>> effects_inside(const ListElement& before,
                                                                const bson::Value& after,
                                                                const PathChange& array,
                                                                std::optional<size_t> position,
                                                                const LocalContext& context);

}  // namespace outrigger::merge
