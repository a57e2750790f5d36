#include "config/sections.h"

#include <algorithm>
#include <charconv>
#include <fstream>

#include "config/limits.h"

namespace outrigger {
namespace {

constexpr const char* kPemFile = "the path of a PEM file";
constexpr uint32_t kConnectionsLimit = 1'000'000;
// What the kernel takes, its last byte being 0.
constexpr size_t kSocketPathBytesMax = 107;
constexpr const char* kSocketForm =
    "an absolute path that ends in .sock, of at most 107 small letters, digits and / . _ -";
constexpr const char* kModeForm = "a file mode such as 0700 or 0770";

void read_tls_file(YamlErrors& errors, const std::optional<YamlValue>& value, std::string* into) {
  const std::string what = kPemFile;
  if (!value) return;
  const auto path = read_text(errors, *value, what);
  if (!path) return;
  *into = *path;
  if (std::ifstream(*path).peek() == std::ifstream::traits_type::eof()) {
    errors.expected(*value, "a PEM file that can be read", "tools/certs makes test files");
  }
}

// Drivers tell a socket by its ending, take a colon for that of a port, and write what hello names
// in small letters.
bool is_socket_path(std::string_view path) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '_' ||
           c == '-';
  };
  return path.starts_with('/') && path.ends_with(".sock") && path.size() <= kSocketPathBytesMax &&
         std::all_of(path.begin(), path.end(), is_plain);
}

class Proxy {
 public:
  Proxy(YamlErrors& errors, ProxySettings& into, Places& places)
      : errors_(errors), into_(into), places_(places) {}

  void read(const YamlValue& value) {
    YamlMap map(errors_, value);
    read_at(map.take("listen"), &into_.listen);
    into_.advertise = into_.listen;
    read_at(map.take("advertise"), &into_.advertise);
    read_socket(map, &into_.socket);
    if (const auto mode = map.take("socket_mode")) read_mode(*mode);
    if (const auto members = map.take("members")) {
      places_[members->path] = *members;
      for (const YamlValue& item : read_list(errors_, *members, "members")) read_member(item);
    }
    if (const auto workers = map.take("workers")) {
      into_.workers = read_number(errors_, *workers, 1, limits::kWorkersMax);
    }
    if (const auto tls = map.take("tls")) into_.tls = read_tls(errors_, *tls, false);
    if (const auto compressors = map.take("compressors")) read_compressors(*compressors);
    if (const auto limits = map.take("limits")) read_limits(*limits);
    map.finish();
  }

 private:
  void read_at(const std::optional<YamlValue>& value, Endpoint* into) {
    if (value) read_endpoint(errors_, *value, places_, into);
  }

  void read_member(const YamlValue& value) {
    YamlMap map(errors_, value);
    ProxyMember& member = into_.members.emplace_back();
    read_at(map.require("member", "the member as the set names it, host:port"), &member.member);
    read_at(map.require("listen", "where apps reach this member, host:port"), &member.listen);
    member.advertise = member.listen;
    read_at(map.take("advertise"), &member.advertise);
    read_socket(map, &member.socket);
    map.finish();
  }

  void read_socket(YamlMap& map, std::string* into) {
    const auto value = map.take("socket");
    if (!value) return;
    places_[value->path] = *value;
    const auto path = read_text(errors_, *value, kSocketForm);
    if (path && !is_socket_path(*path)) return errors_.expected(*value, kSocketForm);
    if (path) *into = *path;
  }

  void read_mode(const YamlValue& value) {
    places_[value.path] = value;
    const std::string text = value.node.IsScalar() ? value.node.Scalar() : "";
    uint32_t mode = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    const bool is_mode = text.size() == 4 && text.front() == '0' && error == std::errc() &&
                         end == text.data() + text.size();
    if (!is_mode) return errors_.expected(value, kModeForm);
    into_.socket_mode = mode;
  }

  void read_compressors(const YamlValue& value) {
    const std::vector<std::string> known = into_.compressors;
    into_.compressors.clear();
    for (const YamlValue& item : read_list(errors_, value, "compressors")) {
      const std::string name = item.node.IsScalar() ? item.node.Scalar() : "";
      const auto is_it = [&](const std::string& each) { return each == name; };
      if (std::none_of(known.begin(), known.end(), is_it)) {
        errors_.expected(item, "snappy, zstd or zlib");
      } else if (std::any_of(into_.compressors.begin(), into_.compressors.end(), is_it)) {
        errors_.expected(item, "each compressor once");
      } else {
        into_.compressors.push_back(name);
      }
    }
  }

  void read_limits(const YamlValue& value) {
    YamlMap limit(errors_, value);
    if (const auto connections = limit.take("connections")) {
      into_.connections_max = read_number(errors_, *connections, 1, kConnectionsLimit).value_or(1);
    }
    limit.finish();
  }

  YamlErrors& errors_;
  ProxySettings& into_;
  Places& places_;
};

}  // namespace

void read_proxy(YamlErrors& errors, const YamlValue& value, ProxySettings& into, Places& places) {
  Proxy(errors, into, places).read(value);
}

TlsSettings read_tls(YamlErrors& errors, const YamlValue& value, bool needs_ca) {
  YamlMap map(errors, value);
  TlsSettings tls;
  read_tls_file(errors, map.require("certificate", kPemFile), &tls.certificate);
  read_tls_file(errors, map.require("key", kPemFile), &tls.key);
  read_tls_file(errors, needs_ca ? map.require("ca", kPemFile) : map.take("ca"), &tls.ca);
  map.finish();
  return tls;
}

void read_endpoint(YamlErrors& errors, const YamlValue& value, Places& places, Endpoint* into) {
  places[value.path] = value;
  if (const auto endpoint = read_endpoint(errors, value)) *into = *endpoint;
}

}  // namespace outrigger
