// What a batch leaves in this site's outbox, in two steps about its writes into the store.
//
// Before: records, rows, losses and the intent, in one batch that is synced. Only then may the
// store change, as only then can what is interrupted be done again. After: the vector moves and the
// intent goes, with what the store had to say:
//   a document it would not take is set aside: its row holds every value, the ledger its merged
//   state, until it is tried again. One that was set aside before and is taken now comes back
//   what a validator would have refused is in the ledger
//
// Between them, seldom: a document of which nothing is remembered is inserted without being looked
// for, and another one stood there (put around the sidecars, or there at this site alone when they
// were joined). It is a stranger, and merged with as one that everybody had: its row, which said
// that nothing stood there, is written anew with the ledger's entries of what is lost, and only
// then the store is. Readers see it after the rest of the batch, as they do what was refused.
//
// Either is done again after a crash, and ends in the same: what is told has a key of its own.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "config/result.h"
#include "replication/apply/applier_options.h"
#include "replication/apply/apply_batch.h"
#include "replication/apply/apply_notes.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/commit_thread.h"
#include "replication/outbox/outbox.h"
#include "replication/site/ledger/ledger_keeper.h"
#include "replication/site/rules/rules_keeper.h"
#include "replication/site/state/aside.h"

namespace outrigger {

struct SiteParts;

// One thread's: the one that applies. Errors: of the log.
class ApplyCommitter {
 public:
  // Everything is borrowed and outlives this.
  ApplyCommitter(SiteParts& site, outbox::Outbox& outbox, outbox::CommitThread& commit,
                 const ApplierOptions& options)
      : site_(site), outbox_(outbox), commit_(commit), options_(options) {}

  // Everything but the store's own data. What is to be written there moves into the intent.
  [[nodiscard]] Status commit_intent(ApplyWork& work);
  // Strangers that the writer met become further writes of `work`, durable then and to be done.
  // After an error: again.
  [[nodiscard]] Status join_strangers(ApplyWork& work);
  // What a crash interrupted after this, if there is any noted under `intent_key`.
  [[nodiscard]] Result<std::optional<ApplyWork>> interrupted(const char* intent_key);
  // Its writes have succeeded. After an error: again.
  [[nodiscard]] Status complete(const ApplyWork& work);

 private:
  void note(const NotedLosses& noted);
  [[nodiscard]] ToldRules put_rules(const ApplyWork& work, outbox::Batch& batch);
  [[nodiscard]] std::map<std::string, std::string> put_quarantine(const ApplyWork& work,
                                                                  outbox::Batch& batch);
  [[nodiscard]] int64_t put_rows(ApplyWork& work, outbox::Batch& batch);
  [[nodiscard]] Status commit_joined(const ApplyWork& work, const ApplyWork& joined);
  [[nodiscard]] Status read_births(ApplyIntent& intent) const;
  [[nodiscard]] Result<std::optional<Aside>> set_aside(outbox::Batch& batch,
                                                       const std::string& row_key,
                                                       const ApplyRefusal& refusal, const Met& met,
                                                       const std::optional<Aside>& before);
  [[nodiscard]] Status note_validators(const ApplyWork& work, outbox::Batch& batch);

  SiteParts& site_;
  outbox::Outbox& outbox_;
  outbox::CommitThread& commit_;
  const ApplierOptions& options_;
};

}  // namespace outrigger
