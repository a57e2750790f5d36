// One run: lock its documents, begin it in the outbox, send it to the store, settle what it did.
//
//   lock      the documents, the namespace shared
//   begin     stamp, dependencies and intent in the page cache, before the command's bytes go out
//   send      the command, with the reads that tell what it did around it
//   settle    effects to the outbox (run_settler.h); only then are the locks released
//
// A run committed by itself is all four, and that is all there is now. The steps keep nothing
// between them: what one finds the next is given. So whoever commits several runs at once (an app's
// transaction), or something else under the same locks (a change of the catalogue), can hold the
// locks and what `begin` gave for all of them, `send` each run and find its effects
// (RunSettler::find_effects), commit, and record them together.
#pragma once

#include <optional>

#include "proxy/writes/run_settler.h"

namespace outrigger {

class RunExecutor {
 public:
  // All outlive it.
  RunExecutor(ProxyContext& context, Backend& backend, const WriteRequest& request,
              StoreReads& reads)
      : context_(context),
        backend_(backend),
        request_(request),
        reads_(reads),
        journaled_(context, backend),
        settler_(context, backend, request, reads, journaled_) {}

  // All of it. Items of the run whose images do not fit beside those of the first are left out:
  // RunResult::items.
  net::Task<RunResult> execute(Run run);
  // Without the locks: whoever calls holds them.
  net::Task<RunResult> execute_locked(Run run);

 private:
  // What a write that may be sent now has in the outbox.
  struct Begun {
    LocalWrite write;
    DurableWaits::Shot durable;  // none: it is on disk already
  };
  // The documents before the run, where they could not just be asked for in front of it.
  struct SeenBefore {
    StoreRead read;  // not done: it ends the command
    Images images;
    bool is_all = false;  // nothing is left to be asked for
  };

  net::Task<SeenBefore> see_before(Run& run);
  net::Task<Result<Begun>> begin(const Run& run, const RunSession& session,
                                 JournalWaits::Write& journal);
  net::Task<RunAnswer> send(Run& run, const RunSession& session, JournalWaits::Write& journal,
                            SeenBefore seen);
  net::Task<Result<std::string>> send_and_receive(Run& run, const RunSession& session,
                                                  const std::vector<const RunItem*>& before,
                                                  Images& images);
  net::Task<StoreRead> fit_images(Run& run);

  [[nodiscard]] bool may_have_been_made(const Run& run) const;
  [[nodiscard]] RunSession session_for(const Run& run);
  [[nodiscard]] Unsynced unsynced(const Run& run) const;
  void look_at_row(RunItem& item) const;

  ProxyContext& context_;
  Backend& backend_;
  const WriteRequest& request_;
  StoreReads& reads_;
  JournaledAnswers journaled_;
  RunSettler settler_;
};

}  // namespace outrigger
