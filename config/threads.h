// Threads behind a port, with everything they wait by: each other, and time.
//
// The problem: a thread that blocks on its own account makes a run that nobody can repeat, and one
// that takes as long as life does. The idea: whoever needs a thread, sleeps or waits for another
// asks for it here. In life that is the system's; in a world made from a seed one thread runs at a
// time, in an order the seed decides, and time passes when all of them wait.
//
// A mutex is no part of it: it is held for a moment and never across a wait. Whoever waits for a
// Condition, sleeps, or calls a store, must hold none but the Condition's own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "config/thread_annotations.h"

namespace outrigger {

class Threads {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // A thread that was started. Its end joins it.
  class Thread {
   public:
    virtual ~Thread() = default;
  };
  // What a Condition is made on: a condition variable.
  class Signal {
   public:
    virtual ~Signal() = default;
    virtual void notify_one() = 0;
    virtual void notify_all() = 0;
    virtual void wait(std::unique_lock<std::mutex>& lock) = 0;
    virtual bool wait_until(std::unique_lock<std::mutex>& lock, TimePoint until) = 0;
  };

  virtual ~Threads() = default;
  [[nodiscard]] virtual std::unique_ptr<Thread> start(std::function<void()> run) = 0;
  [[nodiscard]] virtual std::unique_ptr<Signal> signal() = 0;
  virtual void sleep(std::chrono::microseconds time) = 0;
  // Never goes back.
  [[nodiscard]] virtual TimePoint now() const = 0;
};

// The system's. Thread-safe, without state.
class SystemThreads final : public Threads {
 public:
  [[nodiscard]] std::unique_ptr<Thread> start(std::function<void()> run) override;
  [[nodiscard]] std::unique_ptr<Signal> signal() override;
  void sleep(std::chrono::microseconds time) override;
  [[nodiscard]] TimePoint now() const override;
};

// CPUs that this process may run on, or, in a container with a quota of their time, as many as that
// makes.
[[nodiscard]] uint32_t usable_cores();
// What the line of a cgroup's cpu.max ("200000 100000", microseconds) allows; UINT32_MAX: it says
// no bound.
[[nodiscard]] uint32_t cores_of_quota(const std::string& cpu_max);

// A condition variable for a Mutex.
class Condition {
 public:
  explicit Condition(Threads& threads) : signal_(threads.signal()) {}

  void notify_one() { signal_->notify_one(); }
  void notify_all() { signal_->notify_all(); }
  // May return for no reason.
  void wait(Mutex& mutex) REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    signal_->wait(lock);
    (void)lock.release();
  }
  // The same; false: `until` has come.
  bool wait_until(Mutex& mutex, Threads::TimePoint until) REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    const bool in_time = signal_->wait_until(lock, until);
    (void)lock.release();
    return in_time;
  }

 private:
  std::unique_ptr<Threads::Signal> signal_;
};

}  // namespace outrigger
