// Coroutines for everything that waits on the network, small enough to read in one sitting.
//
// The problem: a session with back-pressure written as callbacks is a state machine nobody can
// follow. The idea: a lazy `Task<T>` that runs on one event loop thread, a `TaskGroup` that owns
// whatever runs in the background, and two bridges from callbacks into coroutines, `OneShot<T>`
// (one value, once) and `Notify` (wake up, any number of times).
//
// Rules for users:
// - A suspended coroutine is never destroyed. To cancel, close the stream or the timer it waits
//   on; the awaiting line returns an error and the coroutine ends by itself.
// - Nothing crosses a task as an exception; one that escapes ends the process.
// - GCC 12: no capturing lambda and no aggregate temporary inside a full expression that has
//   `co_await` (name it, then move it in), and no lambda that is itself a coroutine.
// - Everything here belongs to the loop thread unless it says otherwise.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "config/result.h"

namespace outrigger::net {

// Whoever resumes coroutines "soon": from the top of the event loop, never from inside the call
// that woke them, so that a callback that completes a OneShot is not re-entered. Loop is one.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void resume_soon(std::coroutine_handle<> waiting) = 0;
};

template <typename T>
class Task;

namespace detail {

// A task that ends while it is still being started must not transfer to its awaiter: the awaiter
// has not suspended yet and simply goes on. This is what keeps a loop of a million synchronous
// awaits on a flat stack even where the compiler does not make tail calls (-O0, ASan).
class TaskPromiseBase {
 public:
  std::suspend_always initial_suspend() noexcept { return {}; }
  auto final_suspend() noexcept {
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<>) noexcept {
        return starting ? std::noop_coroutine() : continuation;
      }
      void await_resume() noexcept {}
      bool starting;
      std::coroutine_handle<> continuation;
    };
    return Final{starting_, continuation_};
  }
  [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }

 private:
  template <typename T>
  friend class ::outrigger::net::Task;
  std::coroutine_handle<> continuation_;
  bool started_ = false;
  bool starting_ = false;
};

template <typename T>
class TaskPromise : public TaskPromiseBase {
 public:
  Task<T> get_return_object() noexcept;
  template <typename U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T take() { return std::move(*value_); }

 private:
  std::optional<T> value_;
};

template <>
class TaskPromise<void> : public TaskPromiseBase {
 public:
  Task<void> get_return_object() noexcept;
  void return_void() noexcept {}
  void take() noexcept {}
};

// Runs at once, owns its own frame, reports to nobody. Only for this folder: elsewhere background
// work belongs to a TaskGroup.
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };
};

}  // namespace detail

// A computation that starts when awaited and gives one T. Owns its frame; await it exactly once:
//   Result<int> n = co_await count(stream);
// Dropping a task that never started is fine; dropping one that is suspended is asserted against.
template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;

  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      drop();
      frame_ = std::exchange(other.frame_, {});
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() { drop(); }

  auto operator co_await() && noexcept { return Awaiter(frame_); }

 private:
  friend promise_type;
  using Frame = std::coroutine_handle<promise_type>;

  class Awaiter {
   public:
    explicit Awaiter(Frame frame) noexcept : frame_(frame) {}
    bool await_ready() noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> awaiting) noexcept {
      auto& promise = frame_.promise();
      OUTRIGGER_ASSERT(!promise.started_);
      promise.started_ = true;
      promise.continuation_ = awaiting;
      promise.starting_ = true;
      frame_.resume();
      promise.starting_ = false;
      return !frame_.done();
    }
    T await_resume() { return frame_.promise().take(); }

   private:
    Frame frame_;
  };

  explicit Task(Frame frame) noexcept : frame_(frame) {}
  void drop() noexcept {
    if (!frame_) return;
    OUTRIGGER_ASSERT(!frame_.promise().started_ || frame_.done());
    frame_.destroy();
  }

  Frame frame_;
};

namespace detail {
template <typename T>
Task<T> TaskPromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}
}  // namespace detail

