// Waiting for the outbox to be on disk, for all writes of one turn of the event loop together.
//
// The problem: mongod's journal releases many clients at once, so their next writes arrive in one
// turn. Were each to ask for a sync by itself, the first would start one that covers nobody else,
// and all others would wait for that and then for theirs. Asking once, at the end of the turn,
// gives them one sync, one wake-up of the commit thread and one way back. Nobody needs it before
// the store has answered either: it may begin as late as that leaves time for.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "config/result.h"
#include "proxy/net/loop.h"

namespace outrigger {

// Of the loop's thread. Whoever was promised an answer must have it before this dies.
class DurableWaits {
 public:
  using Shot = std::shared_ptr<net::OneShot<Status>>;

  // Calls back, on any thread, once everything written before the call is on disk or may not be.
  using WhenDurable =
      std::function<void(std::function<void(const Status&)>, std::chrono::microseconds needed_in)>;

  // `loop` outlives this; `when_durable` is Replica's.
  DurableWaits(net::Loop& loop, WhenDurable when_durable)
      : loop_(loop), when_durable_(std::move(when_durable)) {}

  // Set once everything written before this call is on disk, or with the error that means it may
  // not be. `at_once`: the caller does not wait for the store meanwhile.
  [[nodiscard]] Shot join(bool at_once = false);
  // Nobody waits for what was written before this call, but a power cut should not find it missing
  // after a long command that mongod's journal holds in part.
  void before_long();
  // How long the store took to answer a write.
  void learn(int64_t answer_us);

 private:
  net::Task<void> ask();

  net::Loop& loop_;
  const WhenDurable when_durable_;
  std::vector<Shot> joined_;  // in this turn
  bool at_once_ = false;      // of them, any
  int64_t answer_us_ = 0;     // as of late, nearer to the fast answers
  net::TaskGroup asking_;
};

}  // namespace outrigger
