// When a run's write is in mongod's journal: only then is it settled, published and answered.
// JournalWaits shares one wait among many writes; here is what the answer to one of them means for
// it, and the connection it came over.
#pragma once

#include <string>

#include "proxy/capture/run.h"
#include "proxy/mongo/backend.h"
#include "proxy/writes/context.h"

namespace outrigger {

class JournaledAnswers {
 public:
  // Both outlive it.
  JournaledAnswers(ProxyContext& context, Backend& backend)
      : context_(context), backend_(backend) {}

  // What the answer means for those that share one wait for the journal. Gives what is still to be
  // waited for, if anything.
  [[nodiscard]] JournalWaits::Shot share(RunConcern concern, const bson::Document& answer,
                                         JournalWaits::Write& journal) const;
  // Waits for that; false: what became of the write is not known.
  net::Task<bool> wait_shared(JournalWaits::Shot shot);
  // The store executed a command and could not say that its write concern was met: that its writes
  // are journaled must be found out in another way.
  net::Task<bool> wait_alone();

 private:
  // Whether the mongod that answered this connection is the one that answers now.
  net::Task<bool> still_answers();

  ProxyContext& context_;
  Backend& backend_;
};

}  // namespace outrigger
