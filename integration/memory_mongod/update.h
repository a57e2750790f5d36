// What an update makes of a document, for MemoryMongod, and how its oplog would tell it.
#pragma once

#include "integration/memory_mongod/memory_mongod.h"

namespace outrigger::world {

// $set, $unset, $inc, $push and $pull of one value, and $setOnInsert when `inserts`. Fields that
// are new come in the order mongod gives them. Errors: 9 for another operator, 14 and 28 as mongod.
[[nodiscard]] OrError<std::string> updated(const bson::Document& operators,
                                           const std::string& document, bool inserts);

// Is it operators, or a document that replaces?
[[nodiscard]] bool has_operators(const bson::Document& update);

// What an upsert begins with: the fields its filter demands to be equal to something.
[[nodiscard]] std::string seed_of(const bson::Document& filter);

// {$v: 1, $set: {"a.b": ..}, $unset: ..}: from one document to the other, before 5.0.
[[nodiscard]] std::string oplog_sets(const bson::Document& before, const bson::Document& after);
// {$v: 2, diff: {u: .., i: .., d: .., s<field>: ..}}: the same since.
[[nodiscard]] std::string oplog_diff(const bson::Document& before, const bson::Document& after);

}  // namespace outrigger::world
