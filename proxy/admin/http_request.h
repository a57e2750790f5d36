// The part of HTTP/1.1 that the admin port speaks: a GET, HEAD or POST without a body, of a head
// that is small, under a host name that is ours. What changes something is a POST.
//
// The name matters because no password is asked for: a web page may make its own name point to this
// machine (DNS rebinding) and then read what we answer, but its browser still sends that name. And
// it may post to us under our own name, but then its browser says where the page came from.
//
// Pure: bytes in, a request or an answer out.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "config/settings.h"

namespace outrigger {

struct HttpRequest {
  std::string path;   // "/conflicts"
  std::string query;  // "limit=5", without the question mark
  bool head_only = false;
  bool posted = false;

  // The value of a field of the query, as it was sent.
  [[nodiscard]] std::optional<std::string> field(std::string_view name) const;
};

struct HttpAnswer {
  int status = 200;
  std::string type = "text/plain";
  std::string body;
};

// Where the head of a request ends (behind its empty line), or nothing when it goes on.
[[nodiscard]] std::optional<size_t> head_end(std::string_view bytes);

// `head` with its empty line. An answer instead of a request says what is wrong with it.
[[nodiscard]] tl::expected<HttpRequest, HttpAnswer> parse_request(std::string_view head,
                                                                  const Endpoint& listens_on);

// Whether a Host header ("name", "name:port", "[::1]:port") names this port: by a name or address
// of this machine alone when it listens there, by any address (never a name but the machine's own)
// when it was opened to all.
[[nodiscard]] bool is_our_host(std::string_view host, const Endpoint& listens_on);

// Status line, headers and, unless `head_only`, the body. The connection ends with it.
[[nodiscard]] std::string to_bytes(const HttpAnswer& answer, bool head_only);

}  // namespace outrigger
