// Editing BSON bytes by path, as $set and $unset do it; for MemoryStore.
#pragma once

#include <optional>
#include <string>

#include "replication/bson/bson.h"
#include "replication/record/effect.h"

namespace outrigger {

// The document with `value` at `path` (made of plain names); containers on the way are made.
// Nothing when a value that is no document stands on the way.
[[nodiscard]] std::optional<std::string> with_field(const bson::Document& document,
                                                    const Path& path, const bson::Value& value);
// The document without `path`; unchanged when there is nothing at it.
[[nodiscard]] std::string without_field(const bson::Document& document, const Path& path);

}  // namespace outrigger
