// What a run did, by the store's answer; where the answer does not tell, by looking.
//
// An error of the store is not always "nothing happened": where it may have come after the write,
// the documents are looked at under their locks, and then the store's own answer is passed on. A
// run whose answer never comes is in doubt: its locks stay held until it is known what happened,
// and the app's connection is closed, which a driver takes for the network error it is.
//
// Finding out (`find_effects`) and writing it down (`record`) are two steps: whoever has several
// runs before one commit keeps the effects of each, and records all of them once that is done.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/writes/context.h"
#include "proxy/writes/run_result.h"
#include "proxy/writes/store_reads.h"

namespace outrigger {

// What is remembered of an earlier attempt of the statement; nothing: there is no record of one.
[[nodiscard]] std::optional<std::string> remembered(const ProxyContext& context,
                                                    const WriteRequest& request,
                                                    const Statement& statement);

// The answer will never come: closes the connection, and finds out what became of the writes, sent
// under the session `lsid`. Left to recovery when the process ends before it is known. `what`: for
// the log. The caller holds the locks; the first two and the writes outlive it.
net::Task<void> settle_in_doubt(ProxyContext& context, Backend& backend,
                                std::vector<UndecidedWrite*> writes, std::string lsid,
                                std::string what);

class RunSettler {
 public:
  // All outlive it.
  RunSettler(ProxyContext& context, Backend& backend, const WriteRequest& request,
             StoreReads& reads)
      : context_(context), backend_(backend), request_(request), reads_(reads) {}

  struct Effects {
    RunResult result;
    RunEffects effects;
    bool has_documents = false;  // so there is a collection, whoever made it
    bool is_written = false;     // the store says that it has written to each of the documents
  };
  // Whoever calls these holds the locks. `run` is the caller's own: what is found out of its items
  // is noted in them. `answer` is used up.
  net::Task<RunResult> settle(Run& run, const RunSession& session, UndecidedWrite& write,
                              RunAnswer& answer);
  net::Task<Effects> find_effects(Run& run, const RunSession& session, const LocalWrite& write,
                                  RunAnswer& answer);
  // Into the transaction that the run is a part of. False: somebody else writes to a document of
  // it, or has since the transaction's snapshot, or the transaction has no room.
  net::Task<bool> keep(Effects& found);
  // Into the outbox, with all writes of this turn.
  net::Task<bool> record(UndecidedWrite& write, RunEffects effects);
  // The answer will never come. Left to recovery when the process ends before it is known.
  net::Task<void> settle_in_doubt(UndecidedWrite& write, RunSession session);

 private:
  net::Task<bool> read_what_is_missing(const Run& run, const RunReply& said, RunAnswer& answer);
  net::Task<bool> look(const Run& run, const LocalWrite& write, const std::vector<size_t>& doubtful,
                       const Images& before, RunEffects& effects);
  net::Task<bool> ask_the_store(const LocalWrite& write, std::vector<size_t> documents,
                                RunEffects& effects);
  void note_retried(Run& run, const RunReply& said) const;

  ProxyContext& context_;
  Backend& backend_;
  const WriteRequest& request_;
  StoreReads& reads_;
};

}  // namespace outrigger
