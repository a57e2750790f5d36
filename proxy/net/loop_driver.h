// What an event loop is made on: something that waits, tells the time and wakes timers. Private to
// proxy/net: everybody else sees Loop and Timer (loop.h).
//
// The problem: in life a loop waits in the kernel for sockets and for time to pass; a world made
// from a seed must not wait at all, and everything in it must happen in one order. The idea: what
// makes coroutines run (posts, wake-ups, who is next) is Loop's and the same for both; a driver
// only calls it at the right moments. libuv (uv/uv_loop.h) is the one in life, time that jumps
// (memory/virtual_time.h) the other. A turn costs the same number of calls either way: the driver
// is asked once a wait, a timer or a wake-up, never for a coroutine or for bytes.
//
// What a driver does in a turn, in this order: calls Loop::run_posted() when it was woken,
// Loop::run_ready() before it waits and after it waited, Timer::fire() for timers that are due.
#pragma once

#include <cstdint>

namespace outrigger::net {

class Loop;
class Timer;

// The driver's half of one Timer.
class TimerHandle {
 public:
  // Timer::fire() is called once, from the top of the loop, `ms` after this call or later; what was
  // armed before is forgotten.
  virtual void arm(int64_t ms) = 0;
  virtual void disarm() = 0;
  // The timer is gone: frees the handle, now or when nobody needs it any more.
  virtual void release() = 0;

 protected:
  ~TimerHandle() = default;
};

class LoopDriver {
 public:
  virtual ~LoopDriver() = default;

  // Once, before everything else. The loop outlives the driver's other calls.
  virtual void attach(Loop& loop) = 0;
  // Turns until interrupt().
  virtual void run() = 0;
  // One turn; waits while there is nothing to do.
  virtual void run_turn() = 0;
  // On the loop's thread: the turn under way does not wait, and run() returns after it.
  virtual void interrupt() = 0;
  // Any thread: functions were posted, or the loop was asked to stop.
  virtual void wake() = 0;
  // Lets end what was made on the loop and is closing, and asserts that nothing else is left.
  virtual void finish() = 0;
  // Microseconds since an arbitrary moment; never goes back. Any thread.
  [[nodiscard]] virtual uint64_t now_us() const = 0;
  [[nodiscard]] virtual TimerHandle* make_timer(Timer& timer) = 0;
};

}  // namespace outrigger::net
