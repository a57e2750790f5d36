#include "proxy/writes/turn_appends.h"

namespace outrigger {

StagedWrites& TurnAppends::staged() {
  if (!turn_ || turn_->staged.bytes() > kAppendBytesMax) {
    turn_ = std::make_shared<Turn>();
    appending_.spawn(append(turn_));
  }
  return turn_->staged;
}

net::Task<void> TurnAppends::append(std::shared_ptr<Turn> turn) {
  co_await loop_.end_of_turn();
  if (turn_ == turn) turn_.reset();
  turn->status = write_(std::move(turn->staged));
  for (const std::coroutine_handle<> waiting : turn->waiting) loop_.resume_soon(waiting);
}

}  // namespace outrigger
