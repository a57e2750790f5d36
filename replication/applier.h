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
// A document the store refuses (validator, unique key, size) is set aside: its row holds every
// value ("detached"), the ledger its merged state, and the stream goes on. It is tried again when
// it next changes and at start.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "replication/apply_batch.h"
#include "replication/apply_intent.h"
#include "replication/apply_locks.h"
#include "replication/inbox.h"
#include "replication/lock_table.h"
#include "replication/outbox/batch.h"
#include "replication/replica.h"
#include "replication/store/store.h"

namespace outrigger {

struct ApplierOptions {
  DeliveryLimits batch;
  size_t stored_bytes_max = 64u << 20;      // of documents read for one batch, roughly
  std::chrono::milliseconds retry_min{50};  // the runner's pause after trouble, doubling
  std::chrono::milliseconds retry_max{5000};
  std::chrono::milliseconds collect_every{1000};
  size_t collect_documents = 20'000;
  std::function<void(const std::string&)> warn;  // one line for the log; from the runner's thread
  // Called on the runner's thread now and then: for what else needs this thread's store, such as
  // Recovery::note_oplog_time.
  std::function<void()> housekeeping;
  std::chrono::milliseconds housekeeping_every{30'000};
};

enum class StepOutcome : uint8_t {
  kIdle,     // nothing can be applied now
  kApplied,  // a batch is done, there may be more
  kBlocked,  // what could be applied is locked by local writes
  kTrouble,  // the store did not answer; the batch stays under way: step again later
};

class Applier {
 public:
  // Everything is borrowed and outlives this. The store belongs to the thread that steps.
  Applier(Replica& replica, outbox::LogStore& log, outbox::CommitThread& commit, LockTable& locks,
          Store& store, ApplierOptions options = {});
  ~Applier();  // stop(); a batch under way is left to the next start
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  // Finishes the batch a crash interrupted, if there is one. Before the port opens and before any
  // prepare is settled. Errors: of the store (try again), of the log.
  [[nodiscard]] Status replay_interrupted();
  // One batch, or what is left of one. An error is the log's: it is fenced or damaged.
  [[nodiscard]] Result<StepOutcome> step();

  // Steps and collects on a thread of its own until stop().
  void start();
  void stop();

 private:
  struct Work;

  void run();
  void pause(std::chrono::milliseconds time);
  void wake();
  [[nodiscard]] Delivery take_delivery();
  [[nodiscard]] bool take_promises(const std::vector<Inbox::Promised>& promised);
  [[nodiscard]] Status add_retries(Work& work);
  [[nodiscard]] Status add_released(Work& work);
  static void add_effects(Work& work, const Record& record);
  [[nodiscard]] Status read_rows(Work& work);
  [[nodiscard]] Status read_stored(Work& work);
  [[nodiscard]] Result<int64_t> merge_into(Work& work, outbox::Batch& batch);
  [[nodiscard]] Result<std::map<std::string, uint64_t>> put_losses(const Work& work,
                                                                   outbox::Batch& batch);
  [[nodiscard]] Status commit_intent(Work& work);
  [[nodiscard]] Result<StepOutcome> finish();
  [[nodiscard]] Status write_store();
  [[nodiscard]] Status complete();
  [[nodiscard]] Status set_aside(outbox::Batch& batch, const IntendedDocument& document,
                                 const WriteOutcome& refusal, std::string* ledger_key);
  [[nodiscard]] StepOutcome trouble(const Error& error);
  void note_held(const std::vector<Origin>& refused, const std::vector<Origin>& overfull);
  // What of the batch is set aside or comes back from there, but for what it changes in memory.
  [[nodiscard]] std::map<std::string, std::string> put_quarantine(const Work& work,
                                                                  outbox::Batch& batch);

  Replica& replica_;
  outbox::LogStore& log_;
  outbox::CommitThread& commit_;
  Store& store_;
  const ApplierOptions options_;

  size_t documents_max_;
  // The batch between (1) and (3), if one is under way.
  std::unique_ptr<Work> under_way_;

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // under mutex_
  bool arrived_ = false;   // under mutex_: records, or locks that were waited for

  ApplyLocks locks_;
};

}  // namespace outrigger
