// The sidecar's own access to its site's MongoDB: reading documents to merge into, writing merged
// ones, and the questions recovery asks (what ran, what is still running, what the oplog says).
//
// A port, so that the applier and recovery run against MemoryStore in unit tests and against
// MongoStore (libmongoc) in life; one contract test holds both to this text.
// What collections are it shows, and takes, as documents of one namespace (record/catalog.h).
// It is made of smaller ones by subject: who needs one of them asks for no more.
// Everything blocks. A Store belongs to one thread at a time: each worker has one of its own.
//
// Errors of a whole call: kUnavailable (store away, not primary, shutting down, write concern not
// met: of a write nothing is known, try again), kTimeout (a deadline of ours passed), kRefused (a
// right is missing), kInvalidArgument (the caller asked for what cannot be), kUnsupported (this
// kind of store has no such thing), kCorrupt (the store answered with what we cannot read). Texts
// never hold credentials.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/bson/bson.h"
#include "replication/record/effect.h"
#include "replication/store/key_guard.h"

namespace outrigger {

// A BSON timestamp: the clock of one replica set's oplog. Zero: before everything.
struct Timestamp {
  uint32_t seconds = 0;
  uint32_t increment = 0;
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

// Of a value that is one; else zero.
[[nodiscard]] Timestamp timestamp_of(const std::optional<bson::Value>& value);

// How many members of its set a hello shows. Hidden ones it does not; they are never primary.
[[nodiscard]] size_t members_shown(const bson::Document& hello);

// Which run of mongod gave this reply to hello, as StoreServer::process_id() names it; empty when
// it does not say. On a set of several members a run is a primary's, in one term: one that stepped
// down may have been rolled back before it is elected again, in the same process. 12 bytes of the
// process; behind them, there, 12 of the election, or zeros where it is not primary; nor is a
// mongod that is to be a member of a set and has no config of one.
[[nodiscard]] std::string process_of(const bson::Document& hello);
inline constexpr size_t kProcessBytes = 12;
[[nodiscard]] bool is_of_several(std::string_view process);
// The process alone, which goes on through elections.
[[nodiscard]] std::string_view process_part(std::string_view process);
// It is a member of a set of several that is not primary: nobody may take it for the store.
[[nodiscard]] bool is_follower(std::string_view process);
// Both are primaries of one set, this one of an earlier term: it is none any more.
[[nodiscard]] bool is_of_earlier_term(std::string_view process, std::string_view than);
// A reply to a write that names another election than that of this run: it was given as of another
// one, elected since in the same process.
[[nodiscard]] bool is_of_another_election(const bson::Document& reply, std::string_view process);

enum class StoreKind : uint8_t {
  kStandalone,
  kSingleMember,  // a replica set of one
  kMultiMember,   // a replica set of more, hidden members and arbiters counted
};

struct StoreInfo {
  StoreKind kind = StoreKind::kStandalone;
  std::string set_name;            // empty on a standalone
  std::vector<std::string> hosts;  // "host:port" as the set names its members
  std::string me;                  // our member's own name in the set
  std::string version;             // "6.0.5"
  std::string feature_version;     // "6.0": as of which it behaves; empty: it does not say
  int32_t wire_version_max = 0;
  std::vector<std::string> members;                // hosts, passives and arbiters: what hello shows
  std::string process_id;                          // process_of(hello): new at each start of mongod
  bool writable = false;                           // a standalone, or the primary
  std::optional<int32_t> session_timeout_minutes;  // nothing: the store knows no sessions
  // Has it indexes that let documents share a key, and refuse new ones (key_guard.h)?
  [[nodiscard]] bool can_guard() const { return can_guard_keys(wire_version_max, feature_version); }
};

// One document's new truth. Values are absolute, so applying twice is applying once; a kInsert that
// is done already is rejected, and what stands there says so.
struct StoreWrite {
  enum class Kind : uint8_t {
    kReplaceOrInsert,  // the document becomes `document`, whether it was there or not
    kUpdate,           // `set` and `unset`; never makes a document
    kRemove,
    kInsert,  // `document`; rejected with 11000 where one of this _id is there
  };
  struct Set {
    Path path;
    bson::OwnedValue value;
    friend bool operator==(const Set&, const Set&) = default;
  };

