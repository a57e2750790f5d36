// What an operator may set, as plain values with their defaults. Nothing here reads a file:
// config/loader.h fills these in and refuses what cannot be; tests build them by hand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/bounds.h"

namespace outrigger {

// A TCP address as written in the settings. IPv6 hosts are held without their brackets.
struct Endpoint {
  std::string host;
  uint16_t port = 0;

  // "127.0.0.1:27117" or "[::1]:27117".
  [[nodiscard]] std::string text() const;
  // True for localhost, 127.0.0.0/8 and ::1; a name is never looked up.
  [[nodiscard]] bool is_loopback() const;
  // True for 0.0.0.0 and ::, which can be listened on but not dialled.
  [[nodiscard]] bool is_wildcard() const;
  bool operator==(const Endpoint&) const = default;
};

// Paths of PEM files. Between sites all three are set; of apps a certificate is asked for only
// where `ca` is.
struct TlsSettings {
  std::string certificate;
  std::string key;
  std::string ca;
};

struct StoreSettings {
  std::string uri;  // holds a password: print redact_uri(uri) of config/log.h, never this
};

// A member of the store's set, as apps reach it: what comes in at `listen` goes to it.
struct ProxyMember {
  Endpoint member;  // as the configuration of the set names it
  Endpoint listen;
  Endpoint advertise;       // what hello tells drivers; defaults to listen
  std::string socket = {};  // as ProxySettings::socket
};

struct ProxySettings {
  Endpoint listen{"127.0.0.1", 27117};
  Endpoint advertise{"127.0.0.1", 27117};  // what hello tells drivers; defaults to listen
  uint32_t connections_max = 10'000;
  std::optional<TlsSettings> tls;  // apps speak TLS, and nothing else
  // Which compressors apps may use; mongod's own default.
  std::vector<std::string> compressors = {"snappy", "zstd", "zlib"};
  std::optional<uint32_t> workers;  // event loops that serve apps; absent: by the machine
  // Of a set of several members. Where there are some, `listen` and `advertise` mean nothing.
  std::vector<ProxyMember> members;

  // The path of a Unix socket where apps come in, too; empty: none.
  std::string socket;
  // Who may connect to it (and to those of members), as a file's mode.
  uint32_t socket_mode = kSocketModeDefault;
  static constexpr uint32_t kSocketModeDefault = 0700;  // as mongod's

  // Where apps may come in over TCP: at the members', or the one.
  [[nodiscard]] std::vector<Endpoint> doors() const;
  // Where `cores` may be used: all but one, which is left to MongoDB, the disk and the applier.
  [[nodiscard]] uint32_t workers_on(uint32_t cores) const;
};

struct PeerSite {
  std::string site;
  std::optional<Endpoint> address;  // absent: a member that dials us and is never dialled
};

struct PeersSettings {
  std::optional<Endpoint> listen;  // absent: this site only dials
  bool insecure = false;           // plain TCP beyond loopback
  std::optional<TlsSettings> tls;
  std::vector<PeerSite> sites;  // the other members; empty: a single site
};

struct AdminSettings {
  Endpoint listen{"127.0.0.1", 9117};
  bool insecure = false;  // listen beyond loopback
};

struct OutboxSettings {
  uint64_t bytes_max = 10ULL << 30;
};

struct LedgerSettings {
  uint64_t bytes_max = 1ULL << 30;
  int64_t keep_ms = 0;  // 0: for ever
};

struct ClockSettings {
  int64_t ahead_ms_max = 60'000;
};

// Who deletes documents whose time has come (proxy/expiry).
enum class ExpiredBy { kSidecar, kStore };

struct ExpirySettings {
  ExpiredBy by = ExpiredBy::kSidecar;
  int64_t every_ms = 10'000;
};

enum class LogFormat { kText, kJson };
enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError };

struct LogSettings {
  LogFormat format = LogFormat::kText;
  LogLevel level = LogLevel::kInfo;
};

// What a `$set` to the value already there means: an assertion that travels, or nothing.
enum class EqualSet { kKeep, kDrop };

// Which of two concurrent operations stands when one deletes the document.
enum class DeletePolicy : uint8_t { kDeleteWins, kUpdateWins };

// What a replacement of a whole document says to other sites: all of it, or what it changed in the
// document that it met.
enum class ReplacePolicy : uint8_t { kWhole, kDiff };

// Of two inserts of one _id that did not see each other: the later one, or what is in either.
enum class InsertPolicy : uint8_t { kLater, kMerge };
// What becomes of documents that come to hold one key of a unique index at sites that were apart.
enum class UniquePolicy : uint8_t {
  kPark,  // one is shown, the others wait in the ledger
  kKeep,  // all are shown, and the index refuses only what would be a new one
};

// How writes to a path merge; config/merge_rules.h says what each of them means.
enum class PathType : uint8_t {
  kByOperation,
  kList,
  kKeyed,
  kSet,
  kCounter,
  kLww,
  kAtomic,
  kFirstWins,
  kMax,
  kMin,
  kPrefer,
  kSite,
  kLongest,
  kMultiValue,
  kUnion,
  kBounded
};

// Which of what loses to another write waits for somebody to decide: it is open in the ledger. One
// condition that holds is enough. They ask values and stamps, which are the same at every site.
struct Escalation {
  bool always = false;
  // The two values are no numbers both, or numbers that differ by more.
  std::optional<double> differs_by = {};
  // What lost was written longer than this before what it lost to.
  std::optional<int64_t> older_than_ms = {};
  bool operator==(const Escalation&) const = default;
};

// How one pattern of paths merges.
struct PathRule {
  std::vector<std::string> pattern;  // names; "*" is any one, "**" (the last) any one or more
  PathType type = PathType::kByOperation;
  // kPrefer, kSite: the later in the list, the stronger.
  std::vector<std::string> preferred = {};
  std::optional<Bounds> bounds = {};        // kBounded
  std::string key = {};                     // kKeyed: the field by which elements are told apart
  bool removals_win = false;                // kSet: against adds of equal values they had not seen
  std::optional<Escalation> escalate = {};  // nothing: as its namespace
  int line = 0;                             // of the file, for who asks why; no part of the policy
};

struct ReplicateRule {
  std::string namespace_glob;  // "db.collection"; '*' matches any run of bytes, dots too
  bool replicate = true;
  DeletePolicy deletes = DeletePolicy::kDeleteWins;
  std::vector<PathRule> fields = {};  // the first match decides
  Escalation escalate = {};           // of all that is in it, where a path says nothing else
  ReplacePolicy replaces = ReplacePolicy::kWhole;
  UniquePolicy unique = UniquePolicy::kPark;
  // A path that apps count versions of a document at; empty: none. What is written to it is a
  // version: the whole document.
  std::vector<std::string> version_field = {};
  InsertPolicy inserts = InsertPolicy::kLater;
  int line = 0;  // as above
};

struct Settings {
  std::string site;      // [a-z0-9-]{1,32}
  std::string data_dir;  // the sidecar's own durable state
  StoreSettings store;
  ProxySettings proxy;
  PeersSettings peers;
  AdminSettings admin;
  OutboxSettings outbox;
  LedgerSettings ledger;
  ClockSettings clock;
  ExpirySettings expiry;
  LogSettings log;
  EqualSet equal_set = EqualSet::kKeep;
  std::vector<ReplicateRule> replicate;  // the first match decides; see config/policy.h
  std::string rules_text;                // these two as YAML, as other sites are told of them
};

}  // namespace outrigger
