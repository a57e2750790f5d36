// A loop's driver without a kernel: time that jumps.
//
// The problem: a test that lets real time pass is slow, and never runs the same way twice. The
// idea: there is nothing to wait for but timers. While anything is ready, time stands; when nothing
// is, it jumps to the next timer. What is due together fires in the order it was armed. So a run
// is a function of what the program does, and a day of silence costs as long as its timers take.
//   Loop loop(std::make_unique<VirtualTime>());
//
// One thread runs at a time: the loop's, or one of those that live in the same time (Others), which
// run when the loop has nothing ready. A loop on such a thread has a driver of its own
// (virtual_thread.h). When nobody is ready and no timer is armed, nothing can ever
// happen again; the loop was told to run, so that is a hang, and asserted against.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "proxy/net/loop.h"
#include "proxy/net/memory/armed_timers.h"

namespace outrigger::net {

class VirtualTime final : public LoopDriver {
 public:
  // Whoever else lives in this time.
  class Others {
   public:
    // Lets those run who can; false: nobody could.
    virtual bool run_ready() = 0;
    // When the first of them goes on by itself, if one does.
    [[nodiscard]] virtual std::optional<uint64_t> next_us() const = 0;

   protected:
    ~Others() = default;
  };

  VirtualTime() = default;
  VirtualTime(const VirtualTime&) = delete;
  VirtualTime& operator=(const VirtualTime&) = delete;

  void attach(Loop& loop) override { loop_ = &loop; }
  void run() override;
  void run_turn() override;
  void interrupt() override { is_interrupted_ = true; }
  void wake() override { is_woken_ = true; }
  void finish() override;
  [[nodiscard]] uint64_t now_us() const override { return now_us_; }
  [[nodiscard]] TimerHandle* make_timer(Timer& timer) override { return timers_.make(timer); }

  // now_us(), to be read at any time.
  [[nodiscard]] const uint64_t& clock_us() const { return now_us_; }
  // They outlive this, or are taken away (nullptr).
  void share_with(Others* others) { others_ = others; }
  // The loop is kept waiting until then; its timers fire late.
  void advance_to(uint64_t us) { now_us_ = std::max(now_us_, us); }

 private:
  void turn();
  void wait();

  Loop* loop_ = nullptr;
  Others* others_ = nullptr;
  uint64_t now_us_ = 1'000'000;  // not 0: many take that for never
  ArmedTimers timers_{now_us_};
  bool is_interrupted_ = false;
  bool is_woken_ = false;
};

}  // namespace outrigger::net
