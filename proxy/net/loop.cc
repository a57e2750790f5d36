#include "proxy/net/loop.h"

#include <sched.h>
#include <uv.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "config/result.h"

namespace outrigger::net {

namespace {

// Ready coroutines that wake each other run this many rounds before sockets are looked at again.
constexpr int kReadyRoundsMax = 16;

template <typename Handle>
uv_handle_t* any(Handle* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}

// The last thing a task does may happen right before the loop waits; this keeps it from waiting.
Task<void> then_stop(Task<void> task, uv_loop_t* loop) {
  co_await std::move(task);
  uv_stop(loop);
}

Loop& loop_of(const void* data) { return *static_cast<Loop*>(const_cast<void*>(data)); }

// Loops and signal watches are made once, when the process starts: without them there is nothing
// to go on with, and nothing of ours that broke.
void must_start(const char* step, int status) {
  if (status == 0) return;
  std::fprintf(stderr, "outrigger cannot start: %s: %s\n", step, uv_strerror(status));
  std::_Exit(1);
}

}  // namespace

void ignore_sigpipe() { std::signal(SIGPIPE, SIG_IGN); }

// Ready coroutines run right before the loop would wait (prepare) and right after it waited
// (check), so that a wake-up never costs a system call; `idle` keeps the loop from waiting when
// some are left over.
struct Loop::Handles {
  uv_loop_t loop;
  uv_async_t wake;
  uv_prepare_t prepare;
  uv_check_t check;
  uv_idle_t idle;
};

Loop::Loop() : read_buffer_(new char[kReadBufferBytes]), handles_(new Handles) {
  auto& h = *handles_;
  must_start("make an event loop", uv_loop_init(&h.loop));
  must_start("make an event loop", uv_async_init(&h.loop, &h.wake, [](uv_async_t* wake) {
               Loop& loop = loop_of(wake->data);
               if (loop.stop_asked_) uv_stop(loop.uv());
               loop.run_posted();
             }));
  uv_prepare_init(&h.loop, &h.prepare);
  uv_check_init(&h.loop, &h.check);
  uv_idle_init(&h.loop, &h.idle);
  h.wake.data = h.prepare.data = h.check.data = h.idle.data = this;
  uv_prepare_start(&h.prepare, [](uv_prepare_t* p) {
    Loop& loop = loop_of(p->data);
    loop.run_ready();
    if (loop.unyielding_ < kUnyieldingMin) sched_yield();  // on an idle machine it returns at once
  });
  uv_check_start(&h.check, [](uv_check_t* c) { loop_of(c->data).run_ready(); });
}

Loop::~Loop() {
  auto& h = *handles_;
  run_ready();
  for (uv_handle_t* handle : {any(&h.wake), any(&h.prepare), any(&h.check), any(&h.idle)}) {
    uv_close(handle, nullptr);
  }
  const auto check_closing = [](uv_handle_t* handle, void*) {
    OUTRIGGER_ASSERT(uv_is_closing(handle) && "a stream, listener or timer outlived its loop");
  };
  uv_walk(&h.loop, check_closing, nullptr);
  while (uv_run(&h.loop, UV_RUN_ONCE) != 0 || !ready_.empty()) {
    for (auto waiting : std::exchange(ready_, {})) waiting.resume();
  }
  OUTRIGGER_ASSERT(uv_loop_close(&h.loop) == 0);
}

void Loop::run() {
  while (!stop_asked_) uv_run(uv(), UV_RUN_DEFAULT);
  stop_asked_ = false;
}

void Loop::stop() {
  stop_asked_ = true;
  uv_async_send(&handles_->wake);
}

void Loop::post(std::function<void()> function) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(function));
  }
  if (first) uv_async_send(&handles_->wake);
}

void Loop::run_posted() {
  std::vector<std::function<void()>> batch;
  {
    const std::lock_guard lock(mutex_);
    batch.swap(posted_);
  }
  for (auto& function : batch) function();
}

void Loop::block_on(Task<void> task) {
  TaskGroup group;
  group.spawn(then_stop(std::move(task), uv()));
  while (!group.empty()) uv_run(uv(), UV_RUN_ONCE);
}

void Loop::resume_soon(std::coroutine_handle<> waiting) { ready_.push_back(waiting); }

