// After a crash: what was under way when the sidecar died, and how it ended.
//
// A command outlives the client that sent it, so first everything the dead process might still have
// running in the store is killed (the fence). Then each prepare without a record is settled under
// its own stamp and dependencies, in stamp order:
//   replica set   the oplog says exactly which statements of the prepare happened; the values are
//                 the store's present ones, since a write in doubt is the last on its document
//   standalone    a literal assignment happened if the store shows its values; whatever else is in
//                 doubt is settled by adoption: the present values of the paths the prepare names
//                 are recorded, so that both outcomes of the doubt converge
// A statement of the app's own session that happened leaves a retry entry, as it would have without
// the crash: the driver will send it again. Where mongod has died too, what it forgot is put back
// (redo.h) in between: after what is certain of a prepare has been recorded, before what only the
// present values can tell. Then the interrupted apply batch is replayed, the epochs of earlier runs
// are closed for good, and local writes are let in. A single write whose backend connection broke
// is settled the same way while everything else goes on.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "replication/apply/applier.h"
#include "replication/record/change.h"
#include "replication/record/prepare.h"
#include "replication/recovery/oplog_window.h"
#include "replication/recovery/redo.h"
#include "replication/site/replica.h"
#include "replication/store/store.h"

namespace outrigger {

struct RecoveryOptions {
  std::chrono::milliseconds fence_timeout{30'000};
  std::function<void(const std::string&)> warn;  // one line for the log
  // Any thread: whoever puts back should end, and leave the rest to the next start.
  std::function<bool()> is_stopping = [] { return false; };
};

// How prepares were settled; for the log and for tests.
struct RecoveryReport {
  size_t happened = 0;  // recorded as asked: certain
  size_t adopted = 0;   // recorded as the store's present values: in doubt
  size_t dropped = 0;   // nothing happened
};

// What one prepare turned out to have done.
struct SettledPrepare {
  enum class How : uint8_t { kHappened, kAdopted, kDropped };
  How how = How::kDropped;
  std::vector<DocumentChange> changes;  // empty: kDropped
  // Of the statements that certainly happened: {n, nModified, upserted}, what mongod answered. (A
  // findAndModify's document is not in it: that only mongod can give again.)
  std::vector<RetryEntry> retries;
  // The same would be said of a store that has forgotten earlier writes. Else it is to be asked
  // again once those are put back.
  bool certain = true;
};

// Pure but for reading the store. `oplog`: null on a standalone, or where the oplog does not reach
// back far enough; otherwise all entries of the prepare's session since before it was sent.
// `put_back`: what the store had forgotten has been written, perhaps over a part of this.
[[nodiscard]] Result<SettledPrepare> judge_prepare(StoreReader& store, const Prepare& prepare,
                                                   const std::vector<OplogWrite>* oplog,
                                                   bool put_back = false);
// The same, but that nothing counts as deleted that a capped collection may have evicted
// (evictions.h).
[[nodiscard]] Result<SettledPrepare> judge_with_evictions(Store& store, const Prepare& prepare,
                                                          const std::vector<OplogWrite>* oplog,
                                                          bool put_back);

class Recovery {
 public:
  // Everything is borrowed and outlives this; `store` belongs to the calling thread.
  Recovery(Replica& replica, outbox::Outbox& outbox, outbox::CommitThread& commit, Store& store,
           RecoveryOptions options = {});

  // At start, before the port opens and before any link: fence, settle, put back, replay, open for
  // writes.
  // After an error nothing is open and it may be called again (the store was away, an operation
  // would not die).
  [[nodiscard]] Result<RecoveryReport> run(Applier& applier);

  // A backend connection broke while `write` was on its way. The caller still holds its locks and
  // must not use that session or connection again. Kills what is left of it in the store, then
  // settles or drops the write; the caller has only to release the locks. `store` is the calling
  // thread's own. Errors: the write is undecided still; try again, with the locks held.
  [[nodiscard]] Result<SettledPrepare::How> settle_in_doubt(UndecidedWrite& write,
                                                            const std::string& session_id,
                                                            const std::string& local_address,
                                                            Store& store);

  // The store answered `write` with an error that may have come after it: what became of these
  // documents of its prepare? Nothing of it runs any more; the caller holds its locks and settles.
  // Errors: ask again, with the locks held.
  [[nodiscard]] Result<SettledPrepare> look_at(const LocalWrite& write,
                                               const std::vector<size_t>& documents, Store& store);

  // Which run of mongod holds all that was acknowledged; nobody else may be asked anything.
  [[nodiscard]] ServedProcess& served() { return served_; }
  // Another run may answer than the one that is served: puts back what it has forgotten, but for
  // the documents of writes whose end is still to be told. True: it is all there, and that run is
  // served. Call it again until then. Where another run answers nothing is done before
  // `is_cut_off`: no app has a connection any more to the one that is served. The step itself may
  // be the first to meet that other one.
  [[nodiscard]] Result<bool> put_back_step(Store& store, bool is_cut_off);
  [[nodiscard]] uint64_t documents_put_back() const { return redo_.documents_put_back(); }

  // Replica sets: remembers from where a later recovery must read the oplog. Call now and then
  // (every half minute) from the thread of `store`; does nothing while older writes are open.
  [[nodiscard]] Status note_oplog_time() { return oplog_.note(store_); }

 private:
  [[nodiscard]] Status fence(const std::vector<Prepare>& prepares);
  [[nodiscard]] Result<std::vector<Prepare>> open_prepares() const;
  [[nodiscard]] Result<Prepare> open_prepare(const LocalWrite& write) const;
  [[nodiscard]] Result<SettledPrepare> judge(const Prepare& prepare, Store& store,
                                             const std::vector<std::string>& session_ids);
  [[nodiscard]] Status put_back_for(const Prepare& prepare, Store& store);
  void keep_set_aside(SettledPrepare& settled) const;
  [[nodiscard]] Status tell_in_full(SettledPrepare& settled, StoreReader& store) const;
  [[nodiscard]] Status hold(const SettledPrepare& settled, Store& store) const;
  // Prepares of earlier runs. False: nothing is certain of it before what the store forgot is back.
  [[nodiscard]] Result<bool> settle_earlier(const Prepare& prepare,
                                            const std::vector<OplogWrite>* oplog, bool put_back,
                                            RecoveryReport& report);
  [[nodiscard]] Result<bool> settle_earlier_rename(const Prepare& prepare, RecoveryReport& report);
  [[nodiscard]] Result<bool> told_rename(const Prepare& prepare, Store& store);
  // A prepare as it has to be judged: without the statements that have a record already. Such a
  // prepare is of a driver's retry, which mongod did not run again.
  [[nodiscard]] Result<Prepare> without_recorded(const Prepare& prepare) const;
  // The retry entries `settled` should leave: none for a session of our own, nobody retries those.
  [[nodiscard]] Result<std::vector<RetryEntry>> retries_of(const Prepare& prepare,
                                                           const SettledPrepare& settled) const;
  [[nodiscard]] Status finish_redo();
  [[nodiscard]] Status forget_backends();
  [[nodiscard]] Status close_epochs();
  void warn(const std::string& text) const;

  Replica& replica_;
  SiteParts& site_;  // of replica_
  outbox::Outbox& outbox_;
  outbox::CommitThread& commit_;
  Store& store_;
  const RecoveryOptions options_;
  ServedProcess served_;
  Redo redo_;
  OplogWindow oplog_;
};

}  // namespace outrigger