  Kind kind = Kind::kUpdate;
  std::string ns;  // "db.collection"
  bson::OwnedValue id;
  // kReplaceOrInsert, kInsert: BSON with this _id (added in front when missing)
  std::string document;
  std::vector<Set> set;     // kUpdate
  std::vector<Path> unset;  // kUpdate
  friend bool operator==(const StoreWrite&, const StoreWrite&) = default;
};

struct WriteOutcome {
  enum class Kind : uint8_t {
    kOk,          // the store holds it; of a remove: the document is not there
    kNotMatched,  // kUpdate: there is no such document
    kRejected,    // the store will not take this one: code and message are mongod's own
  };
  Kind kind = Kind::kOk;
  int32_t code = 0;  // kRejected: e.g. 11000 unique key, 10334 or 17419 over 16 MB
  std::string message;
  bool against_validator = false;  // kOk, yet the collection's validator would have refused it
  [[nodiscard]] bool ok() const { return kind == Kind::kOk; }
};

// What a `find` command gave, or the server's error reply to it.
struct StoreFound {
  std::vector<std::string> documents;
  std::string refusal;  // empty: it was answered
};

// A document by its name, and how large it is.
struct ListedDocument {
  bson::OwnedValue id;
  int64_t bytes = 0;
};

// The unique index that refused a write as another document holds the key; empty when that was not
// why, or it is the index of _id.
[[nodiscard]] std::string unique_index_of(const WriteOutcome& outcome);

// How far a list of writes got.
struct Applied {
  std::vector<WriteOutcome> outcomes;  // of the first so many writes
  // Why the others were left: the store is away (then it is unknown whether some of them were
  // done), or refused the next one for a reason that passes. Nothing: all are done and journaled.
  std::optional<Error> stopped;
};

struct NamespaceCount {
  std::string ns;
  int64_t documents = 0;  // an estimate, but never 0 for a collection that holds some
};

struct CollectionInfo {
  enum class Type : uint8_t { kNone, kCollection, kView, kTimeSeries };  // kNone: it does not exist
  Type type = Type::kNone;
  bool capped = false;
  bool clustered = false;
  bool simple_collation = true;  // false: the collection's default collation is another
  // Of unique indexes, besides that of _id: their fields, and those that the filters of partial
  // ones ask for. Sorted; none: there is no such index.
  std::vector<Path> unique_fields{};
  std::string validator;  // BSON, not empty when there is one
  std::string uuid;       // 16 bytes; changes when it is dropped and made again
  bool is_named = false;  // a command can say by it that it means this one
  // Of a time series: where its measurements have their time, and what they are of (or empty).
  std::string time_field;
  std::string meta_field;
  int64_t bucket_span_ms = 0;  // of such a span at most it keeps them together
  [[nodiscard]] bool exists() const { return type != Type::kNone; }
};

// One document write found in the oplog, made under one of the sessions asked for.
struct OplogWrite {
  enum class Kind : char { kInsert = 'i', kUpdate = 'u', kRemove = 'd' };
  Kind kind = Kind::kUpdate;
  Timestamp at;
  std::string ns;
  bson::OwnedValue id;
  std::string o;                  // kInsert: the document; kUpdate: {$v: 2, diff} or a replacement;
                                  // kRemove: {_id}
  std::string lsid_id;            // 16 bytes
  std::string lsid_uid;           // mongod's digest of the user whose session it is
  int64_t txn_number = -1;        // -1: none
  std::vector<int32_t> stmt_ids;  // usually one; empty: the entry carries none
  bool transaction = false;       // part of a committed multi-document transaction
};

// What mongod says of a document that a validator refuses, and we say where nobody asked it.
inline constexpr const char* kFailedValidation = "Document failed validation";

// How the reason begins where a right on a namespace is missing: forbidden() is what follows.
inline constexpr const char* kLacksRights = "the store's user lacks ";

// The server: is it there, what is it, may we?
class StoreServer {
 public:
  [[nodiscard]] virtual Status ping() = 0;
  // Tries until the store answers and can write, or `timeout` has passed (kTimeout, with the last
  // reason). What a later attempt cannot cure (a wrong password) fails at once.
  [[nodiscard]] virtual Status wait_available(std::chrono::milliseconds timeout) = 0;
  [[nodiscard]] virtual Result<StoreInfo> info() = 0;
  // The rights the sidecar needs and its user lacks, in words an operator can grant; empty when
  // none, and when the store runs without authentication.
  [[nodiscard]] virtual Result<std::vector<std::string>> missing_rights() = 0;
  // What our user may not do with `ns` (empty: with every database) although it may elsewhere, and
  // how to grant it; empty when it may, and when it may nowhere: that is missing_rights().
  [[nodiscard]] virtual Result<std::string> forbidden(const std::string& ns) = 0;
  // Which run of mongod answered the last ping() or took the last writes (process_of); empty when
  // that is not known.
  [[nodiscard]] virtual std::string process_id() const = 0;

