// What tls.cc and tls_context.cc share. Private to proxy/net.
#pragma once

#include <string>

struct ssl_st;

namespace outrigger::net {

// Empties OpenSSL's error queue of this thread and says its first entry in words.
[[nodiscard]] std::string take_openssl_reason();

// A client's wish: the server `name`, whose certificate is checked to be for it where `verify` is
// on. An address has no name to be told, and stands in a certificate as an address.
void ask_for(ssl_st* ssl, const std::string& name, bool verify);

}  // namespace outrigger::net
