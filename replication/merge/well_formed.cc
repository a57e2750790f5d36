// What effects of a peer may say at all.
#include <algorithm>

#include "replication/merge/body.h"
#include "replication/record/path.h"

namespace outrigger::merge {
namespace {

bool is_of(const bson::Value& document, const bson::OwnedValue& id) {
  if (document.type != bson::Type::kDocument) return false;
  const auto own = document.as_document().find("_id");
  return own && bson::canonical_key(*own) == bson::canonical_key(id.view());
}

bool is_legal_id_effect(const Effect& effect, const bson::OwnedValue& id) {
  return effect.kind == Operation::kAssign && effect.path.size() == 1 &&
         bson::canonical_key(effect.value.view()) == bson::canonical_key(id.view());
}

// What stands in an element is assigned, taken away and counted; the element itself is the list's
// to take away, and an array in it is one value.
bool may_be_inside(const Effect& effect) {
  const bool is_element = is_element_name(effect.path.back());
  if (effect.rule.is_contest() || effect.entry.bounds || !effect.taken.empty()) return false;
  return effect.kind == Operation::kAssign || effect.kind == Operation::kIncrement ||
         (effect.kind == Operation::kUnset && !is_element);
}

bool may_place(const ListEdit& edit, const Dot& stamp) {
  return std::all_of(edit.added.begin(), edit.added.end(),
                     [&](const AddedElement& each) { return is_place_of(each.place, stamp); }) &&
         std::all_of(edit.moved.begin(), edit.moved.end(),
                     [&](const MovedElement& each) { return is_place_of(each.to, stamp); });
}

}  // namespace

bool well_formed(const Effect& effect, const Dot& stamp, const bson::OwnedValue& id) {
  if (!is_legal_path(effect.path)) return false;
  if (!effect.path.empty() && effect.path.front() == "_id" && !is_legal_id_effect(effect, id)) {
    return false;
  }
  if (is_into_element(effect.path) && !may_be_inside(effect)) return false;
  if (effect.rule.is_contest() && !effect.taken.empty()) return false;
  for (const Baseline& seen : effect.baselines) {
    if (!is_legal_path(seen.path) || !may_have_seen(seen.entries)) return false;
    if (is_into_element(seen.path) && !is_into_element(effect.path)) return false;
  }
  switch (effect.kind) {
    case Operation::kUnknown:
      return false;
    case Operation::kBirth:
    case Operation::kWeakBirth:
      return is_of(effect.value.view(), id);
    case Operation::kRemove:
      return true;
    case Operation::kAssign:
      return !effect.path.empty() || is_of(effect.value.view(), id);
    case Operation::kUnset:
      return !effect.path.empty();
    case Operation::kIncrement:
      return !effect.path.empty() && may_count(effect.entry, stamp);
    case Operation::kEdit:
      return !effect.path.empty() && may_place(effect.edit, stamp);
  }
  return false;
}

}  // namespace outrigger::merge
