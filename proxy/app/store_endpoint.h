// How apps' connections reach the store that store.uri names for the sidecar's own.
#pragma once

#include <optional>
#include <string>

#include "proxy/mongo/backend.h"
#include "replication/store/mongo/connection/store_address.h"

namespace outrigger {

// As `uri` says; reached by `network`. Errors: of the address or the TLS files.
[[nodiscard]] Result<StoreEndpoint> store_endpoint(const std::string& uri, net::Network& network);
// Who `uri` logs in as; nobody where it names none. Errors: as above.
[[nodiscard]] Result<std::optional<StoreLogin>> store_login(const std::string& uri);

}  // namespace outrigger
