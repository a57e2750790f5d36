#include "config/validate.h"

#include <algorithm>
#include <vector>

#include "config/policy.h"
#include "config/store_uri.h"

namespace outrigger {
namespace {

class Validator {
 public:
  Validator(const Settings& settings, const Places& places, YamlErrors& errors)
      : settings_(settings), places_(places), errors_(errors) {}

  void run() {
    check_listeners();
    check_sockets();
    check_advertise();
    check_set();
    check_store();
    check_admin();
    check_members();
    check_peer_security();
    check_rules();
    for (const ReplicateRule& rule : settings_.replicate) {
      for (const PathRule& field : rule.fields) check_sites(field);
    }
  }
  void run_rules() { check_rules(); }

 private:
  // A value that was left at its default has no line of its own; its section, or line 1, has.
  [[nodiscard]] YamlValue place(const std::string& path) const {
    if (const auto found = places_.find(path); found != places_.end()) return found->second;
    if (const auto found = places_.find(path.substr(0, path.find('.'))); found != places_.end()) {
      return {YAML::Node(), path, found->second.line};
    }
    return {YAML::Node(), path, 1};
  }

  void refuse(const std::string& path, const std::string& reason, const std::string& hint = {}) {
    errors_.refuse(place(path), ErrorCode::kInvalidArgument, reason, hint);
  }

  static bool collide(const Endpoint& a, const Endpoint& b) {
    return a.port == b.port && (a.host == b.host || a.is_wildcard() || b.is_wildcard());
  }

  void check_listeners() {
    struct Listener {
      std::string path;
      Endpoint endpoint;
    };
    std::vector<Listener> listeners;
    for (size_t i = 0; i < settings_.proxy.members.size(); ++i) {
      listeners.push_back({member_path(i, "listen"), settings_.proxy.members[i].listen});
    }
    if (listeners.empty()) listeners.push_back({"proxy.listen", settings_.proxy.listen});
    listeners.push_back({"admin.listen", settings_.admin.listen});
    if (settings_.peers.listen) listeners.push_back({"peers.listen", *settings_.peers.listen});
    for (size_t i = 0; i < listeners.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (!collide(listeners[i].endpoint, listeners[j].endpoint)) continue;
        refuse(listeners[i].path, "expected a port of its own, found " +
                                      listeners[i].endpoint.text() + ", which " +
                                      listeners[j].path + " also listens on");
      }
    }
  }

  // Each file is one listener's, and drivers are shown it.
  void check_sockets() {
    const ProxySettings& proxy = settings_.proxy;
    std::map<std::string, std::string> seen;
    if (!proxy.socket.empty()) seen.emplace(proxy.socket, "proxy.socket");
    for (size_t i = 0; i < proxy.members.size(); ++i) {
      const std::string& path = proxy.members[i].socket;
      if (path.empty()) continue;
      const auto [other, is_new] = seen.emplace(path, member_path(i, "socket"));
      if (is_new) continue;
      refuse(member_path(i, "socket"),
             "expected a path of its own, found " + path + ", which is also " + other->second);
    }
    if (seen.empty() && places_.contains("proxy.socket_mode")) {
      refuse("proxy.socket_mode", "expected no such key without a socket",
             "write socket: /run/outrigger.sock beside it");
    }
    const std::string store = in_small_letters(settings_.store.uri);
    for (const auto& [path, place] : seen) {
      std::string escaped;
      for (const char c : path) escaped += c == '/' ? std::string("%2f") : std::string(1, c);
      if (store.find(escaped) == std::string::npos) continue;
      refuse("store.uri", "expected the socket of MongoDB, found that of " + place,
             "the app dials " + place + "; the sidecar dials store.uri");
    }
  }

  static std::string in_small_letters(std::string text) {
    for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return text;
  }

  static std::string member_path(size_t i, const char* key) {
    return "proxy.members[" + std::to_string(i) + "]." + key;
  }

