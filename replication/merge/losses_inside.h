// What lost of elements of arrays: of each as a whole, and of what stands in it. An element the
// record writes into is looked at as a document would be. Part of LossFinder, which knows the rest
// of the document and asks for this in its steps.
#pragma once

#include <list>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "replication/merge/inside.h"
#include "replication/merge/view.h"

namespace outrigger::merge {

class LossFinder;

// The values that an edit brings, and where.
[[nodiscard]] std::vector<std::pair<ElementId, bson::OwnedValue>> values_of(const ListEdit& edit);

class ElementLosses {
 public:
  // One that showed, and of which the record had not seen all. Should it go, it is lost as a whole,
  // so that it can be had back.
  struct Contested {
    Path path;
    ElementId id;
    bson::OwnedValue value;
    Dot stamp;  // of the value
    std::shared_ptr<const Inside> inside{};
  };
  // An array after the merge. Borrows.
  struct Seen {
    const Node* node = nullptr;   // null: nothing of its own is left there
    const Node* hider = nullptr;  // what shows in its place, or itself
  };

  ElementLosses(const Record& record, const DocumentEffects& effects, std::vector<Loss>* losses);
  ~ElementLosses();

  // Before the record: what shows of an array; all there is.
  void collect(const List& list, const Path& path);
  void collect_insides(const Body& body);
  [[nodiscard]] const std::vector<Contested>& contested() const { return contested_; }

  // After it. `winner`: who took the element away, if it is gone; zero: whoever changed the array
  // last.
  void check(const Seen& array, const Contested& contested, const Dot& winner);
  void check_insides(const Body& body);
  // Elements that do not show as a removal wins against them: by the record, or what it brings.
  void check_taken(const Seen& array, const Path& path, const List& list);
  // What the record says of elements that are gone, or were changed later, or do not show; of one
  // that is there, check_insides tells.
  void check_edit(const Seen& array, const Effect& effect);
  void check_inside(const Seen& array, const Effect& effect);

 private:
  // An element the record writes into.
  struct Written {
    Path path;  // of the array
    ElementId id;
    DocumentState before;
    DocumentEffects effects;
    std::vector<Loss> lost;
    std::unique_ptr<LossFinder> finder;
  };
  [[nodiscard]] bool unseen(const Dot& dot) const {
    return !dot.is_zero() && !record_.deps.covers(dot) && dot != record_.dot();
  }
  void collect_inside(const Path& path, const ListElement& element, DocumentEffects effects);
  [[nodiscard]] bool is_looked_into(const Path& path, const ElementId& id) const;

  const Record& record_;
  const DocumentEffects& effects_;
  std::vector<Loss>* losses_;
  std::vector<Contested> contested_;
  std::list<Written> written_;                        // finders borrow from them
  std::set<std::pair<Path, ElementId>> looked_into_;  // those
  std::set<std::pair<Path, ElementId>> lost_before_;  // a removal won against them already
};

}  // namespace outrigger::merge
