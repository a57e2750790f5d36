// What mongod can change in place of an index, as the catalogue has it (record/catalog.h), and how
// it is told of one. Pure.
#pragma once

#include <string>

#include "replication/bson/bson.h"

namespace outrigger::mongo {

// What collMod cannot change of an index, as bytes to be compared; whether it expires documents at
// all is a part of it.
[[nodiscard]] std::string fixed_part(const bson::OwnedValue& index);
// Of an index as listIndexes says one.
[[nodiscard]] std::string create_index_command(const std::string& collection,
                                               const std::string& spec);

}  // namespace outrigger::mongo
