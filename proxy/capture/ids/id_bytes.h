// Conditions that tell one _id from all others that are equal to it under a collation, where `_id:
// "a"` finds "A" as well: what they say of its strings no collation changes. Pure.
#pragma once

#include "replication/bson/bson.h"

namespace outrigger {

// Appends {$expr: ..} to a filter that also says {_id: {$eq: id}}. mongod takes it everywhere but
// beside a projection of the matched element.
void append_id_expression(bson::Writer& filter, const bson::Value& id);

// The same as {_id: {$regex: ..}}, or one for each string in it, for where $expr is not taken. Only
// where has_id_patterns: not where an array, an odd name or bytes that are no text are in the way.
[[nodiscard]] bool has_id_patterns(const bson::Value& id);
void append_id_patterns(bson::Writer& filter, const bson::Value& id);

}  // namespace outrigger
