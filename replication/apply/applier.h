// The applier brings peers' records into the local store, in causal order, so that a crash anywhere
// replays to the same state without a transaction. For a batch, under the locks of its documents:
//
//   (1) records, rows, ledger and the documents' final values (the intent) become durable in one
//       batch; from here on local writes cite these records as seen
//   (2) the final values are written into the store, absolutely
//   (3) the durable vector moves and the intent goes; the locks are released
//
// A batch never waits for a lock: a record with a locked document is left for a later one, with its
// place in line (apply_locks.h), and only its origin waits.
//
// Readers see causes before effects: the writes of a batch are in causal order (apply_batch.h) and
// the store does them in theirs. What refuses a write is told apart:
//   it passes        (no primary, a write block, a lock): the batch stays under way, nothing behind
//                    it is written, and it goes on where it stopped
//   a verdict        (unique key, size, a time series): the document is set aside: its row
//                    holds every value ("detached"), the ledger its merged state, and the stream
//                    goes on. It is tried again when it next changes, now and then, and at start.
//                    The same holds for what the store's user may not write, while it may write
//                    elsewhere. What it may not read cannot be merged: its stream waits, and the
//                    namespace is told. Of what a key of a unique index keeps out it is decided
//                    between batches who is shown (unique_owners.h)
//   a validator      is bypassed, and the ledger says what it would have said
//
// A batch is a value (apply_batch.h) that goes from one to the next: the gatherer makes it, the
// committer does (1) and (3), the writer (2). The applier says when, and what follows an error;
// between batches the resolver works on what is set aside (aside_resolver.h).
//
// Memory is bounded by what a batch reads and writes, and the next batches by what this one met.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/thread_annotations.h"
#include "config/threads.h"
#include "replication/apply/applier_options.h"
#include "replication/apply/apply_batch.h"
#include "replication/apply/apply_committer.h"
#include "replication/apply/apply_gatherer.h"
#include "replication/apply/apply_writer.h"
#include "replication/apply/aside_resolver.h"
#include "replication/apply/locks/apply_locks.h"
#include "replication/apply/unique_owners.h"
#include "replication/outbox/commit_thread.h"
#include "replication/outbox/outbox.h"
#include "replication/site/lock_table.h"
#include "replication/site/replica.h"
#include "replication/site/state/inbox.h"
#include "replication/store/store.h"

namespace outrigger {

enum class StepOutcome : uint8_t {
  kIdle,     // nothing can be applied now
  kApplied,  // a batch is done, there may be more
  kBlocked,  // what could be applied is locked by local writes
  kTrouble,  // the store did not answer; the batch stays under way: step again later
};

class Applier {
 public:
  // Everything is borrowed and outlives this. The store belongs to the thread that steps.
  Applier(Replica& replica, outbox::Outbox& outbox, outbox::CommitThread& commit, LockTable& locks,
          Store& store, Threads& threads, ApplierOptions options = {});
  ~Applier();  // stop(); a batch under way is left to the next start
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  // Finishes the batch a crash interrupted, if there is one. Before the port opens and before any
  // prepare is settled. Errors: of the store (try again), of the log.
  [[nodiscard]] Status replay_interrupted();
  // One batch, or what is left of one. An error is the outbox's: it has failed or is damaged. Once
  // a batch could not be committed it may be there in part, so that nothing more is gathered from
  // what the outbox shows while it has failed.
  [[nodiscard]] Result<StepOutcome> step();

  // Documents set aside in which parts met that no store takes together: what this one refuses is
  // left out, once others have had their time for it (resolution.h). Errors: of the store, the log.
  [[nodiscard]] Status resolve_step();

  // Documents set aside are tried again with the next steps, a few at once: whatever stood in the
  // way may have gone without a change of the document itself.
  void try_aside_again();

  // Steps and collects on a thread of its own until stop().
  void start();
  void stop();

 private:
  void run();
  void pause(std::chrono::milliseconds time);
  void wake();
  [[nodiscard]] bool take_promises(const std::vector<Inbox::Promised>& promised);
  [[nodiscard]] Result<StepOutcome> finish();
  [[nodiscard]] Status note_corrected(const ApplyWork& work);
  [[nodiscard]] Status write_all(ApplyWork& work, bool must_be_served);
  [[nodiscard]] StepOutcome trouble(const Error& error);

  Replica& replica_;
  SiteParts& site_;  // of replica_
  outbox::Outbox& outbox_;
  Store& store_;
  Threads& threads_;
  const ApplierOptions options_;

  std::string aside_cursor_;  // row key of the last one tried again
  bool is_owners_turn_ = true;
  // The batch between (1) and (3), if one is under way.
  std::optional<ApplyWork> under_way_;

  std::unique_ptr<Threads::Thread> thread_;
  Mutex mutex_;
  Condition wake_{threads_};
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool arrived_ GUARDED_BY(mutex_) = false;  // records, or locks that were waited for

  ApplyLocks locks_;
  ApplyGatherer gatherer_;
  ApplyCommitter committer_;
  ApplyWriter writer_;
  AsideResolver resolver_;
  UniqueOwners owners_;
};

}  // namespace outrigger
