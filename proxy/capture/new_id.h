// An upsert can make an `_id` that no insert may have. mongod refuses a name that begins with `$`
// anywhere inside an `_id` (code 52), but for one way to give it: by a path below the `_id`, as in
// {$setOnInsert: {"_id.a": {$b: 1}}} or the filter {"_id.a": {$eq: {$b: 1}}}. The document that
// this makes can be replaced by nobody afterwards (seen on 6.0.5), and no other site can be given
// it. So such an upsert is refused where it would insert.
//
// Pure.
#pragma once

#include <optional>
#include <string>

#include "proxy/capture/statement.h"

namespace outrigger {

// The name, of an upsert that finds no document and gives its `_id` by a path; nothing: none. A
// DBRef's own names are none.
[[nodiscard]] std::optional<std::string> dollar_name_in_new_id(const Statement& statement);

}  // namespace outrigger