// Owns tasks that run in the background. The only way to start a task without awaiting it. Must
// be empty before it dies (asserted): close what the tasks wait on, then await until_empty().
class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup() { OUTRIGGER_ASSERT(size_ == 0); }

  // Starts the task now, in this call, up to its first suspension. References it was given must
  // outlive it.
  void spawn(Task<void> task) {
    ++size_;
    run(*this, std::move(task));
  }

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  // `co_await group.until_empty()`: ready when no task is left; one waiter at a time. The waiter
  // may destroy the group.
  auto until_empty() noexcept { return EmptyAwaiter(*this); }

 private:
  class EmptyAwaiter {
   public:
    explicit EmptyAwaiter(TaskGroup& group) noexcept : group_(group) {}
    bool await_ready() const noexcept { return group_.size_ == 0; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept {
      OUTRIGGER_ASSERT(!group_.waiting_);
      group_.waiting_ = waiting;
    }
    void await_resume() const noexcept {}

   private:
    TaskGroup& group_;
  };

  // The frame destroys itself before it reports, so that everything a task held is gone when the
  // group says it is empty.
  struct Owned {
    struct promise_type {
      promise_type(TaskGroup& owner, Task<void>&) noexcept : group(owner) {}
      Owned get_return_object() noexcept { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      auto final_suspend() noexcept {
        struct Final {
          bool await_ready() noexcept { return false; }
          std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
            TaskGroup& owner = self.promise().group;
            self.destroy();
            return owner.finished();
          }
          void await_resume() noexcept {}
        };
        return Final{};
      }
      void return_void() noexcept {}
      [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
      TaskGroup& group;
    };
  };

  static Owned run(TaskGroup&, Task<void> task) { co_await std::move(task); }

  std::coroutine_handle<> finished() noexcept {
    --size_;
    if (size_ > 0 || !waiting_) return std::noop_coroutine();
    return std::exchange(waiting_, {});
  }

  size_t size_ = 0;
  std::coroutine_handle<> waiting_;
};

// One value, delivered once by a callback on the loop thread, awaited by one coroutine:
//   OneShot<Status> durable(loop);
//   log.append(op, [&](Status s) { loop.post([&, s] { durable.set(s); }); });  // other thread
//   Status s = co_await durable.wait();
// The first set() wins, so a Timer's callback may race it as a timeout. The callback must not
// outlive the OneShot: where it may (a timeout won), hold it by shared_ptr on both sides.
template <typename T>
class OneShot {
 public:
  explicit OneShot(Executor& executor) : executor_(executor) {}
  OneShot(const OneShot&) = delete;
  OneShot& operator=(const OneShot&) = delete;

  // False when a value was already there; that one stays. The waiter runs soon, not in this call.
  bool set(T value = T{}) {
    if (set_) return false;
    set_ = true;
    value_.emplace(std::move(value));
    if (waiting_) executor_.resume_soon(std::exchange(waiting_, {}));
    return true;
  }
  [[nodiscard]] bool is_set() const { return set_; }

  // Await at most once: the value is moved out.
  auto wait() noexcept { return Awaiter(*this); }

 private:
  class Awaiter {
   public:
    explicit Awaiter(OneShot& shot) noexcept : shot_(shot) {}
    bool await_ready() const noexcept { return shot_.set_; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept {
      OUTRIGGER_ASSERT(!shot_.waiting_);
      shot_.waiting_ = waiting;
    }
    T await_resume() {
      OUTRIGGER_ASSERT(shot_.value_.has_value());
      T value = std::move(*shot_.value_);
      shot_.value_.reset();
      return value;
    }

   private:
    OneShot& shot_;
  };

  Executor& executor_;
  std::optional<T> value_;
  std::coroutine_handle<> waiting_;
  bool set_ = false;
};

// A OneShot without a value: `event.set()`, `co_await event.wait()`.
using Event = OneShot<std::monostate>;

// A coalescing wake-up for one waiter: any number of set() before a wait() give one wake-up.
//   for (;;) { co_await work.wait(); drain(queue); }
// To wait with a limit, let a Timer set it too: timer.start(ms, [&] { work.set(); }).
class Notify {
 public:
  explicit Notify(Executor& executor) : executor_(executor) {}
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;

  // The waiter runs soon, not in this call.
  void set() {
    set_ = true;
    if (waiting_) executor_.resume_soon(std::exchange(waiting_, {}));
  }
  auto wait() noexcept { return Awaiter(*this); }

 private:
  class Awaiter {
   public:
    explicit Awaiter(Notify& notify) noexcept : notify_(notify) {}
    bool await_ready() const noexcept { return notify_.set_; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept {
      OUTRIGGER_ASSERT(!notify_.waiting_);
      notify_.waiting_ = waiting;
    }
    void await_resume() const noexcept { notify_.set_ = false; }

   private:
    Notify& notify_;
  };

  Executor& executor_;
  std::coroutine_handle<> waiting_;
  bool set_ = false;
};

}  // namespace outrigger::net
