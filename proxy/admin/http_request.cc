#include "proxy/admin/http_request.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace outrigger {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string_view take_line(std::string_view& rest) {
  const size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool is_address(const std::string& host) {
  in6_addr ignored{};
  return inet_pton(AF_INET, host.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

std::string machine_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  return lower(name.data());
}

const char* reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 421:
      return "Misdirected Request";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

tl::unexpected<HttpAnswer> refused(int status, std::string text) {
  return tl::unexpected<HttpAnswer>(HttpAnswer{status, "text/plain", std::move(text) + "\n"});
}

// "GET /path?query HTTP/1.1"
tl::expected<HttpRequest, HttpAnswer> parse_first_line(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last ||
      !line.substr(last + 1).starts_with("HTTP/1.")) {
    return refused(400, "not a request of HTTP/1.1");
  }
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (method != "GET" && method != "HEAD" && method != "POST") {
    return refused(405, "only GET, HEAD and POST are answered here");
  }
  if (!target.starts_with('/')) return refused(400, "a path is needed");
  const size_t question = target.find('?');
  HttpRequest request;
  request.path = target.substr(0, question);
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
  request.head_only = method == "HEAD";
  request.posted = method == "POST";
  return request;
}

}  // namespace

std::optional<std::string> HttpRequest::field(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const size_t end = rest.find('&');
    const std::string_view part = rest.substr(0, end);
    const size_t equals = part.find('=');
    if (equals != std::string_view::npos && part.substr(0, equals) == name) {
      return std::string(part.substr(equals + 1));
    }
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return std::nullopt;
}

std::optional<size_t> head_end(std::string_view bytes) {
  const size_t strict = bytes.find("\r\n\r\n");
  const size_t loose = bytes.find("\n\n");
  if (strict == std::string_view::npos && loose == std::string_view::npos) return std::nullopt;
  return strict < loose ? strict + 4 : loose + 2;
}

tl::expected<HttpRequest, HttpAnswer> parse_request(std::string_view head,
                                                    const Endpoint& listens_on) {
  auto request = parse_first_line(take_line(head));
  if (!request) return request;
  std::optional<std::string_view> host;
  std::optional<std::string_view> origin;
  while (!head.empty()) {
    const std::string_view line = take_line(head);
    if (line.empty()) break;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0 || line.front() == ' ') {
      return refused(400, "a header line without a name");
    }
    const std::string name = lower(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (name == "host" && host) return refused(400, "two Host headers");
    if (name == "host") host = value;
    if (name == "origin") origin = value;
    if (name == "transfer-encoding" || (name == "content-length" && value != "0")) {
      return refused(413, "no body is taken here");
    }
  }
  if (!host) return refused(400, "no Host header");
  if (!is_our_host(*host, listens_on)) {
    return refused(421, "this is not the host that was asked for: use the address in admin.listen");
  }
  if (request->posted && origin && lower(*origin) != "http://" + lower(*host)) {
    return refused(403, "a page of another origin may change nothing here");
  }
  return request;
}

bool is_our_host(std::string_view host, const Endpoint& listens_on) {
  std::string name;
  if (host.starts_with('[')) {
    name = lower(host.substr(1, host.find(']') - 1));
  } else {
    name = lower(host.substr(0, host.find(':')));
  }
  if (name.ends_with('.')) name.pop_back();
  if (Endpoint{name, 0}.is_loopback() || name == lower(listens_on.host)) return true;
  if (listens_on.is_loopback()) return false;
  return is_address(name) || (!name.empty() && name == machine_name());
}

std::string to_bytes(const HttpAnswer& answer, bool head_only) {
  std::string out = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n"
      "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n",
      answer.status, reason_of(answer.status), answer.type, answer.body.size());
  if (!head_only) out += answer.body;
  return out;
}

}  // namespace outrigger
