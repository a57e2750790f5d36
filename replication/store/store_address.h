// Where the store is, as sessions dial it: the one "host:port" in a MongoDB connection string, or
// "unix:/path" where it names a Unix socket, which saves both sides half the cost of a hop.
#pragma once

#include <string>

#include "config/result.h"

namespace outrigger {

// kInvalidArgument when the string cannot be read; kUnsupported for several hosts and
// mongodb+srv: the sidecar stands beside exactly one mongod.
[[nodiscard]] Result<std::string> store_address(const std::string& uri);

}  // namespace outrigger
