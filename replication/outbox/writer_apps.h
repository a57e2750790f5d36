// Which apps made the writes that an entry of the ledger tells of.
//
// Records name the app that wrote; stamps, by which losers and winners are known, do not. So it is
// looked up when the entry is made: a write that meets another one which it has not seen is not
// everywhere yet, and then the log still has its record. Where it has not, no app is named.
#pragma once

#include <map>
#include <string>

#include "config/result.h"
#include "replication/outbox/ledger.h"
#include "replication/outbox/outbox.h"
#include "replication/record/record.h"

namespace outrigger {

// For the entries of one batch. Not thread-safe.
class WriterApps {
 public:
  // `outbox` outlives this.
  explicit WriterApps(const outbox::Outbox& outbox) : outbox_(outbox) {}

  // A record that comes into the log with the batch.
  void add(const Dot& dot, const std::string& app) { apps_.emplace(dot, app); }
  // Errors: the log cannot be read.
  [[nodiscard]] Result<LedgerEntry> named(LedgerEntry entry);

 private:
  [[nodiscard]] Result<std::string> app_of(const Dot& dot);

  const outbox::Outbox& outbox_;
  std::map<Dot, std::string> apps_;
};

}  // namespace outrigger
