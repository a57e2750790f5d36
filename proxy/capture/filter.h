// What a filter says once its document is known. It was answered by a find; the statement that then
// goes out names the document by _id, and says again of the filter what may have changed since:
// writers around the sidecar hold no locks of ours, and a job that one of them took first must not
// be taken twice. Not said again: what is of the _id, which never changes, and what depends on
// time, chance or code, where another answer would be another choice.
//
// Under a collation `_id: "a"` finds "A" as well. The statement then also compares the bytes of the
// strings in the _id, which no collation changes.
//
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "replication/bson/bson.h"

namespace outrigger {

// The filter less the parts that may answer otherwise when asked again, and those of _id alone.
// `let` as the command has it: its values are calculated anew for each command, too.
[[nodiscard]] std::string lasting_part(const bson::Document& filter,
                                       const std::optional<bson::Value>& let);

// Whether a collation has a say in which _id equals this one.
[[nodiscard]] bool is_collated(const bson::Value& id);

// How to tell an _id from those equal to it under a collation (ids/id_bytes.h).
enum class TellApart : uint8_t { kNot, kByExpression, kByPattern };

// {_id: {$eq: id}, ...lasting}, and what tells the _id apart.
[[nodiscard]] std::string filter_of_document(const bson::Value& id, const bson::Document& lasting,
                                             TellApart by);

// The filter as it came with the document fixed: `{_id: {$eq: id}, ...filter}`, or `{$and: [{_id:
// ..}, filter]}` where the filter says something of _id itself.
[[nodiscard]] std::string narrow_filter(const bson::Document& filter, const bson::Value& id);

// The _id a filter names by equality, when comparing it needs no collation (`simple`), so that it
// can be known without asking the store.
[[nodiscard]] std::optional<bson::Value> filter_id(const bson::Document& filter, bool simple);

}  // namespace outrigger
