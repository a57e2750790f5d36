#include "proxy/net/memory/armed_timers.h"

#include <algorithm>

#include "config/result.h"

namespace outrigger::net {

class ArmedTimers::Handle final : public TimerHandle {
 public:
  Handle(ArmedTimers& all, Timer& timer) : all_(all), timer_(timer) { ++all_.timers_; }

  void arm(int64_t ms) override {
    disarm();
    const uint64_t wait_us = static_cast<uint64_t>(std::max<int64_t>(ms, 0)) * 1000;
    due_ = {all_.now_us_ + wait_us, ++all_.arms_};
    all_.armed_.emplace(due_, this);
    is_armed_ = true;
  }
  void disarm() override {
    if (std::exchange(is_armed_, false)) all_.armed_.erase(due_);
  }
  void release() override {
    disarm();
    --all_.timers_;
    delete this;
  }
  void fire() {
    disarm();
    timer_.fire();  // the timer, and with it this, may be gone afterwards
  }

 private:
  ArmedTimers& all_;
  Timer& timer_;
  Due due_;
  bool is_armed_ = false;
};

ArmedTimers::~ArmedTimers() {
  OUTRIGGER_ASSERT(timers_ == 0 && "a stream, listener or timer outlived its loop");
}

TimerHandle* ArmedTimers::make(Timer& timer) { return new Handle(*this, timer); }

void ArmedTimers::fire_due() {
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

std::optional<uint64_t> ArmedTimers::next_us() const {
  if (armed_.empty()) return std::nullopt;
  return armed_.begin()->first.first;
}

}  // namespace outrigger::net
