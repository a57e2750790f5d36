// dropDatabase, as drops of the database's collections, one after the other (catalog_write.h).
//
// Were mongod's own command sent, a document inserted into a collection made meanwhile would go
// without a record, and stay at the other sites. A database without collections is none, so nothing
// else is left to do. mongod is asked first whether it would have run the command.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/capture/reply.h"
#include "proxy/mongo/backend.h"
#include "proxy/mongo/wire/op_msg.h"
#include "proxy/writes/context.h"

namespace outrigger {

class DatabaseDrop {
 public:
  // All outlive it. `writing` is set while the store's answer must be awaited.
  DatabaseDrop(ProxyContext& context, Backend& backend, bool& writing)
      : context_(context), backend_(backend), writing_(writing) {}

  // `parsed` lives until the task is done.
  net::Task<Answer> run(const wire::OpMsg& parsed);

 private:
  net::Task<std::optional<Answer>> refusal(const wire::OpMsg& parsed);
  net::Task<std::optional<Answer>> drop_all(const wire::OpMsg& parsed,
                                            const std::vector<std::string>& collections);
  net::Task<Result<std::vector<std::string>>> collections(std::string database);

  ProxyContext& context_;
  Backend& backend_;
  bool& writing_;
};

}  // namespace outrigger
