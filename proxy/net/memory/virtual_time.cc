#include "proxy/net/memory/virtual_time.h"

#include <algorithm>

#include "config/result.h"

namespace outrigger::net {

void VirtualTime::run() {
  while (!is_interrupted_) turn();
  is_interrupted_ = false;
}

void VirtualTime::run_turn() {
  turn();
  is_interrupted_ = false;
}

void VirtualTime::turn() {
  timers_.fire_due();
  loop_->run_ready();
  const bool others_ran = others_ != nullptr && others_->run_ready();
  if (std::exchange(is_woken_, false)) loop_->run_posted();
  loop_->run_ready();
  if (others_ran) return;
  if (!is_interrupted_ && !loop_->has_ready() && !is_woken_) wait();
}

void VirtualTime::wait() {
  std::optional<uint64_t> next = others_ == nullptr ? std::nullopt : others_->next_us();
  if (const auto timer = timers_.next_us()) next = std::min(next.value_or(UINT64_MAX), *timer);
  OUTRIGGER_ASSERT(next && "nothing is left that could ever happen");
  advance_to(*next);
}

void VirtualTime::finish() {
  while (loop_->has_ready()) loop_->run_ready();
}

}  // namespace outrigger::net
