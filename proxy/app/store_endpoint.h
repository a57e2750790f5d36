// How apps' connections reach the store that store.uri names for the sidecar's own.
#pragma once

#include <optional>
#include <string>

#include "config/settings.h"
#include "proxy/mongo/backend.h"
#include "replication/store/mongo/connection/store_address.h"

namespace outrigger {

// As store.uri says; reached by `network`. Where the members of a set are listed it may name
// several hosts, and the first is given. Errors: of the address or the TLS files.
[[nodiscard]] Result<StoreEndpoint> store_endpoint(const Settings& settings, net::Network& network);
// Who store.uri logs in as; nobody where it names none. Errors: as above.
[[nodiscard]] Result<std::optional<StoreLogin>> store_login(const Settings& settings);

}  // namespace outrigger
