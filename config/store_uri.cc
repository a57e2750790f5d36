#include "config/store_uri.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

namespace outrigger {
namespace {

// In small letters. Those of the first list say how the sidecar logs in, waits, chooses a server
// or what it trusts (all TLS options hold for both kinds of connections), or are defaults for
// commands, which the sidecar gives with each command.
constexpr auto kHonoured = std::to_array<std::string_view>({
    "appname",
    "authmechanism",
    "authmechanismproperties",
    "authsource",
    "compressors",
    "connecttimeoutms",
    "directconnection",
    "heartbeatfrequencyms",
    "journal",
    "localthresholdms",
    "maxidletimems",
    "maxpoolsize",
    "maxstalenessseconds",
    "minpoolsize",
    "readconcernlevel",
    "readpreference",
    "readpreferencetags",
    "replicaset",
    "retryreads",
    "retrywrites",
    "serverselectiontimeoutms",
    "serverselectiontryonce",
    "socketcheckintervalms",
    "sockettimeoutms",
    "ssl",
    "tls",
    "tlsallowinvalidcertificates",
    "tlsallowinvalidhostnames",
    "tlscafile",
    "tlscertificatekeyfile",
    "tlscertificatekeyfilepassword",
    "tlsdisablecertificaterevocationcheck",
    "tlsdisableocspendpointcheck",
    "tlsinsecure",
    "w",
    "waitqueuemultiple",
    "waitqueuetimeoutms",
    "wtimeoutms",
});

struct Refusal {
  std::string_view name;
  std::string_view reason;
};
constexpr auto kRefused = std::to_array<Refusal>({
    {"zlibcompressionlevel", "messages of apps are compressed at a level of our own"},
    {"loadbalanced", "the sidecar stands beside exactly one mongod"},
    {"proxyhost", "connections of apps go to MongoDB directly"},
    {"proxyport", "connections of apps go to MongoDB directly"},
    {"tlscrlfile", "certificates are not looked up in lists"},
});

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// What "%2C" and the like stand for, as in any URI.
std::string decoded(std::string_view text) {
  std::string out;
  for (; !text.empty(); text.remove_prefix(1)) {
    uint8_t byte = 0;
    const char* const end = text.data() + std::min<size_t>(text.size(), 3);
    const bool is_code = text.size() >= 3 && text.front() == '%' &&
                         std::from_chars(text.data() + 1, end, byte, 16).ptr == end;
    out.push_back(is_code ? static_cast<char>(byte) : text.front());
    if (is_code) text.remove_prefix(2);
  }
  return out;
}

// Each as it was written: its name, and what follows the sign.
std::vector<std::pair<std::string, std::string>> options_of(std::string_view uri) {
  std::vector<std::pair<std::string, std::string>> options;
  // Behind the credentials, which may hold anything.
  const size_t credentials = uri.rfind('@');
  const size_t question = uri.find('?', credentials == std::string_view::npos ? 0 : credentials);
  if (question == std::string_view::npos) return options;
  std::string_view rest = uri.substr(question + 1);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find_first_of("&;"), rest.size());
    const std::string_view option = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t sign = std::min(option.find('='), option.size());
    if (sign == 0) continue;
    options.emplace_back(option.substr(0, sign), option.substr(std::min(sign + 1, option.size())));
  }
  return options;
}

}  // namespace

StoreUriOptions::StoreUriOptions(std::string_view uri) {
  for (const auto& [name, value] : options_of(uri)) options_.emplace(lower(name), value);
}

std::string StoreUriOptions::text(const std::string& name) const {
  const auto found = options_.find(name);
  return found == options_.end() ? "" : found->second;
}

std::vector<std::string> StoreUriOptions::compressors() const {
  std::vector<std::string> names;
  const std::string all = decoded(text("compressors"));
  for (std::string_view rest = all; !rest.empty();) {
    const size_t end = std::min(rest.find(','), rest.size());
    if (end > 0) names.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return names;
}

std::optional<RefusedOption> refused_option(std::string_view uri) {
  for (auto& [name, value] : options_of(uri)) {
    const std::string in_small_letters = lower(name);
    if (std::find(kHonoured.begin(), kHonoured.end(), in_small_letters) != kHonoured.end())
      continue;
    const auto known = std::find_if(kRefused.begin(), kRefused.end(), [&](const Refusal& refusal) {
      return refusal.name == in_small_letters;
    });
    if (known != kRefused.end()) return RefusedOption{std::move(name), std::string(known->reason)};
    return RefusedOption{std::move(name), "it is not known here"};
  }
  return std::nullopt;
}

}  // namespace outrigger
