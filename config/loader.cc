#include "config/loader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "config/field_rules.h"
#include "config/limits.h"
#include "config/policy.h"
#include "config/sections.h"
#include "config/site_name.h"
#include "config/units.h"
#include "config/validate.h"
#include "config/yaml_reader.h"
#include "config/yaml_text.h"

namespace outrigger {
namespace {

constexpr const char* kNamespaceForm = "database.collection, where * matches anything";
constexpr uint64_t kKeptBytesMin = 1ULL << 20;
constexpr const char* kOrForEver = ", or 0 (for ever)";

// One function a section, in the order of the file.
class Loader {
 public:
  Loader(YamlErrors& errors, const YAML::Node& root) : errors_(errors), root_(root) {}

  SettingsResult load() {
    YamlMap top(errors_, {root_, "", 1});
    load_site(top);
    load_store(top);
    if (const auto proxy = top.take("proxy")) read_proxy(errors_, *proxy, settings_.proxy, places_);
    if (const auto peers = top.take("peers")) load_peers(*peers);
    if (const auto admin = top.take("admin")) load_admin(*admin);
    if (const auto outbox = top.take("outbox")) load_outbox(*outbox);
    if (const auto ledger = top.take("ledger")) load_ledger(*ledger);
    if (const auto clock = top.take("clock")) load_clock(*clock);
    if (const auto expiry = top.take("expiry")) load_expiry(*expiry);
    if (const auto log = top.take("log")) load_log(*log);
    load_policy(top);
    top.finish();
    if (errors_.empty()) validate(settings_, places_, errors_);
    if (!errors_.empty()) return tl::unexpected(errors_.take());
    return settings_;
  }

  // `text`: what they stand in.
  SettingsResult load_rules(const std::string& text) {
    settings_.rules_text = text;
    YamlMap top(errors_, {root_, "", 1});
    load_policy(top);
    top.finish();
    if (errors_.empty()) validate_rules(settings_, places_, errors_);
    if (!errors_.empty()) return tl::unexpected(errors_.take());
    return settings_;
  }

 private:
  void not_built(const YamlValue& at, const std::string& expected) {
    errors_.refuse(at, ErrorCode::kUnsupported, "known, but not yet built: expected " + expected,
                   "remove it, or wait for a version that has it");
  }

  void load_site(YamlMap& top) {
    const std::string what = "a name of 1 to 32 characters a-z, 0-9 and -";
    if (const auto site = top.require("site", what)) {
      if (const auto name = read_text(errors_, *site, what)) set_site(*site, *name, what);
    }
    if (const auto dir = top.require("data_dir", "a directory")) {
      settings_.data_dir = read_text(errors_, *dir, "a directory").value_or("");
    }
  }

  void set_site(const YamlValue& at, const std::string& name, const std::string& what) {
    if (!is_site_name(name)) return errors_.expected(at, what);
    settings_.site = name;
  }

  void load_store(YamlMap& top) {
    const std::string what = "a URI such as mongodb://127.0.0.1:27017/?replicaSet=rs0";
    const auto store = top.require("store", "a mapping with the key uri");
    if (!store) return;
    YamlMap map(errors_, *store);
    if (const auto uri = map.require("uri", what)) {
      places_["store.uri"] = *uri;
      settings_.store.uri = read_text(errors_, *uri, what).value_or("mongodb://");
      if (settings_.store.uri.starts_with("mongodb+srv://")) {
        not_built(*uri, "mongodb:// and the hosts by name");
      } else if (!settings_.store.uri.starts_with("mongodb://")) {
        errors_.expected(*uri, what);
      }
    }
    map.finish();
  }

  void load_endpoint(YamlMap& map, const std::string& key, Endpoint* out) {
    if (const auto value = map.take(key)) read_endpoint(errors_, *value, places_, out);
  }

  void load_peers(const YamlValue& value) {
    places_["peers"] = value;
    YamlMap map(errors_, value);
    Endpoint listen;
    load_endpoint(map, "listen", &listen);
    if (listen.port != 0) settings_.peers.listen = listen;
    if (const auto insecure = map.take("insecure")) {
      places_[insecure->path] = *insecure;
      settings_.peers.insecure = read_bool(errors_, *insecure).value_or(false);
    }
    if (const auto tls = map.take("tls")) settings_.peers.tls = read_tls(errors_, *tls, true);
    if (const auto sites = map.take("sites")) {
      for (const YamlValue& item : read_list(errors_, *sites, "sites")) load_peer_site(item);
    }
    map.finish();
  }

  void load_peer_site(const YamlValue& value) {
    const std::string what = "a site name of 1 to 32 characters a-z, 0-9 and -";
    YamlMap map(errors_, value);
    PeerSite peer;
    if (const auto site = map.require("site", what)) {
      places_[site->path] = *site;
      peer.site = read_text(errors_, *site, what).value_or("-");
      if (!is_site_name(peer.site)) errors_.expected(*site, what);
    }
    Endpoint address;
    load_endpoint(map, "address", &address);
    if (address.port != 0) peer.address = address;
    map.finish();
    settings_.peers.sites.push_back(peer);
  }

