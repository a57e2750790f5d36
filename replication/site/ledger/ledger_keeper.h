// What is written into the ledger, what it counts as, and looking at it. How much of it is kept:
// ledger/ledger_trimmer.h.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/ledger.h"
#include "replication/site/ledger/ledger_trimmer.h"
#include "replication/site/state/alarms.h"
#include "replication/site/state/replica_status.h"
#include "replication/site/state/site_context.h"

namespace outrigger {

// Thread-safe.
class LedgerKeeper {
 public:
  // Everything is borrowed and outlives this.
  LedgerKeeper(const SiteContext& context, Alarms& alarms)
      : context_(context), trimmer_(context, alarms) {}

  [[nodiscard]] Status load() { return trimmer_.load(); }
  // Every entry goes into its batch here, with the rule that decided, as rules may change later.
  // `conflicts`: how many it counts for in the status.
  void put(outbox::Batch& batch, const std::string& key, LedgerEntry entry, uint64_t conflicts);
  void count(const ConflictCounts& conflicts);
  [[nodiscard]] ConflictOf counts_as(const LedgerEntry& entry) const;

  // Drops what may not stay (LedgerTrimmer::trim).
  [[nodiscard]] Status trim() { return trimmer_.trim(); }

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
  [[nodiscard]] std::string rule_of(const LedgerEntry& entry) const;
  // As a reader is to see it.
  [[nodiscard]] Result<LedgerEntry> shown(const std::string& key, const std::string& bytes) const;

  const SiteContext& context_;
  LedgerTrimmer trimmer_;

  mutable Mutex mutex_;
  ConflictCounts conflicts_ GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> marks_ GUARDED_BY(mutex_);  // by state
};

}  // namespace outrigger
