#include "proxy/net/memory/virtual_time.h"

#include <algorithm>

#include "config/result.h"

namespace outrigger::net {

class VirtualTime::Handle final : public TimerHandle {
 public:
  Handle(VirtualTime& time, Timer& timer) : time_(time), timer_(timer) { ++time_.timers_; }

  void arm(int64_t ms) override {
    disarm();
    const uint64_t wait_us = static_cast<uint64_t>(std::max<int64_t>(ms, 0)) * 1000;
    due_ = {time_.now_us_ + wait_us, ++time_.arms_};
    time_.armed_.emplace(due_, this);
    is_armed_ = true;
  }
  void disarm() override {
    if (std::exchange(is_armed_, false)) time_.armed_.erase(due_);
  }
  void release() override {
    disarm();
    --time_.timers_;
    delete this;
  }
  void fire() {
    disarm();
    timer_.fire();  // the timer, and with it this, may be gone afterwards
  }

 private:
  VirtualTime& time_;
  Timer& timer_;
  Due due_;
  bool is_armed_ = false;
};

TimerHandle* VirtualTime::make_timer(Timer& timer) { return new Handle(*this, timer); }

void VirtualTime::run() {
  while (!is_interrupted_) turn();
  is_interrupted_ = false;
}

void VirtualTime::run_turn() {
  turn();
  is_interrupted_ = false;
}

void VirtualTime::turn() {
  fire_due();
  loop_->run_ready();
  const bool others_ran = others_ != nullptr && others_->run_ready();
  if (std::exchange(is_woken_, false)) loop_->run_posted();
  loop_->run_ready();
  if (others_ran) return;
  if (!is_interrupted_ && !loop_->has_ready() && !is_woken_) wait();
}

// Only what was due when the turn began: a timer that arms itself again for now must not keep
// everybody else from running.
void VirtualTime::fire_due() {
  const uint64_t last = arms_;
  for (;;) {
    auto next = armed_.begin();
    while (next != armed_.end() && next->first.first <= now_us_ && next->first.second > last) {
      ++next;
    }
    if (next == armed_.end() || next->first.first > now_us_) return;
    next->second->fire();
  }
}

void VirtualTime::wait() {
  std::optional<uint64_t> next = others_ == nullptr ? std::nullopt : others_->next_us();
  if (!armed_.empty()) next = std::min(next.value_or(UINT64_MAX), armed_.begin()->first.first);
  OUTRIGGER_ASSERT(next && "nothing is left that could ever happen");
  advance_to(*next);
}

void VirtualTime::finish() {
  OUTRIGGER_ASSERT(timers_ == 0 && "a stream, listener or timer outlived its loop");
  while (loop_->has_ready()) loop_->run_ready();
}

}  // namespace outrigger::net
