#include "config/units.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>

#include "config/limits.h"

namespace outrigger {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end || text.empty()) return std::nullopt;
  return number;
}

template <size_t kCount>
std::optional<uint64_t> parse_with_unit(std::string_view text, const Unit (&units)[kCount]) {
  const size_t digits = text.find_first_not_of("0123456789");
  if (digits == std::string_view::npos) return std::nullopt;
  const auto number = parse_number(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const Unit& unit : units) {
    if (unit.name != text.substr(digits)) continue;
    const auto limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / unit.factor;
    if (*number > limit) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

constexpr Unit kDurations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};

}  // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  static constexpr Unit kUnits[] = {
      {"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40}};
  return parse_with_unit(text, kUnits);
}

std::optional<int64_t> parse_duration_ms(std::string_view text) {
  const auto ms = parse_with_unit(text, kDurations);
  if (!ms) return std::nullopt;
  return static_cast<int64_t>(*ms);
}

std::string duration_text(int64_t ms) {
  Unit said = kDurations[0];
  for (const Unit& unit : kDurations) {
    if (ms != 0 && static_cast<uint64_t>(ms) % unit.factor == 0) said = unit;
  }
  return std::to_string(static_cast<uint64_t>(ms) / said.factor) + std::string(said.name);
}

std::optional<double> parse_amount(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const bool is_digits = !text.empty() && text.front() >= '0' && text.front() <= '9';
  if (error != std::errc{} || rest != end || !is_digits) return std::nullopt;
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

std::string number_text(double number) {
  char text[32];
  const auto [end, error] = std::to_chars(std::begin(text), std::end(text), number);
  return {std::begin(text), end};
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const auto port = parse_number(text.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535) return std::nullopt;
  if (host.front() == '[') {
    if (host.back() != ']' || host.size() < 4) return std::nullopt;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  if (host.find_first_of(" /@[]") != std::string_view::npos) return std::nullopt;
  return Endpoint{std::string(host), static_cast<uint16_t>(*port)};
}

std::vector<Endpoint> ProxySettings::doors() const {
  if (members.empty()) return {listen};
  std::vector<Endpoint> all;
  for (const ProxyMember& member : members) all.push_back(member.listen);
  return all;
}

uint32_t ProxySettings::workers_on(uint32_t cores) const {
  if (workers) return *workers;
  return std::clamp(cores, uint32_t{2}, limits::kWorkersMax + 1) - 1;
}

std::string Endpoint::text() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Endpoint::is_loopback() const {
  if (host == "localhost" || host == "::1") return true;
  // 127.example.org is a name, not an address of this machine.
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}

bool Endpoint::is_wildcard() const { return host == "0.0.0.0" || host == "::"; }

}  // namespace outrigger