  // What is said of the members of a set.
  void check_set() {
    const auto& members = settings_.proxy.members;
    if (members.empty()) {
      if (places_.contains("proxy.members")) {
        refuse("proxy.members", "expected the members of the set, found none");
      }
      return;
    }
    for (const char* alone : {"proxy.listen", "proxy.advertise", "proxy.socket"}) {
      if (!places_.contains(alone)) continue;
      refuse(alone, "expected no such key beside proxy.members",
             "each member has a listener of its own: what comes in there goes to it");
    }
    for (size_t i = 0; i < members.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (members[i].member == members[j].member) {
          refuse(member_path(i, "member"), "expected a member that is not listed yet, found " +
                                               members[i].member.text() + " again");
        }
        if (members[i].advertise == members[j].advertise) {
          refuse(member_path(i, "advertise"),
                 "expected an address of its own, found that of " + members[j].member.text());
        }
      }
      if (!members[i].advertise.is_wildcard()) continue;
      refuse(member_path(i, "listen"),
             "expected an address that drivers can dial, found " + members[i].advertise.text(),
             "set advertise beside it to the name or address of this machine");
    }
    const StoreUriOptions options(settings_.store.uri);
    if (options.text("replicaset").empty()) {
      refuse("store.uri", "expected replicaSet= beside proxy.members, found none",
             "the sidecar's own connections follow the primary of that set");
    }
    if (options.text("directconnection") == "true") {
      refuse("store.uri", "expected no directConnection=true beside proxy.members",
             "the sidecar's own connections follow the primary");
    }
  }

  void check_advertise() {
    if (!settings_.proxy.members.empty()) return;
    if (!settings_.proxy.advertise.is_wildcard()) return;
    const bool named = places_.contains("proxy.advertise");
    refuse(named ? "proxy.advertise" : "proxy.listen",
           "expected an address that drivers can dial, found " + settings_.proxy.advertise.text(),
           "set proxy.advertise to the name or address of this machine");
  }

  void check_store() {
    const std::string& uri = settings_.store.uri;
    const size_t scheme_end = uri.find("://") + 3;
    const size_t credentials_end = uri.rfind('@');
    const size_t start = credentials_end == std::string::npos ? scheme_end : credentials_end + 1;
    const std::string hosts = uri.substr(start, uri.find_first_of("/?", start) - start) + ",";
    if (const auto option = refused_option(uri)) {
      refuse("store.uri", "expected no option " + option->name + ": " + option->reason,
             "remove it from the URI");
    }
    for (const std::string& name : StoreUriOptions(uri).compressors()) {
      if (name == "snappy" || name == "zstd" || name == "zlib") continue;
      refuse("store.uri", "expected of compressors snappy, zstd or zlib, found " + name,
             "in small letters, the best first: compressors=zstd,snappy; or leave it out");
    }
    if (hosts == ",") {
      refuse("store.uri", "expected host:port after mongodb://, found no host");
    }
    const std::vector<Endpoint> doors = settings_.proxy.doors();
    for (size_t at = 0; at < hosts.size();) {
      const size_t comma = hosts.find(',', at);
      const std::string host = hosts.substr(at, comma - at);
      const auto is_it = [&](const Endpoint& door) { return door.text() == host; };
      if (std::any_of(doors.begin(), doors.end(), is_it)) {
        const char* door =
            settings_.proxy.members.empty() ? "proxy.listen" : "a listener of proxy.members";
        refuse("store.uri", std::string("expected the address of MongoDB, found that of ") + door,
               std::string("the app dials ") + door + "; the sidecar dials store.uri");
      }
      at = comma + 1;
    }
  }

  void check_admin() {
    if (settings_.admin.listen.is_loopback() || settings_.admin.insecure) return;
    refuse("admin.listen", "expected a loopback address, found " + settings_.admin.listen.text(),
           "the admin port shows documents and asks for no password; to open it all the same, set "
           "admin.insecure: true");
  }

