// The event loop of one thread, its timers, and the one way into it from other threads (`post`).
// What it waits with is its driver's (loop_driver.h): libuv in life, nothing in virtual time.
//
// A Loop must outlive every Stream, Listener, Timer and SignalWatch made on it. These close their
// handles asynchronously when destroyed, so they may be dropped anywhere on the loop thread, also
// inside their own callback; ~Loop runs the loop until the last handle is gone.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "config/limits.h"
#include "proxy/net/loop_driver.h"
#include "proxy/net/task.h"

namespace outrigger::net {

class Loop final : public Executor {
 public:
  Loop();  // on libuv (uv/uv_loop.cc)
  explicit Loop(std::unique_ptr<LoopDriver> driver);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  // Threads that post must have stopped. Functions posted but never run are dropped.
  ~Loop() override;

  // Runs until stop(). May be called again afterwards.
  void run();
  // Makes run() return after the current turn. Thread-safe; kept when run() has not begun.
  void stop();

  // Runs `function` on the loop thread, in the order posted. Thread-safe, never blocks on the
  // loop; many posts between two turns cost one wake-up.
  void post(std::function<void()> function);

  // Runs the loop until `task` has ended; for tests and for the top of a program. Not from inside
  // the loop.
  template <typename T>
  T block_on(Task<T> task);
  void block_on(Task<void> task);

  // Resumes a coroutine from the top of the loop. Loop thread only.
  void resume_soon(std::coroutine_handle<> waiting) override;

  // `co_await loop.end_of_turn()`: goes on once what the network brought in this turn has run.
  struct EndOfTurn {
    Loop& loop;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) { loop.resume_soon(waiting); }
    void await_resume() const noexcept {}
  };
  [[nodiscard]] EndOfTurn end_of_turn() { return EndOfTurn{*this}; }

  // Before the loop waits it lets others run who are ready: on a busy machine their answers then
  // come many to a turn, which is most of the speed of relayed reads. While kUnyieldingMin of these
  // live it does not: whom it has just woken may sit in the queue of its own CPU while another is
  // idle, and work that passes the loop more than once would stand behind them each time. On the
  // loop's thread.
  static constexpr size_t kUnyieldingMin = 2;
  class Unyielding {
   public:
    explicit Unyielding(Loop& loop) : loop_(loop) { ++loop_.unyielding_; }
    ~Unyielding() { --loop_.unyielding_; }
    Unyielding(const Unyielding&) = delete;
    Unyielding& operator=(const Unyielding&) = delete;

   private:
    Loop& loop_;
  };

  // Microseconds since an arbitrary moment, read now; never goes back.
  [[nodiscard]] uint64_t now_us() const { return driver_->now_us(); }

  // --- for proxy/net ---
  [[nodiscard]] LoopDriver& driver() const { return *driver_; }
  // The driver was woken: runs what was posted so far.
  void run_posted();
  // Resumes coroutines until none is ready, or they have had their share of this turn.
  void run_ready();
  [[nodiscard]] bool has_ready() const { return !ready_.empty(); }
  // Whether others who are ready should run before the loop waits (see Unyielding).
  [[nodiscard]] bool yields() const { return unyielding_ < kUnyieldingMin; }
  // Every stream of this loop reads into this one buffer, which is why an idle one costs nothing.
  static constexpr size_t kReadBufferBytes = limits::kUnreadBytesMax;
  [[nodiscard]] char* read_buffer() const { return read_buffer_.get(); }
  // Whether these bytes lie in the read buffer, that is, will not survive a suspension.
  [[nodiscard]] bool is_borrowed(std::string_view bytes) const;

 private:
  std::unique_ptr<char[]> read_buffer_;
  std::unique_ptr<LoopDriver> driver_;
  std::vector<std::coroutine_handle<>> ready_;
  std::vector<std::coroutine_handle<>> resuming_;  // keeps its capacity between turns
  size_t unyielding_ = 0;

  std::atomic<bool> stop_asked_{false};
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;  // under mutex_
};

// A timer that one coroutine sleeps on, or that calls back; it may be reused any number of times.
//   Timer timer(loop);
//   if (!co_await timer.sleep_ms(500)) co_return;  // cancelled
// Must not be destroyed while a coroutine sleeps on it (asserted); a pending callback is dropped.
class Timer {
 public:
  explicit Timer(Loop& loop);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  class [[nodiscard]] Sleep {
   public:
    Sleep(Timer& timer, int64_t ms) : timer_(timer), ms_(ms) {}
    Sleep(const Sleep&) = delete;
    Sleep& operator=(const Sleep&) = delete;
    bool await_ready() const noexcept { return timer_.is_closed_; }
    void await_suspend(std::coroutine_handle<> waiting);
    bool await_resume() const noexcept { return elapsed_; }

   private:
    friend class Timer;
    Timer& timer_;
    int64_t ms_;
    std::coroutine_handle<> waiting_;
    bool elapsed_ = false;
  };

  // True after `ms` milliseconds, false if cancelled or closed meanwhile (or closed before).
  Sleep sleep_ms(int64_t ms) { return Sleep(*this, ms); }

  // Calls `callback` once after `ms`, instead of whatever callback was pending. No effect when
  // closed. Not while a coroutine sleeps on this timer.
  void start(int64_t ms, std::function<void()> callback);

  // Ends the current sleep (false) or drops the pending callback. Later uses work again.
  void cancel();
  // Like cancel(), and every later sleep returns false at once: for shutting down.
  void close();

  // --- for drivers ---
  void fire();  // its time has come; may destroy the timer

 private:
  Loop& loop_;
  TimerHandle* handle_;
  Sleep* sleeper_ = nullptr;
  std::function<void()> callback_;
  bool is_closed_ = false;
};

namespace detail {
template <typename T>
Task<void> store_result(Task<T> task, std::optional<T>& result) {
  result.emplace(co_await std::move(task));
}
}  // namespace detail

template <typename T>
T Loop::block_on(Task<T> task) {
  std::optional<T> result;
  block_on(detail::store_result(std::move(task), result));
  return std::move(*result);
}

}  // namespace outrigger::net
