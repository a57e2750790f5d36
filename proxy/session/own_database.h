// The database `outrigger`: what the site knows of itself (`status`, `peers`, `conflicts`), for any
// driver and mongosh.
//
// The problem: people ask with filters, sorts and projections, and whether they may is a matter of
// the app's users; a query engine of our own would be a MongoDB that is nearly one. The idea:
// mongod answers. The command goes to it first as it came: mongod says whether the user may read
// `outrigger` and whether the command is in order, and finds nothing. Then, on the same
// connection, it is asked the same of documents that come with the question (`$documents`, 5.1). Of
// a long collection it is given a page at a time and those that match are gathered.
//
// What changes something there: ledger_choice.h.
#pragma once

#include "proxy/capture/reply.h"
#include "proxy/mongo/backend.h"
#include "proxy/session/own_question.h"
#include "proxy/writes/context.h"

namespace outrigger {

class OwnDatabase {
 public:
  // All outlive it. `writing` is set while the store's answer must be awaited.
  OwnDatabase(ProxyContext& context, Backend& backend, bool& writing)
      : context_(context), backend_(backend), writing_(writing) {}

  // Does the command read a collection of this database, list them, or choose what lost?
  [[nodiscard]] static bool answers(const wire::OpMsg& parsed);
  // The answer to one of which that is so. The message outlives the task. `is_strangers`: as
  // Capture has it.
  net::Task<Answer> run(std::string_view message, const wire::OpMsg& parsed, bool is_strangers);

 private:
  net::Task<Answer> answer(std::string_view message, const wire::OpMsg& parsed);
  net::Task<Answer> ask(const wire::OpMsg& parsed, OwnQuestion question);
  // The end of it: the rest of the question, asked of what was gathered.
  net::Task<Answer> conclude(const wire::OpMsg& parsed, OwnQuestion question,
                             std::vector<std::string> gathered, std::vector<std::string> matches,
                             int64_t counted_before);
  // mongod's reply to the stages over the documents; an error: the connection is gone.
  net::Task<Result<std::string>> put(const wire::OpMsg& parsed, std::vector<std::string> documents,
                                     std::vector<std::string> stages);
  // One that a reply has left open at mongod, if it is not 0.
  net::Task<void> close_cursor(int64_t cursor, std::string collection);

  ProxyContext& context_;
  Backend& backend_;
  bool& writing_;
};

}  // namespace outrigger
