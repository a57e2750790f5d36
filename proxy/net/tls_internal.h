// What tls.cc and tls_context.cc share. Private to proxy/net.
#pragma once

#include <string>

namespace outrigger::net {

// Empties OpenSSL's error queue of this thread and says its first entry in words.
[[nodiscard]] std::string take_openssl_reason();

}  // namespace outrigger::net
