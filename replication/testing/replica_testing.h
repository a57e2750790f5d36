// A site for tests: replica, applier and recovery over a store in memory, with verbs that do to the
// store what the app does and to the replica what the proxy does. Sites exchange segments and
// reports by direct calls; a crash throws the objects away and keeps log and store.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/clock.h"
#include "replication/apply/applier.h"
#include "replication/outbox/commit_thread.h"
#include "replication/recovery/recovery.h"
#include "replication/site/replica.h"
#include "replication/store/memory/memory_store.h"

namespace outrigger {

inline constexpr const char* kTestNs = "shop.things";

class TestSite {
 public:
  using Fields = std::vector<std::pair<std::string, bson::OwnedValue>>;
  // Makes the outbox; called again after a restart, when it must hold what it held.
  using OutboxMaker = std::function<std::shared_ptr<outbox::Outbox>()>;

  TestSite(std::string name, std::vector<std::string> members, OutboxMaker make_outbox,
           StoreKind kind = StoreKind::kSingleMember);
  ~TestSite();

  // ---- the app's writes, through the replica; each is durable and published when it returns
  void insert(int id, Fields fields);
  void upsert(int id, Fields fields);  // where it finds none
  void set(int id, const std::string& field, int value);
  void set(int id, const std::string& field, const std::string& value);
  void unset(int id, const std::string& field);
  void inc(int id, const std::string& field, int delta);
  void remove(int id);
  void yield(int id);  // it removes, and yields to updates
  void replace(int id, Fields fields);

  // ---- the same in its steps
  struct Pending {
    UndecidedWrite write;
    DocumentChange change;
    std::unique_ptr<LockRequest> lock;
    bool stored = false;
    int64_t txn_number = 0;
  };
  // Takes the lock (nothing when it is not free), stamp and prepare.
  [[nodiscard]] std::unique_ptr<Pending> begin(DocumentChange change);
  // The same statement under the same number again, as a driver retries it.
  [[nodiscard]] std::unique_ptr<Pending> begin_again(const Pending& first);
  [[nodiscard]] std::string retry_key_of(const Pending& pending) const;
  void store(Pending& pending);  // what mongod does
  void settle(std::unique_ptr<Pending> pending);
  void drop(std::unique_ptr<Pending> pending);
  // The lock; what is undecided is left to recovery.
  void release(Pending& pending);
  [[nodiscard]] static DocumentChange inserting(int id, Fields fields);
  [[nodiscard]] static DocumentChange replacing(int id, Fields fields);
  [[nodiscard]] static DocumentChange setting(int id, const std::string& field,
                                              bson::OwnedValue value);
  [[nodiscard]] static DocumentChange unsetting(int id, const std::string& field);
  [[nodiscard]] static DocumentChange incrementing(int id, const std::string& field, int delta);
  [[nodiscard]] static DocumentChange removing(int id);
  [[nodiscard]] DocumentChange yielding(int id) const;  // a removal, to updates

  // ---- time and faults
  void flush();  // everything written is durable and its callbacks have run
  // The process is gone: log and store stay as they are.
  void kill();
  // Opens again, without recovery.
  void open();
  [[nodiscard]] Result<RecoveryReport> recover();
  void restart();  // kill, open, recover
  // Steps until nothing more can be applied.
  void apply_all();
  void collect();

  // ---- looking
  [[nodiscard]] std::string show(int id) const;  // JSON, or "none"
  [[nodiscard]] std::optional<std::string> document(int id) const;
  [[nodiscard]] int64_t number(int id, const std::string& field) const;
  [[nodiscard]] std::vector<LedgerEntry> ledger() const;
  [[nodiscard]] ReplicaStatus status() const { return replica->status(); }
  // Entries of the ledger that were counted in this run.
  [[nodiscard]] uint64_t counted(const std::string& kind) const {
    uint64_t sum = 0;
    for (const auto& [of, count] : status().conflicts) sum += of.kind == kind ? count : 0;
    return sum;
  }

  const std::string name;
  const std::vector<std::string> members;
  std::string app;  // that writes here
  ManualClock clock;
  SystemRandom random;
  SystemThreads threads;
  MemoryStore mongod;
  LockTable locks;
  ReplicaOptions replica_options;
  ApplierOptions applier_options;
  std::shared_ptr<outbox::Outbox> outbox;
  std::unique_ptr<outbox::CommitThread> commit;
  std::unique_ptr<Replica> replica;
  std::unique_ptr<Applier> applier;
  std::unique_ptr<Recovery> recovery;

 private:
  [[nodiscard]] std::unique_ptr<Pending> begin_numbered(DocumentChange change, int64_t txn_number);
  void run(DocumentChange change);

  const OutboxMaker make_outbox_;
  const StoreKind kind_;
  std::array<uint8_t, 16> lsid_{};
  int64_t txn_number_ = 0;
  uint32_t oplog_ = 0;
};

// Which run of it this is: who speaks over a link.
[[nodiscard]] Origin run_of(const TestSite& site);

// What a link from one site tells the other, for as long as it lives.
class Link {
 public:
  Link(TestSite& from, TestSite& to);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

 private:
  TestSite& to_;
  const SiteHello hello_;
};

inline bson::OwnedValue number(int value) { return bson::make_int32(value); }

// `to` hears what `from` has and its reports; what it then can apply is applied.
void pull(TestSite& from, TestSite& to);
// What it would send, decoded.
Result<std::vector<Segment>> read_segments(const Replica& replica, const VersionVector& has,
                                           size_t bytes_max, const VersionVector& told = {});
// Both ways, until nothing moves.
void exchange(TestSite& a, TestSite& b);
// All pairs, again and again, with collection: until every row is gone or `rounds` are over.
void settle_down(const std::vector<TestSite*>& sites, int rounds = 12);

[[nodiscard]] TestSite::OutboxMaker memory_outbox();
// RocksDB in a fresh directory that goes with the maker.
[[nodiscard]] TestSite::OutboxMaker rocks_outbox();

}  // namespace outrigger
