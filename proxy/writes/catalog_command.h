// Commands that change the catalogue, as far as a record needs what they say and what mongod
// answers. Pure.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/mongo/backend.h"
#include "proxy/mongo/wire/op_msg.h"

namespace outrigger {

// By which a later run finds what is left of the command (StoreFence): the session of the app, or
// ours.
[[nodiscard]] std::string catalog_session(const wire::OpMsg& parsed, const Uuid& ours);
// The command under our session, where it came without one.
[[nodiscard]] std::optional<std::string> under_our_session(const wire::OpMsg& parsed,
                                                           const Backend& backend);
// mongod's answer, a whole message: `ok`.
[[nodiscard]] bool is_done(const std::string& message);
// The answer of a createIndexes that made the collection, too.
[[nodiscard]] bool made_collection(const std::string& message);
// A drop, or a dropIndexes of "*".
[[nodiscard]] bool drops_all_indexes(const wire::OpMsg& parsed);
// The names in a createIndexes.
[[nodiscard]] std::set<std::string, std::less<>> indexes_asked_for(const wire::OpMsg& parsed);

}  // namespace outrigger
