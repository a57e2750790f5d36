// One run: lock its documents, begin it in the outbox, send it to the store, settle what it did.
//
//   lock      the documents, the namespace shared
//   begin     stamp, dependencies and intent in the page cache, before the command's bytes go out
//   send      the command, with the reads that tell what it did around it
//   settle    effects to the outbox (run_settler.h); only then are the locks released
//
// A run committed by itself is all four. The steps keep nothing between them: what one finds the
// next is given. A run of an app's transaction is locked and sent, and what it did is kept there;
// one prepare and one record of all its runs are for who commits it
// (session/transaction_commit.h).
#pragma once

#include <optional>

#include "proxy/writes/run_settler.h"

namespace outrigger {

class RunExecutor {
 public:
  // All outlive it.
  RunExecutor(ProxyContext& context, Backend& backend, const WriteRequest& request,
              StoreReads& reads, RunSettler& settler)
      : context_(context), backend_(backend), request_(request), reads_(reads), settler_(settler) {}

  // All of it, or what a transaction has of it. Items of the run whose images do not fit beside
  // those of the first are left out: RunResult::items.
  net::Task<RunResult> execute(Run run);
  // Without the locks: whoever calls holds them. Not in a transaction, which keeps its own.
  net::Task<RunResult> execute_locked(Run run);

  // The documents before the run, where they cannot just be asked for in front of it.
  struct SeenBefore {
    StoreRead read;  // not done: it ends the command
    Images images;
    bool is_all = false;  // nothing is left to be asked for
  };
  // A write that may be sent now.
  struct Begun {
    UndecidedWrite write;
    DurableWaits::Shot durable;  // its prepare; none: nobody need wait for that
  };
  // The steps. `run` is the caller's own: what is found out of its items is noted in them.
  net::Task<SeenBefore> see_before(Run& run);
  [[nodiscard]] RunSession session_for(const Run& run);
  net::Task<Result<Begun>> begin(const Run& run, const RunSession& session);
  net::Task<RunAnswer> send(Run& run, const RunSession& session, SeenBefore seen);

 private:
  net::Task<RunResult> execute_in_transaction(Run run);
  net::Task<RunResult> run_in_transaction(Run& run);
  net::Task<StoreRead> see_in_transaction(Run& run, SeenBefore& seen);
  net::Task<StoreRead> fit_images(Run& run);
  // Items whose images are asked for in the breath of the run.
  struct Around {
    std::vector<const RunItem*> before, after;
  };
  [[nodiscard]] Around around(const Run& run, bool before_is_known) const;
  // Fills in the answer; an error: there is none.
  net::Task<Status> send_and_receive(Run& run, const RunSession& session, const Around& asked,
                                     RunAnswer& answer);
  net::Task<bool> receive_images(Images& images);
  [[nodiscard]] bool may_have_been_made(const Run& run) const;
  [[nodiscard]] Unsynced unsynced(const Run& run) const;

  ProxyContext& context_;
  Backend& backend_;
  const WriteRequest& request_;
  StoreReads& reads_;
  RunSettler& settler_;
};

}  // namespace outrigger
