// How apps' connections reach the store that store.uri names for the sidecar's own.
#pragma once

#include <string>

#include "proxy/mongo/backend.h"

namespace outrigger {

// As `uri` says; reached by `network`. Errors: of the address or the TLS files.
[[nodiscard]] Result<StoreEndpoint> store_endpoint(const std::string& uri, net::Network& network);

}  // namespace outrigger
