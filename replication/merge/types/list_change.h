// What an operator did to an array, in the names of its elements: which are gone, which are
// changed, which are new and where they stand.
//
// The store tells the array before and after; the operator, whether elements move. What stayed is
// found as a longest common part of both. Where a field tells elements apart, those that stayed may
// stand in another order: as few as can be are said to have moved; all of them, once they stand
// behind each other too deep, or that would take too much to say. Any other array that was sorted,
// or whose elements cannot be told apart like that, is assigned as a whole: that merges least, and
// agrees everywhere.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "replication/merge/types/list.h"
#include "replication/record/change.h"

namespace outrigger::merge {

// An array beyond these is assigned as a whole. Its row would be written anew at each edit.
inline constexpr size_t kListElementsMax = 16'384;
inline constexpr size_t kListBytesMax = size_t{1} << 20;
[[nodiscard]] bool is_beyond_lists(const bson::Value& array);

// What leads from `before`, whose values are there, to the array `after`, by the commit `dot`.
// `key`: of kKeyed, the field that tells elements apart. Nothing: it cannot be said so, or nothing
// changed.
[[nodiscard]] std::optional<ListEdit> edit_between(const List& before, const bson::Value& after,
                                                   ArrayEdit how, const Dot& dot,
                                                   std::string_view key = {});

// The same edit, from `before` to `after`, done to a list that shows something else: what it would
// show then. Nothing: the edit does more than add behind all others, take away or change in place.
[[nodiscard]] std::optional<bson::OwnedValue> done_to(const List& list,
                                                      const std::optional<bson::Value>& before,
                                                      const bson::Value& after, ArrayEdit how);

// Of two arrays of as many elements, the one in which they differ: a document in both.
[[nodiscard]] std::optional<std::pair<bson::Value, bson::Value>> changed_alone(
    const List& list, const bson::Value& array);

}  // namespace outrigger::merge
