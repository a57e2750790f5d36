#include "proxy/net/address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>

namespace outrigger::net {

namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr const char* kStep = "parse address";
constexpr const char* kHint = "write host:port, [IPv6]:port or unix:/path";

tl::unexpected<Error> refuse(std::string_view text, std::string reason) {
  return fail(ErrorCode::kInvalidArgument, kStep, "'" + std::string(text) + "'", std::move(reason),
              kHint);
}

bool parse_port(std::string_view text, uint16_t& port) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  return error == std::errc() && stop == end;
}

}  // namespace

std::string Address::text() const {
  if (is_unix()) return std::string(kUnixPrefix) + path;
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Address> parse_address(std::string_view text) {
  Address address;
  if (text.substr(0, kUnixPrefix.size()) == kUnixPrefix) {
    address.path = text.substr(kUnixPrefix.size());
    if (address.path.empty()) return refuse(text, "no path after unix:");
    if (address.path.size() >= sizeof(sockaddr_un::sun_path)) {
      return refuse(text, "the path is too long for a Unix socket");
    }
    return address;
  }
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return refuse(text, "no closing bracket");
    address.host = text.substr(1, close - 1);
    in6_addr ignored{};
    if (inet_pton(AF_INET6, address.host.c_str(), &ignored) != 1) {
      return refuse(text, "no IPv6 address between the brackets");
    }
    port = text.substr(close + 1);
    if (port.empty() || port.front() != ':') return refuse(text, "no port");
    port.remove_prefix(1);
  } else {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return refuse(text, "no port");
    address.host = text.substr(0, colon);
    if (address.host.find(':') != std::string::npos) {
      return refuse(text, "an IPv6 address needs brackets");
    }
    port = text.substr(colon + 1);
  }
  if (address.host.empty()) return refuse(text, "no host");
  if (address.host.find_first_of(" \t\r\n/\0", 0, 6) != std::string::npos) {
    return refuse(text, "a host holds no spaces or slashes");
  }
  if (!parse_port(port, address.port)) return refuse(text, "the port is not a number up to 65535");
  return address;
}

bool is_loopback(std::string_view host) {
  const std::string name(host);
  if (name == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, name.c_str(), &v6) != 1) return false;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return v6.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&v6) != 0;
}

}  // namespace outrigger::net
