// What mongod says of a statement that we will not run: its own refusal, in its own words.
//
// The problem: an app must not see where the sidecar stops and mongod begins. What is wrong with a
// command, whether the app's user may write, what a retried statement did, what is wrong with a
// filter: only mongod words that right. So it is asked, in forms that write nothing
// (capture/harmless.h, capture/run_plan.h).
#pragma once

#include <optional>
#include <string>

#include "proxy/capture/write_request.h"
#include "proxy/mongo/backend.h"
#include "proxy/writes/context.h"
#include "proxy/writes/run_result.h"

namespace outrigger {

// mongod's, of a filter it was asked for.
struct FilterRefusal {
  int code = 0;
  std::string reason = "the store refused the filter";
};

class StoreRefusals {
 public:
  // All outlive it.
  StoreRefusals(ProxyContext& context, Backend& backend, const wire::OpMsg& parsed,
                CommandKind kind)
      : context_(context), backend_(backend), parsed_(parsed), kind_(kind) {}

  // The command will be refused: by mongod's own refusal where it has one, else by `ours`.
  // `command`: nullptr when it could not be read.
  net::Task<Answer> refuse(wire::WireError ours, const WriteCommand* command);
  // Why mongod would not let the app's user write this; "" when it does not answer; nothing when it
  // would.
  net::Task<std::optional<std::string>> refusal_to_write(const WriteCommand& command);
  // Does mongod refuse the command before it would run any of its statements?
  net::Task<std::optional<Answer>> refusal_of_all();
  struct Explained {
    bool broken = false;                 // mongod did not answer
    std::optional<std::string> refusal;  // its reply; nothing: it would not refuse
  };
  // mongod's refusal of the statement, in words that show the app's own filter.
  net::Task<Explained> explain(const WriteCommand& command, const Statement& statement);

  // A whole command is retried: mongod, which remembers it as we do, answers it again. What only we
  // remember (mongod was killed before it was durable there) is left to be put together.
  net::Task<RunResult> answer_retry(const WriteCommand& command);
  // A retry of a statement that has a record, and whose answer only mongod still knows.
  net::Task<RunResult> repeat(const WriteRequest& request, const Statement& statement);
  // mongod's answer to a statement that can match nothing; `refusal`: because of its filter.
  net::Task<RunResult> probe(const WriteRequest& request, const Statement& statement,
                             std::optional<FilterRefusal> refusal);

 private:
  // Of a command for which mongod knows no guard.
  net::Task<Answer> refuse_unguarded(wire::WireError ours, const WriteCommand& command);
  // Under the app's own number: if it is a retry, mongod answers what it answered before.
  net::Task<Result<std::string>> ask(const Run& run, Transaction* transaction);
  [[nodiscard]] std::string command_of_nothing(const WriteCommand& command);

  ProxyContext& context_;
  Backend& backend_;
  const wire::OpMsg& parsed_;
  const CommandKind kind_;
};

}  // namespace outrigger
