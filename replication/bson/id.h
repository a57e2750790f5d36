// What can be no `_id`. MongoDB refuses to store it whoever asks, and some of it may not even be
// asked for: `{_id: {$in: [..]}}` takes an object that begins with `$` for an operator, and the
// whole query fails.
#pragma once

#include <string_view>

#include "replication/bson/bson.h"

namespace outrigger::bson {

// Why not, to follow "its _id is"; empty: it can be one. A complete DBRef ({$ref: "..", $id: ..},
// in this order, and $db a string where it is next) is the one object that may begin with `$`.
// (Seen on 6.0.5, which refuses a `$` further on, too, but lets it be asked for.)
[[nodiscard]] std::string_view why_no_id(const Value& value);

}  // namespace outrigger::bson
