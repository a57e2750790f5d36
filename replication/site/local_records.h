// What this site commits by itself, as records: stamps for it, and changes of documents as the
// effects that peers apply. What is too much for one record goes on in others, each under a stamp
// of its own and after the one before it.
#pragma once

#include <string>
#include <vector>

#include "config/result.h"
#include "replication/outbox/batch.h"
#include "replication/record/change.h"
#include "replication/record/prepare.h"
#include "replication/site/corrections/corrections.h"
#include "replication/site/ledger/ledger_keeper.h"
#include "replication/site/state/site_state.h"

namespace outrigger {

// What settles a write: a batch for the log, and what will be so once it is written.
struct SettlingBatch {
  outbox::Batch batch;
  std::vector<SettledWrite> records;  // the last one may be a stamp taken for nothing
  int64_t rows = 0;                   // more rows than before
  std::vector<std::string> detached;  // row keys of documents set aside that changed
  std::vector<Correction> corrections;
};

// Under what name a record is made, and from what.
struct RecordName {
  Dot dot;
  VersionVector deps;
  std::string app;  // Record::app
  Hlc closed = 0;   // counter entries up to here are not extended
};

// Thread-safe.
class LocalRecords {
 public:
  // Everything is borrowed and outlives this.
  LocalRecords(const SiteContext& context, SiteState& state, LedgerKeeper& ledger)
      : context_(context), state_(state), ledger_(ledger) {}

  // Keeps the clock's bound ahead of its stamps. Not synced by itself: a stamp beyond the old bound
  // is written behind this in the same log.
  [[nodiscard]] Status renew_bound();
  // A stamp that holds back publication until it is settled, and what it depends on.
  [[nodiscard]] Result<LocalWrite> begin(OpenWrite write);

  // The batch that makes `changes` the record of that name: entry, rows, retries. Errors: the log
  // cannot be read.
  [[nodiscard]] Result<SettlingBatch> make(RecordName name, std::vector<DocumentChange> changes,
                                           const std::vector<RetryEntry>& retries);

 private:
  [[nodiscard]] Result<Dot> next_dot();

  const SiteContext& context_;
  SiteState& state_;
  LedgerKeeper& ledger_;
};

}  // namespace outrigger