 protected:
  ~StoreServer() = default;
};

// Its collections.
class StoreCatalog {
 public:
  using NamespaceFilter = std::function<bool(std::string_view ns)>;

  // Every collection `filter` takes that holds at least one document or measurement; no views, no
  // system.*; never admin, local, config.
  [[nodiscard]] virtual Result<std::vector<NamespaceCount>> replicated_namespaces(
      const NamespaceFilter& filter) = 0;
  [[nodiscard]] virtual Result<CollectionInfo> collection(const std::string& ns) = 0;

 protected:
  ~StoreCatalog() = default;
};

// Its documents, as they stand. Measurements of time series are none (series/measurement.h).
class StoreReader {
 public:
  // The current document of each _id, in the order of `ids` (nothing: not there). _ids compare as
  // MongoDB compares them by simple collation, whatever the collection's: int32 1 finds double 1.0.
  // kInvalidArgument, here and from look(): no document by this name can be there, as what has the
  // name is a view or a time series, or the value can be no _id.
  [[nodiscard]] virtual Result<std::vector<std::optional<std::string>>> read(
      const std::string& ns, std::span<const bson::OwnedValue> ids) = 0;
  // Runs a whole `find` command (without $db), whatever its filter says. kUnsupported from a store
  // that has no query language.
  [[nodiscard]] virtual Result<StoreFound> find(const std::string& database,
                                                const std::string& command) = 0;
  // What `ns` holds, at most `count` documents of it, in its natural order.
  [[nodiscard]] virtual Result<std::vector<ListedDocument>> list(const std::string& ns,
                                                                 int64_t count);
  // Shows the documents of `ns` that are there, one after the other, so that no more than a part of
  // them is in memory: `visit(index, document)` is called for each of `ids` found, in no order.
  // With `fields`, only these top-level fields and _id are sure to be in it.
  [[nodiscard]] virtual Status look(
      const std::string& ns, std::span<const bson::OwnedValue> ids,
      const std::optional<std::vector<std::string>>& fields,
      const std::function<void(size_t index, const bson::Document& document)>& visit) = 0;
  // How many equal to each of these measurements there are in `collection`; none where that is no
  // time series. (read() and look() find no measurements.) kUnsupported from a store that has none.
  [[nodiscard]] virtual Result<std::vector<int64_t>> count_measurements(
      const std::string& collection, std::span<const bson::Document> measurements);

 protected:
  ~StoreReader() = default;
};

// The same, as they are to be.
class StoreWriter {
 public:
  // Writes one after the other: whoever reads sees none without all before it, except that one
  // that is rejected is passed over. A document may be named more than once. Validators are
  // bypassed: they judge what an app writes, not what replicates. Journaled when all are done (on a
  // multi-member set: by the primary). A write to what holds no documents of this kind (a view,
  // a time series) is rejected; an update of what a capped collection has evicted is done. Of
  // measurements those are inserted that are not there yet, and rejected where there is no time
  // series for them. A path
  // that is not is_dotted_path() stops the whole call with kInvalidArgument before anything is
  // sent.
  [[nodiscard]] virtual Applied apply_in_order(std::span<const StoreWrite> writes) = 0;
  // The same for callers that have no use for a part: an error says nothing of any write.
  [[nodiscard]] Result<std::vector<WriteOutcome>> apply(std::span<const StoreWrite> writes);
  // Returns when the journal holds everything the store had answered before this call.
  [[nodiscard]] virtual Status wait_journaled() = 0;
  // The same of every run of the store that may be its primary hereafter: on a set of several
  // members the journals of a majority hold it. kTimeout after some seconds without one.
  [[nodiscard]] virtual Status wait_settled() { return wait_journaled(); }
  // What apply_in_order() says of validators, of documents as they stand: those of `ids`, by their
  // places, that the validator of their collection would refuse. For who did not hear it: of a
  // document that is as it is to be already, no validator is asked.
  [[nodiscard]] virtual Result<std::vector<size_t>> against_validator(
      const std::string& ns, std::span<const bson::OwnedValue> ids) = 0;
  // The lsid.id (16 bytes each) of the sessions under which apply() has written so far. Empty on a
  // standalone.
  [[nodiscard]] virtual std::vector<std::string> own_sessions() const = 0;

