// What people are told of applying: in the ledger, by alarms, and in the words of an error.
//
// Of rights on one namespace that the store's user lacks: a document that may not be written is set
// aside, as its row holds every value. A namespace that may not be read holds the stream: nothing
// can be merged there, and a record passed over is lost to this site as soon as every other member
// has applied it.
#pragma once

#include <string>
#include <vector>

#include "config/result.h"
#include "replication/apply/apply_batch.h"
#include "replication/causality/stamp.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/ledger.h"
#include "replication/outbox/outbox.h"
#include "replication/site/ledger/ledger_keeper.h"
#include "replication/site/site_parts.h"
#include "replication/site/state/alarms.h"
#include "replication/store/store.h"

namespace outrigger {

// Once for each key, however often a batch is done. Errors: of the log.
[[nodiscard]] Status put_once(const outbox::Outbox& outbox, LedgerKeeper& ledger,
                              outbox::Batch& batch, const LedgerEntry& entry);

struct NotedLosses {
  ConflictCounts counts;
  std::vector<std::string> owed;  // LossNews::owe
};
// What lost by this work, or as its records tell, and is not in the ledger yet, with the apps that
// wrote it; and what its records decide. Errors: of the log.
[[nodiscard]] Result<NotedLosses> put_losses(SiteParts& site, const ApplyWork& work,
                                             outbox::Batch& batch);

// The store lacks a document in which a sum was to be put right.
[[nodiscard]] LedgerEntry missing_entry(const std::string& ns, const bson::OwnedValue& id,
                                        int64_t wall_ms);

// The entry of a document that is set aside no more, or under another entry. What was parked at
// every site alike stays there, closed; else it goes. Errors: of the log.
[[nodiscard]] Status close_aside(const outbox::Outbox& outbox, LedgerKeeper& ledger,
                                 outbox::Batch& batch, const std::string& ledger_key);

// Origins whose next record waits: for a lock, or as too many records are set aside already.
void note_held(Alarms& alarms, const std::vector<Origin>& refused,
               const std::vector<Origin>& overfull);

// An error of a read, in words that say what to grant.
[[nodiscard]] Error refused_to_read(Store& store, const std::string& ns, Error error);
void say_forbidden(Alarms& alarms, const std::string& ns, const std::string& why);
void calm_forbidden(Alarms& alarms, const std::string& ns);

}  // namespace outrigger