  void load_admin(const YamlValue& value) {
    YamlMap map(errors_, value);
    load_endpoint(map, "listen", &settings_.admin.listen);
    if (const auto insecure = map.take("insecure")) {
      settings_.admin.insecure = read_bool(errors_, *insecure).value_or(false);
    }
    map.finish();
  }

  void load_outbox(const YamlValue& value) {
    YamlMap map(errors_, value);
    load_bytes_max(map, &settings_.outbox.bytes_max);
    if (const auto age = map.take("retain_for")) not_built(*age, "no such key");
    map.finish();
  }

  void load_ledger(const YamlValue& value) {
    YamlMap map(errors_, value);
    load_bytes_max(map, &settings_.ledger.bytes_max);
    const auto keep = map.take("keep_for");
    const bool is_for_ever = keep && keep->node.IsScalar() && keep->node.Scalar() == "0";
    if (keep && !is_for_ever) {
      load_duration(*keep, &settings_.ledger.keep_ms, std::string(kDurationForm) + kOrForEver);
    }
    map.finish();
  }

  void load_bytes_max(YamlMap& map, uint64_t* out) {
    const auto bytes = map.take("max_bytes");
    if (!bytes) return;
    const auto size = bytes->node.IsScalar() ? parse_size(bytes->node.Scalar()) : std::nullopt;
    if (!size || *size < kKeptBytesMin) {
      return errors_.expected(*bytes, std::string(kSizeForm) + ", at least 1MiB");
    }
    *out = *size;
  }

  void load_clock(const YamlValue& value) {
    YamlMap map(errors_, value);
    load_duration(map, "max_ahead", &settings_.clock.ahead_ms_max);
    map.finish();
  }

  void load_expiry(const YamlValue& value) {
    YamlMap map(errors_, value);
    load_enum(map.take("by"), {"sidecar", "store"}, settings_.expiry.by);
    constexpr int64_t kEveryMsMax = 86'400'000;
    const auto every = map.take("every");
    if (every) load_duration(*every, &settings_.expiry.every_ms);
    if (every && settings_.expiry.every_ms > kEveryMsMax) errors_.expected(*every, "at most 24h");
    map.finish();
  }

  void load_duration(YamlMap& map, const std::string& key, int64_t* out) {
    if (const auto value = map.take(key)) load_duration(*value, out);
  }
  void load_duration(const YamlValue& value, int64_t* out,
                     const std::string& form = kDurationForm) {
    const auto ms = value.node.IsScalar() ? parse_duration_ms(value.node.Scalar()) : std::nullopt;
    if (!ms || *ms == 0) return errors_.expected(value, form);
    *out = *ms;
  }

  // One of a few words; returns its index.
  size_t load_word(const YamlValue& value, const std::vector<std::string>& words) {
    std::string what;
    for (size_t i = 0; i < words.size(); ++i) {
      if (value.node.IsScalar() && value.node.Scalar() == words[i]) return i;
      what += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
    }
    errors_.expected(value, what);
    return 0;
  }

  // Its words in the order of its values; nothing is said: as it is.
  template <typename Enum>
  void load_enum(const std::optional<YamlValue>& value, const std::vector<std::string>& words,
                 Enum& into) {
    if (value) into = static_cast<Enum>(load_word(*value, words));
  }

  void load_log(const YamlValue& value) {
    YamlMap map(errors_, value);
    load_enum(map.take("format"), {"text", "json"}, settings_.log.format);
    load_enum(map.take("level"), {"trace", "debug", "info", "warn", "error"}, settings_.log.level);
    map.finish();
  }

  void load_policy(YamlMap& top) {
    const auto equal_set = top.take("equal_set");
    load_enum(equal_set, {"keep", "drop"}, settings_.equal_set);
    const auto rules = top.take("replicate");
    if (rules) {
      const std::vector<YamlValue> items = read_list(errors_, *rules, "rules");
      if (items.size() > limits::kRulesMax) return too_large(*rules, limits::kRulesMax, "rules");
      for (const YamlValue& item : items) load_rule(item);
    }
    if (!errors_.empty()) return;
    if (settings_.rules_text.empty()) settings_.rules_text = rules_text(equal_set, rules);
    if (rules) check_sizes(*rules);
  }

  static std::string rules_text(const std::optional<YamlValue>& equal_set,
                                const std::optional<YamlValue>& rules) {
    YAML::Node said(YAML::NodeType::Map);
    if (equal_set) said["equal_set"] = equal_set->node;
    if (rules) said["replicate"] = rules->node;
    return plain_yaml(said);
  }

