// What apps speak to the proxy: TLS where `proxy.tls` says so, and then nothing else.
#pragma once

#include <memory>

#include "config/settings.h"
#include "proxy/net/tls.h"

namespace outrigger {

// For one loop. Null: apps speak plainly. Errors name the file.
[[nodiscard]] Result<std::shared_ptr<net::TlsContext>> load_app_tls(const ProxySettings& settings);

}  // namespace outrigger
