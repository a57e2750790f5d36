// Which documents a filter means, for MemoryMongod: equality, $in and comparisons of numbers and
// strings, on fields of documents in documents, and $and. Anything else is an error by name, never
// a wrong answer.
#pragma once

#include "integration/memory_mongod/memory_mongod.h"

namespace outrigger::world {

[[nodiscard]] OrError<bool> matches(const bson::Document& filter, const bson::Document& document);

// The _ids a filter leaves to choose from, where it says so ({_id: value}, {_id: {$in: [..]}}, also
// inside $and); nothing: any.
[[nodiscard]] std::optional<std::vector<bson::OwnedValue>> ids_of(const bson::Document& filter);

// By one field, up or down: numbers before strings, and before all what has none.
[[nodiscard]] OrError<std::vector<std::string>> sorted(std::vector<std::string> documents,
                                                       const bson::Document& sort);

// {_id: 1, "a.b": 1} and {_id: 1, bytes: {$bsonSize: "$$ROOT"}}.
[[nodiscard]] OrError<std::string> projected(const bson::Document& projection,
                                             const bson::Document& document);

// Empty where there is none.
[[nodiscard]] bson::Document document_at(const bson::Document& document, std::string_view name);

// Splits "a.b".
[[nodiscard]] Path path_of(std::string_view dotted);

}  // namespace outrigger::world
