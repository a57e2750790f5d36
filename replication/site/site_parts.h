// The parts of a site, made and wired together: what stands behind Replica, and what the applier
// and recovery work with. Each keeps its state to itself and is safe from any thread; this only
// says who is given whom.
#pragma once

#include <memory>

#include "config/random.h"
#include "config/result.h"
#include "replication/site/collection.h"
#include "replication/site/corrections/corrections.h"
#include "replication/site/kept/kept_notes.h"
#include "replication/site/ledger/ledger_keeper.h"
#include "replication/site/ledger/loss_news.h"
#include "replication/site/local_records.h"
#include "replication/site/local_writes.h"
#include "replication/site/members.h"
#include "replication/site/quarantine.h"
#include "replication/site/retirement.h"
#include "replication/site/rules/rules_keeper.h"
#include "replication/site/site_exchange.h"
#include "replication/site/state/alarms.h"
#include "replication/site/state/aside_documents.h"
#include "replication/site/state/site_context.h"
#include "replication/site/state/site_state.h"
#include "replication/site/state/wakers.h"

namespace outrigger {

struct SiteParts {
  SiteParts(SiteContext context_, SiteState::Loaded loaded)
      : context(std::move(context_)), state(context, std::move(loaded)) {}
  SiteParts(const SiteParts&) = delete;
  SiteParts& operator=(const SiteParts&) = delete;
  // As Replica::open.
  [[nodiscard]] static Result<std::shared_ptr<SiteParts>> open(ReplicaOptions options,
                                                               outbox::Outbox& outbox,
                                                               outbox::CommitThread& commit,
                                                               const Clock& clock, Random& random);

  const SiteContext context;
  SiteState state;
  Wakers wakers;
  Alarms alarms{context.options.alarm};
  AsideDocuments aside;
  Corrections corrections;
  KeptNotes kept{context.options.relaxed};
  Members members{context};
  RulesKeeper rules{context, alarms};
  Quarantine quarantine{context, state, members, wakers};
  LedgerKeeper ledger{context, alarms};
  LossNews news{context, ledger};
  LocalRecords records{context, state, ledger};
  LocalWrites writes{context, state, records, aside, corrections, kept, wakers};
  SiteExchange exchange{context, state, members, rules, alarms, wakers};
  Retirement retirement{context, state, records, writes};
  Collection collection{context,     state, records,    ledger, aside,
                        corrections, kept,  retirement, wakers};
};

}  // namespace outrigger
