// Threads that live in virtual time: one runs at a time, and which one is no chance.
//
// The problem: the applier, the commit thread and the store workers block, as code does that is
// easy to read; a world made from a seed needs them to run in one order, and to wait in a time that
// jumps. The idea: each is a stack of its own on the loop's thread (ucontext). It gives the turn
// back where it would block (a Condition, a sleep, its end); the loop hands it on when it has
// nothing to do itself. Who waits longest goes first.
//
// The loop's own stack may wait, too (it joins threads as it shuts down): meanwhile the others go
// on and time passes, but nothing on the loop runs, as in life.
#pragma once

#include <ucontext.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "config/threads.h"
#include "proxy/net/memory/virtual_time.h"

namespace outrigger::world {

class WorldThreads final : public Threads, public net::VirtualTime::Others {
 public:
  // Of the thread that runs the loop. `time` outlives this.
  explicit WorldThreads(net::VirtualTime& time);
  // All threads have ended.
  ~WorldThreads();
  WorldThreads(const WorldThreads&) = delete;
  WorldThreads& operator=(const WorldThreads&) = delete;

  [[nodiscard]] std::unique_ptr<Thread> start(std::function<void()> run) override;
  [[nodiscard]] std::unique_ptr<Signal> signal() override;
  void sleep(std::chrono::microseconds time) override;
  [[nodiscard]] TimePoint now() const override;

  bool run_ready() override;
  [[nodiscard]] std::optional<uint64_t> next_us() const override;

 private:
  class Actor;
  class WorldSignal;
  using Due = std::pair<uint64_t, uint64_t>;  // when, and after how many others began to wait

  // What AddressSanitizer must be told of the stack that is left.
  struct Left {
    void* fake_stack = nullptr;
    const void* bottom = nullptr;
    size_t bytes = 0;
  };

  // Gives the turn away until wake(); at `until_us` it comes back by itself.
  void park(std::optional<uint64_t> until_us);
  void wake(Actor& actor);
  void give_turn(Actor& actor);
  void give_back(Actor& actor, bool for_good);
  // Of the loop's stack, which has nothing else to do until `is_over`.
  void let_pass(const std::function<bool()>& is_over, std::optional<uint64_t> until_us);
  [[nodiscard]] uint64_t us_of(TimePoint time) const;

  net::VirtualTime& time_;
  ucontext_t loop_{};
  Left loop_left_;
  Actor* running_ = nullptr;  // none: the loop's stack
  std::deque<Actor*> ready_;
  std::map<Due, Actor*> sleeping_;
  uint64_t waits_ = 0;
  size_t alive_ = 0;
};

}  // namespace outrigger::world