  void check_members() {
    std::map<std::string, std::string> seen = {{settings_.site, "site"}};
    std::map<std::string, std::string> addresses;
    for (size_t i = 0; i < settings_.peers.sites.size(); ++i) {
      const PeerSite& peer = settings_.peers.sites[i];
      const std::string path = "peers.sites[" + std::to_string(i) + "]";
      const auto [name, is_new] = seen.emplace(peer.site, path + ".site");
      if (!is_new) {
        refuse(path + ".site", "expected a name no other site has, found '" + peer.site +
                                   "', which is also " + name->second);
      }
      if (!peer.address) {
        if (!settings_.peers.listen) {
          refuse(path + ".site",
                 "expected an address for '" + peer.site +
                     "' or a value for peers.listen, found neither",
                 "one of the two sites must be able to dial the other");
        }
        continue;
      }
      const auto [address, is_first] = addresses.emplace(peer.address->text(), path + ".address");
      if (!is_first) {
        refuse(path + ".address",
               "expected an address no other peer has, found that of " + address->second);
      }
      if (settings_.peers.listen == peer.address) {
        refuse(path + ".address",
               "expected the address of '" + peer.site + "', found peers.listen of this site");
      }
    }
  }

  void check_peer_security() {
    if (settings_.peers.tls && settings_.peers.insecure) {
      refuse("peers.insecure", "expected false beside peers.tls, found true",
             "keep tls and remove insecure");
    }
    if (settings_.peers.tls || settings_.peers.insecure) return;
    const std::string hint =
        "give peers.tls, or set peers.insecure: true to send records unencrypted";
    if (settings_.peers.listen && !settings_.peers.listen->is_loopback()) {
      refuse("peers.listen",
             "expected a loopback address, as there is no peers.tls; found " +
                 settings_.peers.listen->text(),
             hint);
    }
    for (size_t i = 0; i < settings_.peers.sites.size(); ++i) {
      const auto& address = settings_.peers.sites[i].address;
      if (!address || address->is_loopback()) continue;
      refuse("peers.sites[" + std::to_string(i) + "].address",
             "expected a loopback address, as there is no peers.tls; found " + address->text(),
             hint);
    }
  }

  // Only members write.
  void check_sites(const PathRule& field) {
    if (field.type != PathType::kSite) return;
    const auto& peers = settings_.peers.sites;
    for (const std::string& name : field.preferred) {
      const bool is_member = name == settings_.site ||
                             std::any_of(peers.begin(), peers.end(),
                                         [&](const auto& each) { return each.site == name; });
      if (is_member) continue;
      errors_.refuse({YAML::Node(), "replicate", field.line}, ErrorCode::kInvalidArgument,
                     "expected names of members in '" + text_of(field) + "', found '" + name + "'",
                     "members are this site and those of peers.sites");
    }
  }

  void check_rules() {
    const auto& rules = settings_.replicate;
    for (size_t i = 0; i < rules.size(); ++i) {
      const std::string path = "replicate[" + std::to_string(i) + "].namespace";
      for (const char* reserved : {"admin.", "local.", "config.", "outrigger."}) {
        if (rules[i].replicate && rules[i].namespace_glob.starts_with(reserved)) {
          refuse(path,
                 std::string("expected a database that can travel, found '") +
                     rules[i].namespace_glob + "'",
                 "admin, local, config and outrigger stay at their site");
        }
      }
      // A '*' in the later glob is matched like any other byte, so this finds what is covered.
      const auto covers = [&](const ReplicateRule& earlier) {
        return glob_matches(earlier.namespace_glob, rules[i].namespace_glob);
      };
      const auto end = rules.begin() + static_cast<std::ptrdiff_t>(i);
      const auto earlier = std::find_if(rules.begin(), end, covers);
      if (earlier == end) continue;
      refuse(path,
             "expected a rule that can match, found '" + rules[i].namespace_glob + "' after '" +
                 earlier->namespace_glob + "', which takes all of it",
             "the first match decides: put the narrower rule first");
    }
  }

  const Settings& settings_;
  const Places& places_;
  YamlErrors& errors_;
};

}  // namespace

void validate(const Settings& settings, const Places& places, YamlErrors& errors) {
  Validator(settings, places, errors).run();
}

void validate_rules(const Settings& rules, const Places& places, YamlErrors& errors) {
  Validator(rules, places, errors).run_rules();
}

}  // namespace outrigger
