// When mongod takes two indexes for one, and what of one it can change in place. Of indexes as the
// catalogue has them (record/catalog.h). Pure.
#pragma once

#include <map>
#include <string>

#include "replication/bson/bson.h"

namespace outrigger::mongo {

// Of indexes that sites made alike under different names mongod takes one (5.0 and later: by keys,
// collation, partial filter, unique and sparse): the first by name stays.
void leave_out_twins(std::map<std::string, bson::OwnedValue, std::less<>>& indexes);

// What collMod cannot change of an index, as bytes to be compared; whether it expires documents at
// all is a part of it.
[[nodiscard]] std::string fixed_part(const bson::OwnedValue& index);

}  // namespace outrigger::mongo
