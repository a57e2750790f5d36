// How much of the ledger is kept, and looking at it.
//
// The rule: while it is larger than may be, its oldest closed entries go. What is open (a document
// or a record set aside, a part left out) is never dropped, however old and however large.
//
// Nothing is scanned when an entry is written: the log knows how many bytes there are. A search for
// the oldest closed entry begins where the last one ended, as everything before that is open;
// entries that come with an older stamp move the place back.
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/ledger.h"
#include "replication/site/state/alarms.h"
#include "replication/site/state/replica_status.h"
#include "replication/site/state/site_context.h"

namespace outrigger {

// What an entry counts as.
struct ConflictOf {
  std::string kind;
  std::string ns;
  std::string policy;  // the setting that decided, "keyed" or "deletes"; empty: none does
  friend auto operator<=>(const ConflictOf&, const ConflictOf&) = default;
};
using ConflictCounts = std::map<ConflictOf, uint64_t>;

// Thread-safe.
class LedgerKeeper {
 public:
  // Everything is borrowed and outlives this.
  LedgerKeeper(const SiteContext& context, Alarms& alarms) : context_(context), alarms_(alarms) {}

  [[nodiscard]] Status load();
  // Every entry goes into its batch here. `conflicts`: how many it counts for in the status.
  void put(outbox::Batch& batch, const std::string& key, const LedgerEntry& entry,
           uint64_t conflicts);
  void count(const ConflictCounts& conflicts);
  [[nodiscard]] ConflictOf counts_as(const LedgerEntry& entry) const;

  // Drops the oldest closed entries while there are more bytes than may be; a bounded step. One
  // caller at a time.
  [[nodiscard]] Status trim();

  // A page of it, newest first: Replica::conflicts.
  [[nodiscard]] Result<LedgerPage> page(size_t limit, const LedgerPlace& from) const;
  // By its name (ledger_name). kNotFound; kRefused: two have it. Reads the entries of one stamp.
  [[nodiscard]] Result<LedgerEntry> find(const std::string& name) const;
  // Notes what was done about an entry that no other site has: it counts as closed. Nothing is
  // noted of one that is gone.
  [[nodiscard]] Status mark(const std::string& key, LedgerMark mark,
                            const std::optional<Replaced>& replaced);
  // Puts one that is there already, changed, into its batch.
  void keep(outbox::Batch& batch, const std::string& key, const LedgerEntry& entry);
  void count_mark(const LedgerEntry& entry);
  void describe(ReplicaStatus& status) const;

 private:
  void count_one(const ConflictOf& of, uint64_t count) REQUIRES(mutex_);
  [[nodiscard]] bool is_escalated(const LedgerEntry& entry) const;
  // As a reader is to see it.
  [[nodiscard]] Result<LedgerEntry> shown(const std::string& key, const std::string& bytes) const;
  [[nodiscard]] Result<bool> is_open(const std::string& key, const LedgerEntry& entry) const;
  [[nodiscard]] Result<bool> trim_piece(uint64_t& bytes, uint64_t& read) REQUIRES(trimming_);
  void say_trimmed(uint64_t bytes, bool only_open) REQUIRES(trimming_);

  const SiteContext& context_;
  Alarms& alarms_;

  mutable Mutex mutex_;
  std::string closed_from_ GUARDED_BY(mutex_);  // all entries before this key are open
  std::string first_ GUARDED_BY(mutex_);        // there is no entry before this key
  std::map<std::string, uint64_t> conflicts_ GUARDED_BY(mutex_);   // by kind
  std::map<std::string, uint64_t> namespaces_ GUARDED_BY(mutex_);  // the same by namespace
  std::map<std::string, uint64_t> policies_ GUARDED_BY(mutex_);    // the same by policy
  std::map<std::string, uint64_t> marks_ GUARDED_BY(mutex_);       // by state

  std::atomic<uint64_t> dropped_{0};
  std::atomic<int64_t> oldest_ms_{0};

  Mutex trimming_;                                 // one caller at a time; held over the log
  uint64_t unsaid_ GUARDED_BY(trimming_) = 0;      // dropped since a line in the log said so
  Hlc dropped_through_ GUARDED_BY(trimming_) = 0;  // the newest stamp dropped in this run
  int64_t said_us_ GUARDED_BY(trimming_) = 0;      // monotonic
};

}  // namespace outrigger
