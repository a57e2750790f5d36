// Commands that change the catalogue, as far as a record needs what they say and what mongod
// answers. Pure.
#pragma once

#include <set>
#include <string>

#include "proxy/mongo/wire/op_msg.h"

namespace outrigger {

// mongod's answer, a whole message: `ok`.
[[nodiscard]] bool is_done(const std::string& message);
// The answer of a createIndexes that made the collection, too.
[[nodiscard]] bool made_collection(const std::string& message);
// The names in a createIndexes.
[[nodiscard]] std::set<std::string, std::less<>> indexes_asked_for(const wire::OpMsg& parsed);

}  // namespace outrigger
