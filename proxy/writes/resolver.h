// Statements that do not name their document.
//
// The app's own filter is asked once, and what it finds is locked and run narrowed to the document.
// What was found stands, however the filter would answer now (by chance, by the clock), unless the
// document was held by somebody else in between; only then is it asked again, under the lock.
//
//   one      the first document found that nobody holds; when others are first, again
//   many     all of them in chunks, each document a statement of its own
//   upsert   nothing found: inserted under an _id that is new, while the filter still finds nothing
//   alone    when others are first again and again: with the collection to itself
#pragma once

#include <optional>
#include <vector>

#include "proxy/writes/run_executor.h"

namespace outrigger {

class Resolver {
 public:
  // All outlive it.
  Resolver(ProxyContext& context, const WriteRequest& request, StoreReads& reads,
           StoreRefusals& refusals, RunExecutor& executor)
      : context_(context),
        request_(request),
        reads_(reads),
        refusals_(refusals),
        executor_(executor) {}

  // Does the statement, whichever documents that are.
  net::Task<RunResult> write(const Statement& statement);

 private:
  net::Task<RunResult> write_in_transaction(const Statement& statement);
  net::Task<RunResult> insert_as_it_is(const Statement& statement);
  net::Task<RunResult> write_one(const Statement& statement);
  net::Task<RunResult> write_found(const Statement& statement, Found found);
  net::Task<RunResult> write_many(const Statement& statement);
  net::Task<RunResult> write_each(const Statement& statement, const Found& found);
  net::Task<RunResult> write_chunk(const Statement& statement, Found chunk);
  // Whoever calls holds the locks.
  net::Task<RunResult> write_locked(const Statement& statement,
                                    const std::vector<bson::OwnedValue>& ids);
  net::Task<RunResult> insert(const Statement& statement, uint64_t asked);
  net::Task<RunResult> write_alone(const Statement& statement);
  net::Task<RunResult> try_alone(const Statement& statement, size_t attempt);
  // There is no document to write: what the store says to that.
  net::Task<RunResult> end_without(const Statement& statement, Found found);
  [[nodiscard]] RunResult out_of_time() const;

  ProxyContext& context_;
  const WriteRequest& request_;
  StoreReads& reads_;
  StoreRefusals& refusals_;
  RunExecutor& executor_;
};

}  // namespace outrigger
