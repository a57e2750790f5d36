// What the sites tell each other about values that lost: outbox/ledger_news.h says what and why.
//
// Telling: a decision is a record in the same batch as the mark here. A document that a delete took
// is noted as owed in the batch of its entry, and told by a record later, so a crash between loses
// nothing. Hearing: in the batch of the record. Whoever decided had seen both writes, so at every
// site the entry is there before the decision comes, or comes in the same batch.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/ledger_news.h"
#include "replication/record/record.h"
#include "replication/site/ledger/ledger_keeper.h"
#include "replication/site/state/site_context.h"

namespace outrigger {

// What records that are applied tell.
struct HeardNews {
  struct Decided {
    Dot by;
    LedgerDecision decision;
  };
  std::vector<Decided> decisions;
  std::map<std::string, LedgerEntry> lost;  // by ledger key
  // What is decided about an entry.
  void decide(LedgerEntry& entry) const;
};

// Thread-safe.
class LossNews {
 public:
  // Both outlive this.
  LossNews(const SiteContext& context, LedgerKeeper& ledger) : context_(context), ledger_(ledger) {}

  // At start. Errors: of the log.
  [[nodiscard]] Status load();

  // ---- telling

  // Held from reading an entry until what is decided about it is in the log, else of two decisions
  // that come at once the earlier one could stand here; and from writing entries until their writes
  // count as seen, else others could hear of a decision before they have these.
  [[nodiscard]] Mutex& deciding() const { return deciding_; }

  // What was done about an entry that other sites have, too, here and by `record`: it counts as
  // closed. Errors: of the log.
  [[nodiscard]] Status tell_decision(Record& record, outbox::Batch& batch, LedgerEntry entry) const;
  // The others lack it: that goes into the batch of the entry. Once that is durable, owe().
  [[nodiscard]] bool is_owed(const LedgerEntry& entry) const;
  static void put_owed(outbox::Batch& batch, const std::string& key);
  void owe(const std::vector<std::string>& keys);
  [[nodiscard]] bool owes() const;
  // Some of what is owed, by `record`. Once that is durable, told(). Errors: of the log.
  [[nodiscard]] Result<std::vector<std::string>> tell_owed(Record& record,
                                                           outbox::Batch& batch) const;
  void told(const std::vector<std::string>& keys);

  // ---- hearing

  // What this version cannot read is passed over.
  [[nodiscard]] HeardNews heard(const std::vector<std::shared_ptr<const Record>>& records) const;
  // What is decided about entries that are in the ledger already.
  [[nodiscard]] Status put_decisions(outbox::Batch& batch, const HeardNews& heard) const;

 private:
  [[nodiscard]] Result<std::map<std::string, LedgerEntry>> entries_about(
      const LedgerDecision& decision) const;
  [[nodiscard]] Status add_entries_about(const LedgerDecision& decision, Hlc begin,
                                         std::map<std::string, LedgerEntry>& found) const;

  const SiteContext& context_;
  LedgerKeeper& ledger_;
  mutable Mutex deciding_;  // before all others
  mutable Mutex mutex_;
  std::set<std::string> owed_ GUARDED_BY(mutex_);  // ledger keys
};

}  // namespace outrigger
