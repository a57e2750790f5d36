// The driver of a loop that runs on a thread of its own in virtual time: where VirtualTime drives
// the first loop, this drives those beside it. The thread is one of VirtualTime's Others, so one
// loop runs at a time, and what each waits for decides when the next has its turn.
#pragma once

#include <memory>
#include <mutex>

#include "config/threads.h"
#include "proxy/net/loop.h"
#include "proxy/net/memory/armed_timers.h"
#include "proxy/net/memory/virtual_time.h"

namespace outrigger::net {

class VirtualThread final : public LoopDriver {
 public:
  // Both outlive this. `threads` live in `time`.
  VirtualThread(const VirtualTime& time, Threads& threads)
      : time_(time), told_(threads.signal()), timers_(time.clock_us()) {}
  VirtualThread(const VirtualThread&) = delete;
  VirtualThread& operator=(const VirtualThread&) = delete;

  void attach(Loop& loop) override { loop_ = &loop; }
  void run() override;  // on the thread
  void run_turn() override;
  void interrupt() override { is_interrupted_ = true; }
  void wake() override;
  void finish() override;
  [[nodiscard]] uint64_t now_us() const override { return time_.now_us(); }
  [[nodiscard]] TimerHandle* make_timer(Timer& timer) override { return timers_.make(timer); }

 private:
  void turn();
  void wait();

  const VirtualTime& time_;
  Loop* loop_ = nullptr;
  std::unique_ptr<Threads::Signal> told_;
  std::mutex mutex_;  // a Signal wants one; whoever runs is alone
  ArmedTimers timers_;
  bool is_interrupted_ = false;
  bool is_woken_ = false;
};

}  // namespace outrigger::net