  // Other sites are told of them, and each has to be able to say them in its hello.
  void check_sizes(const YamlValue& rules) {
    if (settings_.rules_text.size() > limits::kRulesBytesMax) {
      return too_large(rules, limits::kRulesBytesMax, "bytes of rules");
    }
    size_t bytes = 0;
    size_t longest = 0;
    const Policy policy(settings_);
    for (const std::string& line : policy.lines()) {
      bytes += line.size();
      longest = std::max(longest, line.size());
    }
    if (longest > limits::kRuleLineBytesMax) {
      too_large(rules, limits::kRuleLineBytesMax, "bytes of a rule");
    } else if (bytes > limits::kRuleLinesBytesMax) {
      too_large(rules, limits::kRuleLinesBytesMax, "bytes of rules, written out one a line");
    }
  }
  void too_large(const YamlValue& at, size_t most, const std::string& what) {
    errors_.refuse(at, ErrorCode::kInvalidArgument,
                   "expected at most " + std::to_string(most) + " " + what,
                   "patterns with * take the place of many");
  }

  void load_rule(const YamlValue& value) {
    YamlMap map(errors_, value);
    ReplicateRule rule;
    rule.line = value.line;
    if (const auto glob = map.require("namespace", kNamespaceForm)) {
      places_[glob->path] = *glob;
      rule.namespace_glob = read_text(errors_, *glob, kNamespaceForm).value_or("*");
      if (rule.namespace_glob.size() > limits::kGlobBytesMax) {
        too_large(*glob, limits::kGlobBytesMax, "bytes of a namespace");
      }
      if (rule.namespace_glob.find_first_of(".*") == std::string::npos) {
        errors_.expected(*glob, kNamespaceForm,
                         "for a whole database: " + rule.namespace_glob + ".*");
      }
    }
    const auto replicate = map.take("replicate");
    if (replicate) rule.replicate = read_bool(errors_, *replicate).value_or(true);
    const auto deletes = map.take("deletes");
    load_enum(deletes, {"delete_wins", "update_wins"}, rule.deletes);
    const auto replaces = map.take("replaces");
    load_enum(replaces, {"whole", "diff"}, rule.replaces);
    const auto inserts = map.take("inserts");
    load_enum(inserts, {"later", "merge"}, rule.inserts);
    const auto unique = map.take("unique");
    load_enum(unique, {"park", "keep"}, rule.unique);
    const auto version_field = map.take("version_field");
    if (version_field) rule.version_field = read_version_field(errors_, *version_field);
    const auto fields = map.take("fields");
    if (fields) {
      rule.fields = read_field_rules(errors_, *fields, version_field.has_value());
    }
    const auto escalate = map.take("escalate");
    if (escalate) rule.escalate = read_escalation(errors_, *escalate);
    if (version_field && rule.inserts == InsertPolicy::kMerge) {
      errors_.refuse(*inserts, ErrorCode::kInvalidArgument,
                     "expected no inserts: merge beside version_field, under which a document that "
                     "is inserted is a version, whole",
                     "remove one of the two");
    }
    for (const auto& merges :
         {deletes, replaces, inserts, unique, version_field, fields, escalate}) {
      if (!replicate || rule.replicate || !merges) continue;
      errors_.refuse(*merges, ErrorCode::kInvalidArgument,
                     "expected no merge rule beside replicate: false", "remove one of the two");
    }
    map.finish();
    settings_.replicate.push_back(rule);
  }

  YamlErrors& errors_;
  const YAML::Node& root_;
  Settings settings_;
  Places places_;
};

std::vector<Error> one_error(Error error) {
  std::vector<Error> errors;
  errors.push_back(std::move(error));
  return errors;
}

}  // namespace

SettingsResult parse_settings(const std::string& text, const std::string& file) {
  const auto yaml = parse_yaml(text, file);
  if (!yaml) return tl::unexpected(one_error(yaml.error()));
  YamlErrors errors(file);
  return Loader(errors, yaml->root).load();
}

SettingsResult parse_rules(const std::string& text, const std::string& file) {
  const auto yaml = parse_yaml(text, file);
  if (!yaml) return tl::unexpected(one_error(yaml.error()));
  if (yaml->has_alias) {
    return tl::unexpected(one_error({ErrorCode::kInvalidArgument, "", file,
                                     "expected each rule written out, found an alias", ""}));
  }
  YamlErrors errors(file);
  return Loader(errors, yaml->root).load_rules(text);
}

SettingsResult load_settings(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return tl::unexpected(one_error({ErrorCode::kIo, "read settings", path,
                                     "expected a file that can be read and is not empty",
                                     "check the path given with --config"}));
  }
  return parse_settings(text.str(), path);
}

std::string describe(const std::vector<Error>& errors) {
  std::string text;
  for (const Error& error : errors) text += error.message() + "\n";
  return text;
}

std::vector<std::string> warnings(const Settings& settings) {
  std::vector<std::string> lines;
  if (settings.peers.insecure) {
    lines.push_back(
        "peers.insecure is on: records travel unencrypted and any host can pose as a "
        "peer");
  }
  if (settings.admin.insecure && !settings.admin.listen.is_loopback()) {
    lines.push_back("admin.insecure is on: " + settings.admin.listen.text() +
                    " shows documents to anyone who can reach it");
  }
  return lines;
}

}  // namespace outrigger
