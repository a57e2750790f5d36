// Every way a settings file can be wrong, and the words a person gets for it.
#include "config/loader.h"

#include <gtest/gtest.h>

#include <fstream>

#include "config/limits.h"
#include "config/loader_testing.h"

namespace outrigger {
namespace {

using testing::BadCase;
using testing::errors_of;
using testing::expect_refused;
using testing::kMinimal;

Settings settings_of(const std::string& extra) {
  const auto result = parse_settings(kMinimal + extra, "f.yaml");
  EXPECT_TRUE(result.has_value()) << describe(result.error());
  return result.value_or(Settings{});
}

class BadSettings : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadSettings, AreRefusedNamingLineKeyAndExpectation) { expect_refused(GetParam()); }

const BadCase kMissing[] = {
    {"no_site", "#whole\ndata_dir: /d\nstore: {uri: 'mongodb://h'}\n", "f.yaml:1: site",
     "expected a name of 1 to 32 characters a-z, 0-9 and -, found no such key"},
    {"no_data_dir", "#whole\nsite: a\nstore: {uri: 'mongodb://h'}\n", "f.yaml:1: data_dir",
     "expected a directory, found no such key"},
    {"no_store", "#whole\nsite: a\ndata_dir: /d\n", "f.yaml:1: store",
     "expected a mapping with the key uri, found no such key"},
    {"no_uri", "#whole\nsite: a\ndata_dir: /d\nstore: {}\n", "f.yaml:3: store.uri",
     "expected a URI such as mongodb://127.0.0.1:27017/?replicaSet=rs0, found no such key"},
    {"empty_file", "#whole\n", "f.yaml:1", "expected one YAML document, found none"},
    {"comma_first", "#whole\n, a\n", "f.yaml:1", "expected one YAML document, found more"},
    {"two_documents", "---\nsite: b\n", "f.yaml:1", "expected one YAML document, found more"},
    {"list_at_the_top", "#whole\n- site: a\n", "f.yaml:1",
     "expected a mapping of keys to values, found a list"},
    {"broken_yaml", "proxy: {listen: [\n", "f.yaml:5", "expected YAML, found an error"},
    {"peer_without_name", "peers:\n  sites:\n    - {address: '127.0.0.1:1'}\n",
     "f.yaml:6: peers.sites[0].site", "expected a site name"},
    {"rule_without_namespace", "replicate:\n  - {replicate: false}\n",
     "f.yaml:5: replicate[0].namespace", "expected database.collection"},
};
INSTANTIATE_TEST_SUITE_P(Missing, BadSettings, ::testing::ValuesIn(kMissing));

const BadCase kKeys[] = {
    {"unknown_at_the_top", "proxi: {}\n", "f.yaml:4: proxi", "unknown key (known here: site, "},
    {"unknown_inside", "proxy:\n  listen: 127.0.0.1:1\n  lisen: x\n", "f.yaml:6: proxy.lisen",
     "unknown key (known here: listen, advertise, socket, socket_mode, members, workers, tls, "
     "compressors, limits)"},
    {"unknown_in_a_list", "peers:\n  sites:\n    - {site: oslo, addres: x}\n",
     "f.yaml:6: peers.sites[0].addres", "unknown key"},
    {"twice_at_the_top", "admin: {}\nsite: oslo\n", "f.yaml:5: site",
     "expected each key once, found it again; first on line 1"},
    {"twice_inside", "clock:\n  max_ahead: 1s\n  max_ahead: 2s\n", "f.yaml:6: clock.max_ahead",
     "expected each key once, found it again; first on line 5"},
    {"key_that_is_a_list", "[a, b]: c\n", "f.yaml:4", "expected a key that is a plain name"},
};
INSTANTIATE_TEST_SUITE_P(Keys, BadSettings, ::testing::ValuesIn(kKeys));

const BadCase kValues[] = {
    {"site_in_capitals", "#whole\nsite: Paris\ndata_dir: /d\nstore: {uri: 'mongodb://h'}\n",
     "f.yaml:1: site", "expected a name of 1 to 32 characters a-z, 0-9 and -, found 'Paris'"},
    {"site_too_long",
     "#whole\nsite: a23456789012345678901234567890123\ndata_dir: /d\nstore: {uri: 'mongodb://h'}\n",
     "f.yaml:1: site", "expected a name of 1 to 32 characters"},
    {"store_is_text", "#whole\nsite: a\ndata_dir: /d\nstore: mongodb://u:secret@h\n",
     "f.yaml:3: store", "expected a mapping of keys to values, found 'mongodb://***@h'"},
    {"uri_of_another_kind", "#whole\nsite: a\ndata_dir: /d\nstore: {uri: 'http://h'}\n",
     "f.yaml:3: store.uri", "expected a URI such as mongodb://"},
    {"uri_empty", "#whole\nsite: a\ndata_dir: /d\nstore:\n  uri:\n", "f.yaml:4: store.uri",
     "expected a URI such as mongodb://127.0.0.1:27017/?replicaSet=rs0, found nothing"},
    {"uri_without_host", "#whole\nsite: a\ndata_dir: /d\nstore: {uri: 'mongodb:///x'}\n",
     "f.yaml:3: store.uri", "expected host:port after mongodb://, found no host"},
    {"socket_of_no_folder", "proxy: {socket: outrigger.sock}\n", "f.yaml:4: proxy.socket",
     "expected an absolute path that ends in .sock, of at most 107 small letters, digits and "
     "/ . _ -, found 'outrigger.sock'"},
    {"socket_drivers_take_for_a_host", "proxy: {socket: /run/outrigger}\n",
     "f.yaml:4: proxy.socket", "expected an absolute path that ends in .sock"},
    {"socket_in_capitals", "proxy: {socket: /run/Outrigger.sock}\n", "f.yaml:4: proxy.socket",
     "expected an absolute path that ends in .sock, of at most 107 small letters"},
    {"socket_mode_without_socket", "proxy: {socket_mode: 0770}\n", "f.yaml:4: proxy.socket_mode",
     "expected no such key without a socket"},
    {"socket_mode_in_words", "proxy: {socket: /run/a.sock, socket_mode: rwx}\n",
     "f.yaml:4: proxy.socket_mode", "expected a file mode such as 0700 or 0770, found 'rwx'"},
    {"socket_mode_in_tens", "proxy: {socket: /run/a.sock, socket_mode: 770}\n",
     "f.yaml:4: proxy.socket_mode", "expected a file mode such as 0700 or 0770, found '770'"},
    {"socket_of_the_store",
     "#whole\nsite: a\ndata_dir: /d\nstore: {uri: 'mongodb://%2Frun%2Fa.sock'}\n"
     "proxy: {socket: /run/a.sock}\n",
     "f.yaml:3: store.uri", "expected the socket of MongoDB, found that of proxy.socket"},
    {"compressor_of_the_store_unknown",
     "#whole\nsite: a\ndata_dir: /d\nstore: {uri: 'mongodb://h/?compressors=zstd,lz4'}\n",
     "f.yaml:3: store.uri", "expected of compressors snappy, zstd or zlib, found lz4"},
    {"compressor_unknown", "proxy: {compressors: [lz4]}\n", "f.yaml:4: proxy.compressors[0]",
     "expected snappy, zstd or zlib, found 'lz4'"},
    {"compressor_twice", "proxy: {compressors: [zlib, zlib]}\n", "f.yaml:4: proxy.compressors[1]",
     "expected each compressor once, found 'zlib'"},
    {"port_alone", "proxy: {listen: 27117}\n", "f.yaml:4: proxy.listen",
     "expected host:port such as 127.0.0.1:27117 or [::1]:27117, found '27117'"},
    {"port_too_high", "proxy: {listen: 'h:65536'}\n", "f.yaml:4: proxy.listen",
     "expected host:port"},
    {"ipv6_without_brackets", "proxy: {listen: '::1:27117'}\n", "f.yaml:4: proxy.listen",
     "expected host:port"},
    {"connections_as_text", "proxy: {limits: {connections: '100'}}\n",
     "f.yaml:4: proxy.limits.connections", "expected a whole number from 1 to 1000000"},
    {"connections_zero", "proxy: {limits: {connections: 0}}\n",
     "f.yaml:4: proxy.limits.connections", "expected a whole number from 1 to 1000000"},
    {"connections_negative", "proxy: {limits: {connections: -1}}\n",
     "f.yaml:4: proxy.limits.connections", "expected a whole number from 1 to 1000000"},
    {"insecure_is_yes", "peers: {insecure: yes}\n", "f.yaml:4: peers.insecure",
     "expected true or false, found 'yes'"},
    {"insecure_quoted", "peers: {insecure: 'true'}\n", "f.yaml:4: peers.insecure",
     "expected true or false"},
    {"sites_a_mapping", "peers:\n  sites: {oslo: x}\n", "f.yaml:5: peers.sites",
     "expected a list of sites, found a mapping"},
    {"size_without_unit", "outbox: {max_bytes: 1000000000}\n", "f.yaml:4: outbox.max_bytes",
     "expected a size such as 512MiB or 10GiB"},
    {"size_with_two_meanings", "outbox: {max_bytes: 10GB}\n", "f.yaml:4: outbox.max_bytes",
     "expected a size such as"},
    {"size_too_big", "outbox: {max_bytes: 99999999999TiB}\n", "f.yaml:4: outbox.max_bytes",
     "expected a size such as"},
    {"size_too_small", "outbox: {max_bytes: 10KiB}\n", "f.yaml:4: outbox.max_bytes",
     "expected a size such as 512MiB or 10GiB, at least 1MiB"},
    {"ledger_too_small", "ledger: {max_bytes: 10KiB}\n", "f.yaml:4: ledger.max_bytes",
     "expected a size such as 512MiB or 10GiB, at least 1MiB"},
    {"ledger_key_unknown", "ledger: {retain_for: 30d}\n", "f.yaml:4: ledger.retain_for", "unknown"},
    {"duration_without_unit", "clock: {max_ahead: 60}\n", "f.yaml:4: clock.max_ahead",
     "expected a duration such as 500ms, 60s, 15m, 12h or 30d, found '60'"},
    {"duration_zero", "clock: {max_ahead: 0s}\n", "f.yaml:4: clock.max_ahead",
     "expected a duration"},
    {"expiry_seldom", "expiry: {every: 30d}\n", "f.yaml:4: expiry.every", "expected at most 24h"},
    {"log_format", "log: {format: xml}\n", "f.yaml:4: log.format",
     "expected text or json, found 'xml'"},
    {"log_level", "log: {level: loud}\n", "f.yaml:4: log.level",
     "expected trace, debug, info, warn or error, found 'loud'"},
    {"equal_set", "equal_set: maybe\n", "f.yaml:4: equal_set",
     "expected keep or drop, found 'maybe'"},
    {"section_without_value", "admin:\n", "f.yaml:4: admin",
     "expected a mapping of keys to values, found nothing"},
    {"proxy_tls", "proxy:\n  tls: {certificate: /nowhere.pem, key: /dev/zero}\n",
     "f.yaml:5: proxy.tls.certificate", "expected a PEM file that can be read"},
    {"tls_incomplete", "peers:\n  tls: {certificate: /dev/zero, key: /dev/zero}\n",
     "f.yaml:5: peers.tls.ca", "expected the path of a PEM file, found no such key"},
    {"tls_file_missing",
     "peers:\n  tls:\n    certificate: /nowhere.pem\n    key: /dev/zero\n    ca: /dev/zero\n",
     "f.yaml:6: peers.tls.certificate",
     "expected a PEM file that can be read, found '/nowhere.pem'"},
    {"database_without_collection", "replicate:\n  - {namespace: audit, replicate: false}\n",
     "f.yaml:5: replicate[0].namespace",
     "expected database.collection, where * matches anything, found 'audit' (for a whole "
     "database: audit.*)"},
    {"deletes_unknown", "replicate:\n  - {namespace: a.b, deletes: never}\n",
     "f.yaml:5: replicate[0].deletes", "expected delete_wins or update_wins, found 'never'"},
    {"replaces_unknown", "replicate:\n  - {namespace: a.b, replaces: part}\n",
     "f.yaml:5: replicate[0].replaces", "expected whole or diff, found 'part'"},
    {"field_type_unknown", "replicate:\n  - namespace: a.b\n    fields: {total: sum}\n",
     "f.yaml:6: replicate[0].fields.total",
     "expected list, keyed(FIELD), set, set(remove_wins), counter, bounded[LOW, HIGH], lww, "
     "atomic, first_wins, max, min, longest, multi_value, union, site[WEAKEST, ..., STRONGEST] "
     "or prefer[WEAKEST, ..., STRONGEST], found 'sum'"},
    {"field_prefers_one", "replicate:\n  - namespace: a.b\n    fields: {total: 'prefer[a]'}\n",
     "f.yaml:6: replicate[0].fields.total", "expected list, keyed(FIELD)"},
    {"field_prefers_twice",
     "replicate:\n  - namespace: a.b\n    fields: {total: 'prefer[a, b, a]'}\n",
     "f.yaml:6: replicate[0].fields.total", "expected list, keyed(FIELD)"},
    {"field_of_no_member",
     "replicate:\n  - namespace: a.b\n    fields: {v: 'site[oslo, atlantis]'}\n",
     "f.yaml:6: replicate",
     "expected names of members in 'v = site[oslo, atlantis]', found 'oslo'"},
    {"field_keyed_by_nothing", "replicate:\n  - namespace: a.b\n    fields: {l: keyed}\n",
     "f.yaml:6: replicate[0].fields.l", "expected list, keyed(FIELD)"},
    {"field_keyed_by_a_path", "replicate:\n  - namespace: a.b\n    fields: {l: keyed(a.b)}\n",
     "f.yaml:6: replicate[0].fields.l", "expected list, keyed(FIELD)"},
    {"field_escalates_maybe",
     "replicate:\n  - namespace: a.b\n    fields: {total: {type: max, escalate: maybe}}\n",
     "f.yaml:6: replicate[0].fields.total.escalate", "expected true or false, found 'maybe'"},
    {"field_without_type", "replicate:\n  - namespace: a.b\n    fields: {a: {escalate: true}}\n",
     "f.yaml:6: replicate[0].fields.a.type", "expected list, keyed(FIELD)"},
    {"field_pattern", "replicate:\n  - namespace: a.b\n    fields: {'a.b*': counter}\n",
     "f.yaml:6: replicate[0].fields.a.b*",
     "expected names between dots, * for any one name, ** at the end for all that follow"},
    {"field_stars_in_front", "replicate:\n  - namespace: a.b\n    fields: {'**.a': counter}\n",
     "f.yaml:6: replicate[0].fields.**.a", "expected names between dots"},
    {"field_twice",
     "replicate:\n  - namespace: a.b\n    fields:\n      a: list\n      a: counter\n",
     "f.yaml:8: replicate[0].fields.a", "expected each key once, found it again; first on line 7"},
};
INSTANTIATE_TEST_SUITE_P(Values, BadSettings, ::testing::ValuesIn(kValues));

const BadCase kNotBuilt[] = {
    {"retain_for", "outbox: {retain_for: 30d}\n", "f.yaml:4: outbox.retain_for",
     "known, but not yet built: expected no such key"},
    {"srv", "#whole\nsite: a\ndata_dir: /d\nstore: {uri: 'mongodb+srv://h'}\n",
     "f.yaml:3: store.uri", "known, but not yet built: expected mongodb://"},
};
INSTANTIATE_TEST_SUITE_P(NotBuilt, BadSettings, ::testing::ValuesIn(kNotBuilt));

const BadCase kContradictions[] = {
    {"field_of_id", "replicate:\n  - namespace: a.b\n    fields: {_id.a: counter}\n",
     "f.yaml:6: replicate[0].fields._id.a", "expected a rule that can hold: _id never changes"},
    {"field_behind_a_wider_one",
     "replicate:\n  - namespace: a.b\n    fields:\n      '*.n': list\n      a.n: counter\n",
     "f.yaml:8: replicate[0].fields.a.n",
     "expected a rule that can hold: the first match decides, and '*.n' takes all of it"},
    {"field_in_one_value",
     "replicate:\n  - namespace: a.b\n    fields:\n      at: atomic\n      at.lat: lww\n",
     "f.yaml:8: replicate[0].fields.at.lat",
     "expected a rule that can hold: what lies below 'at' is a part of one value, as that is "
     "atomic"},
    {"field_in_one_value_behind",
     "replicate:\n  - namespace: a.b\n    fields:\n      at.lat: lww\n      '**': atomic\n",
     "f.yaml:7: replicate[0].fields.at.lat",
     "expected a rule that can hold: what lies below '**' is a part of one value"},
    {"field_of_what_stays",
     "replicate:\n  - namespace: a.b\n    replicate: false\n    fields: {a: counter}\n",
     "f.yaml:7: replicate[0].fields", "expected no merge rule beside replicate: false"},
    {"one_port_twice", "admin: {listen: '127.0.0.1:27117'}\n", "f.yaml:4: admin.listen",
     "expected a port of its own, found 127.0.0.1:27117, which proxy.listen also listens on"},
    {"one_port_by_wildcard", "peers: {insecure: true, listen: '0.0.0.0:27117'}\n",
     "f.yaml:4: peers.listen", "expected a port of its own"},
    {"wildcard_shown_to_drivers", "proxy: {listen: '0.0.0.0:27117'}\n", "f.yaml:4: proxy.listen",
     "expected an address that drivers can dial, found 0.0.0.0:27117"},
    {"store_is_the_proxy",
     "#whole\nsite: a\ndata_dir: /d\nstore: {uri: 'mongodb://u:p@127.0.0.1:27117/?x=1'}\n",
     "f.yaml:3: store.uri", "expected the address of MongoDB, found that of proxy.listen"},
    {"open_admin", "admin: {listen: '10.0.0.1:9117'}\n", "f.yaml:4: admin.listen",
     "expected a loopback address, found 10.0.0.1:9117"},
    {"admin_name_like_loopback", "admin: {listen: '127.evil.example:9117'}\n",
     "f.yaml:4: admin.listen", "expected a loopback address"},
    {"peer_is_ourselves", "peers:\n  sites:\n    - {site: paris, address: '127.0.0.1:1'}\n",
     "f.yaml:6: peers.sites[0].site", "expected a name no other site has, found 'paris'"},
    {"peer_twice",
     "peers:\n  sites:\n    - {site: oslo, address: '127.0.0.1:1'}\n"
     "    - {site: oslo, address: '127.0.0.1:2'}\n",
     "f.yaml:7: peers.sites[1].site", "expected a name no other site has, found 'oslo'"},
    {"address_twice",
     "peers:\n  sites:\n    - {site: oslo, address: '127.0.0.1:1'}\n"
     "    - {site: rome, address: '127.0.0.1:1'}\n",
     "f.yaml:7: peers.sites[1].address", "expected an address no other peer has"},
    {"peer_address_is_ours",
     "peers:\n  listen: 127.0.0.1:1\n  sites:\n    - {site: oslo, address: '127.0.0.1:1'}\n",
     "f.yaml:7: peers.sites[0].address",
     "expected the address of 'oslo', found peers.listen of this site"},
    {"nobody_dials", "peers:\n  sites:\n    - {site: oslo}\n", "f.yaml:6: peers.sites[0].site",
     "expected an address for 'oslo' or a value for peers.listen, found neither"},
    {"plain_listen", "peers:\n  listen: 0.0.0.0:7117\n", "f.yaml:5: peers.listen",
     "expected a loopback address, as there is no peers.tls; found 0.0.0.0:7117"},
    {"plain_peer", "peers:\n  sites:\n    - {site: oslo, address: 'oslo.example:7117'}\n",
     "f.yaml:6: peers.sites[0].address",
     "expected a loopback address, as there is no peers.tls; found oslo.example:7117"},
    {"deletes_of_nothing",
     "replicate:\n  - namespace: a.b\n    replicate: false\n    deletes: delete_wins\n",
     "f.yaml:7: replicate[0].deletes", "expected no merge rule beside replicate: false"},
    {"rule_never_reached",
     "replicate:\n  - {namespace: 'a.*', replicate: false}\n  - {namespace: 'a.b*'}\n",
     "f.yaml:6: replicate[1].namespace",
     "expected a rule that can match, found 'a.b*' after 'a.*', which takes all of it"},
    {"reserved_database", "replicate:\n  - {namespace: 'config.*', replicate: true}\n",
     "f.yaml:5: replicate[0].namespace", "expected a database that can travel"},
};
INSTANTIATE_TEST_SUITE_P(Contradictions, BadSettings, ::testing::ValuesIn(kContradictions));

TEST(Loader, ReportsAllErrorsInTheOrderOfTheFile) {
  const std::string message = errors_of(std::string("site: A\nx: 1\n") + "clock: {max_ahead: 1}\n");
  const size_t site = message.find("f.yaml:1: site");
  const size_t unknown = message.find("f.yaml:2: x");
  const size_t clock = message.find("f.yaml:3: clock.max_ahead");
  ASSERT_NE(clock, std::string::npos) << message;
  EXPECT_LT(site, unknown);
  EXPECT_LT(unknown, clock);
}

TEST(Loader, MissingFileIsNamed) {
  const auto result = load_settings("/nowhere/outrigger.yaml");
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(describe(result.error()).find("/nowhere/outrigger.yaml"), std::string::npos);
}

TEST(Loader, ErrorsNeverShowThePassword) {
  const auto yaml = "site: a\ndata_dir: /d\nstore: {uri: 'mongo://u:hunter2@h/', x: 1}\n";
  const std::string message = errors_of(yaml);
  EXPECT_NE(message.find("mongo://***@h/"), std::string::npos) << message;
  EXPECT_EQ(message.find("hunter2"), std::string::npos) << message;
}

TEST(Loader, MinimalFileGetsTheDefaults) {
  const Settings settings = settings_of("");
  EXPECT_EQ(settings.site, "paris");
  EXPECT_EQ(settings.proxy.listen.text(), "127.0.0.1:27117");
  EXPECT_EQ(settings.proxy.advertise, settings.proxy.listen);
  EXPECT_EQ(settings.outbox.bytes_max, 10ULL << 30);
  EXPECT_EQ(settings.equal_set, EqualSet::kKeep);
  EXPECT_FALSE(settings.peers.listen.has_value());
  EXPECT_TRUE(warnings(settings).empty());
}

TEST(Loader, AdvertiseFollowsListen) {
  EXPECT_EQ(settings_of("proxy: {listen: '[::1]:4'}\n").proxy.advertise.text(), "[::1]:4");
}

constexpr const char* kFull = R"(
site: paris                        # a comment
data_dir: /var/lib/outrigger
store:
  uri: mongodb://sidecar:secret@127.0.0.1:27017/?replicaSet=rs0
proxy:
  listen: 127.0.0.1:27117
  advertise: db.paris.example:27117
  workers: 3
  limits: {connections: 500}
peers:
  listen: 127.0.0.1:7117
  sites:
    - {site: oslo, address: "127.0.0.1:7217"}
    - {site: rome}
admin: {listen: 127.0.0.1:9118}
outbox: {max_bytes: 512MiB}
ledger: {max_bytes: 64MiB}
clock: {max_ahead: 1500ms}
expiry: {by: store, every: 250ms}
log: {format: json, level: debug}
equal_set: drop
replicate:
  - {namespace: "audit.*", replicate: false}
  - namespace: shop.carts
    deletes: delete_wins
    replaces: diff
)";