 protected:
  ~StoreWriter() = default;
};

// What was written. Replica sets only: kUnsupported from a standalone.
class StoreOplog {
 public:
  // A time with no gap before it: a scan that starts there later misses nothing.
  [[nodiscard]] virtual Result<Timestamp> last_oplog_time() = 0;
  // What was written at or after `since` under the given lsid.ids, in oplog order. kNotFound when
  // the oplog no longer reaches back that far.
  [[nodiscard]] virtual Result<std::vector<OplogWrite>> oplog_since(
      Timestamp since, std::span<const std::string> lsid_ids) = 0;
  // Blocks for `duration` while a cursor waits at the end of the oplog. On a set of one a write
  // that waits for the journal first waits until its oplog entry is visible, and mongod puts that
  // off by up to a millisecond while nobody waits for new entries (6.0:
  // waitForNoOplogHolesIfNeeded, WiredTigerOplogManager::_updateOplogVisibilityLoop).
  [[nodiscard]] virtual Status watch_oplog(std::chrono::milliseconds duration) = 0;

 protected:
  ~StoreOplog() = default;
};

// A transaction that may still be committed.
struct OpenTransaction {
  std::string lsid_id;   // 16 bytes
  std::string lsid_uid;  // mongod's digest of the user whose session it is
  int64_t txn_number = -1;
};

// What a sidecar now gone left running.
class StoreFence {
 public:
  // Those of all users. kUnsupported from a store that has none.
  [[nodiscard]] virtual Result<std::vector<OpenTransaction>> open_transactions();
  // Kills every operation and open transaction that a sidecar now gone left running under a noted
  // lsid.id (16 bytes each), and returns when none is left. A noted client address ("host:port" as
  // mongod sees it) may be a stranger's by now: it is waited for a while, never killed. kTimeout
  // names one that would not die.
  [[nodiscard]] virtual Status fence(std::span<const std::string> lsid_ids,
                                     std::span<const std::string> clients,
                                     std::chrono::milliseconds timeout) = 0;

 protected:
  ~StoreFence() = default;
};

// Keys of unique indexes but that of _id.
class StoreKeys {
 public:
  // Nothing: there is no such index.
  [[nodiscard]] virtual Result<std::optional<KeyIndex>> key_index(const std::string& ns,
                                                                  const std::string& name) = 0;
  // The index of `spec` (KeyIndex has it) gets this guard, and is made where there is none, unless
  // it is to be unique. A unique one is made anew: should that be interrupted, or the index be
  // large, there is none in between. Where it cannot be made so it is at once what it was. Not
  // journaled.
  [[nodiscard]] virtual Result<GuardChange> set_guard(const std::string& ns,
                                                      const std::string& spec, KeyGuard guard) = 0;
  // The documents that hold a key of `document` in this index, so that it was refused by it
  // (unique_index_of): others than itself, the first ones by _id, at most a thousand. Empty: none
  // does any more, or it cannot be told.
  [[nodiscard]] virtual Result<std::vector<std::string>> holders(const std::string& ns,
                                                                 const std::string& document,
                                                                 const std::string& index) = 0;
  // Is `document` itself in the index, with one of the keys it has here?
  [[nodiscard]] virtual Result<bool> holds_keys(const std::string& ns, const std::string& document,
                                                const std::string& index) = 0;

 protected:
  ~StoreKeys() = default;
};

// All of it.
class Store : public StoreServer,
              public StoreCatalog,
              public StoreReader,
              public StoreWriter,
              public StoreKeys,
              public StoreOplog,
              public StoreFence {
 public:
  using Duration = std::chrono::milliseconds;
  virtual ~Store() = default;
};

// Whether the collection evicts documents by itself. Who may not ask may still read and write: then
// it counts as one that does not. Errors: of the store.
[[nodiscard]] Result<bool> is_capped(StoreCatalog& catalog, const std::string& ns);

// Can a top-level field of this name be asked for by itself?
[[nodiscard]] bool is_plain_field(std::string_view name);
// Can `path` be written as names joined by dots and mean the same? Not when it is empty or a name
// is empty, starts with '$', holds a dot, or is all digits: then replace the whole document.
[[nodiscard]] bool is_dotted_path(const Path& path);
// "a.b.c"; the path must be is_dotted_path().
[[nodiscard]] std::string dotted(const Path& path);
[[nodiscard]] Path undotted(std::string_view dotted);

// Which run of the store answers. Errors: of the store.
[[nodiscard]] Result<std::string> run_of(Store& store);
// wait_settled(), all of it by one run of the store: which. Errors: kUnavailable where another run
// answers in between.
[[nodiscard]] Result<std::string> settled_run(Store& store);

}  // namespace outrigger
