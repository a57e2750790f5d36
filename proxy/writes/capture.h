// The write path: the app's message has been told to be a write; here it becomes an answer, step by
// step, and each step gives the next a value.
//
//   Statement   what the command asks for, one by one       capture/statement.h
//   Resolver    which documents that is                     resolver.h, capture/run_plan.h
//   Run         statements that go to the store together    capture/run.h
//   RunExecutor lock, begin, send, settle                   run_executor.h, run_settler.h
//   RunResult   what became of it                           run_result.h
//   Answer      all of them, as the app expects it          capture/reply.h
//
// A statement that names its document needs no resolver. What holds for the whole command is a
// WriteRequest (capture/write_request.h), which everybody is shown and nobody changes.
#pragma once

#include <optional>
#include <string_view>

#include "proxy/capture/reply.h"
#include "proxy/capture/run_plan.h"
#include "proxy/capture/write_request.h"
#include "proxy/mongo/backend.h"
#include "proxy/writes/context.h"
#include "proxy/writes/resolver.h"

namespace outrigger {

class Capture {
 public:
  // All outlive the capture. `transaction`: that the command is a part of, if it is; then what it
  // does is kept there, and any error in the answer means that the transaction has to end.
  Capture(ProxyContext& context, Backend& backend, Transaction* transaction = nullptr)
      : context_(context), backend_(backend), transaction_(transaction) {}

  // What the command deletes has expired (proxy/expiry): its record says so. Before run().
  void mark_expiry() { expires_ = true; }
  // What the command replaces is a version where apps count them, whatever it changes.
  void mark_choice() { chooses_ = true; }

  // `message` is the whole OP_MSG and `parsed` its view; both live until the task is done. Of a
  // stranger's command mongod is asked first: nothing is planned or locked for it before.
  net::Task<Answer> run(std::string_view message, const wire::OpMsg& parsed, CommandKind kind,
                        bool is_strangers);

 private:
  // What is known of the collection; or why it is not written to.
  struct Known {
    WriteRequest::Collection collection;
    std::optional<Answer> refused;
  };
  net::Task<std::optional<Answer>> refuse(const WriteCommand& command, StoreRefusals& refusals,
                                          bool is_strangers);
  net::Task<Known> know_collection(const WriteCommand& command, StoreRefusals& refusals);
  // `attempts` outlives what is held. Nothing where it is empty, or the time was up.
  net::Task<HeldLocks> wait_for_attempts(const WriteRequest& request, LockRequest& attempts);
  net::Task<Answer> write_all(WriteRequest& request, StoreRefusals& refusals);
  // `planned`: the run of all statements, where one can hold them. `all`: what is answered already.
  net::Task<Answer> write_statements(WriteRequest& request, StoreRefusals& refusals,
                                     std::optional<Run> planned, RunResult all);
  // What is answered once `durable` is so.
  net::Task<Answer> once_durable(DurableWaits::Shot durable, RunResult all);
  [[nodiscard]] IsRemembered is_remembered(const WriteRequest& request) const;
  [[nodiscard]] Run gather(const WriteRequest& request, size_t first) const;

  ProxyContext& context_;
  Backend& backend_;
  Transaction* const transaction_;
  bool expires_ = false;
  bool chooses_ = false;
};

}  // namespace outrigger
