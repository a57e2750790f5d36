// "host:port" as people write it in a configuration, taken apart with an error they can act on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.h"

namespace outrigger::net {

struct Address {
  std::string host;  // without brackets; empty for a Unix socket
  uint16_t port = 0;
  std::string path;  // of a Unix socket, else empty

  [[nodiscard]] bool is_unix() const { return !path.empty(); }
  // As it was written: "127.0.0.1:27117", "[::1]:27117", "unix:/run/x.sock".
  [[nodiscard]] std::string text() const;
};

// Accepts "127.0.0.1:27117", "db.example:27017", "[::1]:27117", "unix:/path". Port 0 is legal
// here: it asks a listener for any free port.
[[nodiscard]] Result<Address> parse_address(std::string_view text);

// 127.0.0.0/8, ::1, its IPv4-mapped form, "localhost". A name is never resolved.
[[nodiscard]] bool is_loopback(std::string_view host);

}  // namespace outrigger::net
