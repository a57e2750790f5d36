// A MemoryMongod on a network: reads messages, has them run, answers; as long as its process lives.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "integration/memory_mongod/memory_mongod.h"
#include "proxy/net/network.h"

namespace outrigger::world {

class MemoryMongodServer {
 public:
  // Listens on `address`. A command that waits for the journal waits `journal_ms`, and what was
  // written meanwhile is journaled with it. `mongod` outlives the server.
  [[nodiscard]] static Result<std::unique_ptr<MemoryMongodServer>> listen(
      net::Loop& loop, net::Network& network, MemoryMongod& mongod, const std::string& address,
      int64_t journal_ms);

  // Answers nobody any more and waits until all have been left.
  [[nodiscard]] net::Task<void> stop();
  [[nodiscard]] size_t connections() const { return streams_.size(); }

 private:
  MemoryMongodServer(net::Loop& loop, MemoryMongod& mongod, int64_t journal_ms)
      : loop_(loop), mongod_(mongod), journal_ms_(journal_ms) {}
  net::Task<void> serve(std::unique_ptr<net::Stream> stream);
  net::Task<bool> answer(net::Stream& stream, std::string message);

  net::Loop& loop_;
  MemoryMongod& mongod_;
  const int64_t journal_ms_;
  std::unique_ptr<net::Listener> listener_;
  std::list<net::Stream*> streams_;  // oldest first
  int32_t request_id_ = 0;
  bool is_stopped_ = false;
  net::TaskGroup tasks_;
};

}  // namespace outrigger::world