void Loop::run_ready() {
  for (int round = 0; !ready_.empty() && round < kReadyRoundsMax; ++round) {
    resuming_.swap(ready_);
    for (auto waiting : resuming_) waiting.resume();
    resuming_.clear();
  }
  auto& idle = handles_->idle;
  const bool is_active = uv_is_active(any(&idle)) != 0;
  if (!ready_.empty() && !is_active) uv_idle_start(&idle, [](uv_idle_t*) {});
  if (ready_.empty() && is_active) uv_idle_stop(&idle);
}

uint64_t Loop::now_us() const { return uv_hrtime() / 1000; }

uv_loop_s* Loop::uv() const { return &handles_->loop; }

bool Loop::is_borrowed(std::string_view bytes) const {
  const std::less<const char*> before;
  const char* begin = read_buffer_.get();
  return !before(bytes.data(), begin) && before(bytes.data(), begin + kReadBufferBytes);
}

struct Timer::Handle {
  uv_timer_t uv;
  Sleep* sleeper = nullptr;
  std::function<void()> callback;
  bool closed = false;
};

Timer::Timer(Loop& loop) : loop_(loop), handle_(new Handle) {
  uv_timer_init(loop.uv(), &handle_->uv);
  handle_->uv.data = handle_;
}

Timer::~Timer() {
  OUTRIGGER_ASSERT(handle_->sleeper == nullptr);
  uv_close(any(&handle_->uv),
           [](uv_handle_t* handle) { delete static_cast<Handle*>(handle->data); });
}

void Timer::arm(int64_t ms) {
  // The loop's idea of now is as old as the turn; a limit must not expire early because of that.
  uv_update_time(loop_.uv());
  const auto on_time = [](uv_timer_t* uv) {
    auto& handle = *static_cast<Handle*>(uv->data);
    if (handle.sleeper != nullptr) {
      Sleep* sleeper = std::exchange(handle.sleeper, nullptr);
      sleeper->elapsed_ = true;
      sleeper->waiting_.resume();
    } else if (auto callback = std::exchange(handle.callback, nullptr)) {
      callback();
    }
  };
  uv_timer_start(&handle_->uv, on_time, ms > 0 ? static_cast<uint64_t>(ms) : 0, 0);
}

bool Timer::Sleep::await_ready() const noexcept { return timer_.handle_->closed; }

void Timer::Sleep::await_suspend(std::coroutine_handle<> waiting) {
  OUTRIGGER_ASSERT(timer_.handle_->sleeper == nullptr && !timer_.handle_->callback);
  waiting_ = waiting;
  timer_.handle_->sleeper = this;
  timer_.arm(ms_);
}

void Timer::start(int64_t ms, std::function<void()> callback) {
  OUTRIGGER_ASSERT(handle_->sleeper == nullptr);
  if (handle_->closed) return;
  handle_->callback = std::move(callback);
  arm(ms);
}

void Timer::cancel() {
  uv_timer_stop(&handle_->uv);
  handle_->callback = nullptr;
  if (handle_->sleeper == nullptr) return;
  loop_.resume_soon(std::exchange(handle_->sleeper, nullptr)->waiting_);
}

void Timer::close() {
  handle_->closed = true;
  cancel();
}

struct SignalWatch::Handle {
  uv_signal_t uv;
  std::shared_ptr<std::function<void(int)>> callback;
};

SignalWatch::SignalWatch(Loop& loop, std::initializer_list<int> signals,
                         std::function<void(int)> callback)
    : callback_(std::make_shared<std::function<void(int)>>(std::move(callback))) {
  for (const int signal : signals) {
    auto* handle = new Handle{{}, callback_};
    uv_signal_init(loop.uv(), &handle->uv);
    handle->uv.data = handle;
    const auto on_signal = [](uv_signal_t* uv, int number) {
      const auto function = static_cast<Handle*>(uv->data)->callback;  // outlives a self-destroy
      (*function)(number);
    };
    must_start("watch a signal", uv_signal_start(&handle->uv, on_signal, signal));
    handles_.push_back(handle);
  }
}

SignalWatch::~SignalWatch() {
  for (Handle* handle : handles_) {
    uv_close(any(&handle->uv), [](uv_handle_t* uv) { delete static_cast<Handle*>(uv->data); });
  }
}

}  // namespace outrigger::net
