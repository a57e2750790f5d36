// An app's connection to its site, with a driver's manners: it dials when it must, numbers its
// writes, and sends a write whose answer it did not get once again under the same number. With a
// standalone it does neither.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "integration/world/world_parts.h"
#include "proxy/mongo/wire/framer.h"
#include "replication/bson/bson.h"

namespace outrigger::world {

class WorldDriver {
 public:
  // `parts` and `network` outlive it.
  // `retries`: it numbers its writes and sends them again, as drivers do with replica sets.
  WorldDriver(WorldParts& parts, net::Network& network, std::string address, bool retries);

  enum class Outcome : uint8_t {
    kDone,     // `reply` says it happened
    kRefused,  // it did not happen
    kUnknown,  // it may have happened, and may still do so
  };
  struct Answer {
    Outcome outcome = Outcome::kUnknown;
    std::string reply;  // what the server said last, if it said anything
    int64_t code = 0;   // of the error in it
  };

  // `command` without lsid, txnNumber and $db.
  net::Task<Answer> write(const std::string& command);
  net::Task<Answer> read(const std::string& command);

 private:
  void close();
  net::Task<Result<std::string>> call(const std::string& body);
  net::Task<Result<std::string>> exchange(const std::string& message);
  net::Task<Answer> attempt(const std::string& body);

  WorldParts& parts_;
  net::Network& network_;
  const std::string address_;
  const bool retries_;
  const std::string lsid_;  // 16 bytes
  std::unique_ptr<net::Stream> stream_;
  wire::Framer framer_;
  int64_t txn_number_ = 0;
  int32_t request_id_ = 0;
};

}  // namespace outrigger::world
