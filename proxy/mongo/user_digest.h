// Whose a session is: mongod keeps sessions apart by the id the driver gave them and by a digest of
// the user, so that two users cannot meet in one. Here is that digest, from what mongod says of who
// is logged in. Pure.
#pragma once

#include <string>

#include "replication/bson/bson.h"

namespace outrigger {

// lsid.uid, 32 bytes, by the answer to connectionStatus; without a login that of nobody.
[[nodiscard]] std::string digest_of_user(const bson::Document& connection_status);

}  // namespace outrigger