TEST(Loader, WithoutANumberOfWorkersOneCoreIsLeftToOthers) {
  ProxySettings proxy;
  EXPECT_EQ(proxy.workers_on(1), 1u);
  EXPECT_EQ(proxy.workers_on(2), 1u);
  EXPECT_EQ(proxy.workers_on(8), 7u);
  EXPECT_EQ(proxy.workers_on(1'000), limits::kWorkersMax);
  proxy.workers = 5;
  EXPECT_EQ(proxy.workers_on(2), 5u);
}

TEST(Loader, EverySettingIsTakenOver) {
  const auto loaded = parse_settings(kFull, "f.yaml");
  ASSERT_TRUE(loaded.has_value()) << describe(loaded.error());
  EXPECT_EQ(loaded->store.uri, "mongodb://sidecar:secret@127.0.0.1:27017/?replicaSet=rs0");
  EXPECT_EQ(loaded->proxy.advertise.text(), "db.paris.example:27117");
  EXPECT_EQ(loaded->proxy.connections_max, 500u);
  EXPECT_EQ(loaded->proxy.workers, 3u);
  EXPECT_EQ(loaded->peers.listen->text(), "127.0.0.1:7117");
  ASSERT_EQ(loaded->peers.sites.size(), 2u);
  EXPECT_EQ(loaded->peers.sites[0].address->port, 7217);
  EXPECT_FALSE(loaded->peers.sites[1].address.has_value());
  EXPECT_EQ(loaded->admin.listen.port, 9118);
  EXPECT_EQ(loaded->outbox.bytes_max, 512ULL << 20);
  EXPECT_EQ(loaded->ledger.bytes_max, 64ULL << 20);
  EXPECT_EQ(loaded->clock.ahead_ms_max, 1500);
  EXPECT_EQ(loaded->expiry.by, ExpiredBy::kStore);
  EXPECT_EQ(loaded->expiry.every_ms, 250);
  EXPECT_EQ(loaded->log.format, LogFormat::kJson);
  EXPECT_EQ(loaded->log.level, LogLevel::kDebug);
  EXPECT_EQ(loaded->equal_set, EqualSet::kDrop);
  ASSERT_EQ(loaded->replicate.size(), 2u);
  EXPECT_FALSE(loaded->replicate[0].replicate);
  EXPECT_EQ(loaded->replicate[1].namespace_glob, "shop.carts");
  EXPECT_EQ(loaded->replicate[1].replaces, ReplacePolicy::kDiff);
}

TEST(Loader, InsecurePeersAndAdminAreAllowedWithAWarning) {
  const Settings settings = settings_of(
      "peers: {insecure: true, listen: '0.0.0.0:7117'}\n"
      "admin: {insecure: true, listen: '0.0.0.0:9117'}\n");
  EXPECT_TRUE(settings.peers.insecure);
  EXPECT_EQ(warnings(settings).size(), 2u);
}

TEST(Loader, TlsAllowsPeersAnywhere) {
  const std::string pem = ::testing::TempDir() + "loader_test.pem";
  std::ofstream(pem) << "-----BEGIN CERTIFICATE-----\n";
  const Settings settings =
      settings_of("peers:\n  listen: 0.0.0.0:7117\n  tls: {certificate: " + pem + ", key: " + pem +
                  ", ca: " + pem + "}\n");
  ASSERT_TRUE(settings.peers.tls.has_value());
  EXPECT_EQ(settings.peers.tls->ca, pem);
}

TEST(Loader, TlsTowardsAppsNeedsNoAuthority) {
  const std::string pem = ::testing::TempDir() + "loader_test.pem";
  std::ofstream(pem) << "-----BEGIN CERTIFICATE-----\n";
  const Settings settings =
      settings_of("proxy:\n  tls: {certificate: " + pem + ", key: " + pem + "}\n");
  ASSERT_TRUE(settings.proxy.tls.has_value());
  EXPECT_EQ(settings.proxy.tls->ca, "");
}

}  // namespace
}  // namespace outrigger
