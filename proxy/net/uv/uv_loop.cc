#include "proxy/net/uv/uv_loop.h"

#include <sched.h>

#include <cstdio>
#include <cstdlib>

#include "config/result.h"

namespace outrigger::net {

namespace {

template <typename Handle>
uv_handle_t* any(Handle* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}

// Freed in its close callback.
class UvTimer final : public TimerHandle {
 public:
  UvTimer(uv_loop_t* loop, Timer& timer) : timer_(timer) {
    uv_timer_init(loop, &uv_);
    uv_.data = this;
  }

  void arm(int64_t ms) override {
    // The loop's idea of now is as old as the turn; a limit must not expire early because of that.
    uv_update_time(uv_.loop);
    const auto on_time = [](uv_timer_t* uv) { static_cast<UvTimer*>(uv->data)->timer_.fire(); };
    uv_timer_start(&uv_, on_time, ms > 0 ? static_cast<uint64_t>(ms) : 0, 0);
  }
  void disarm() override { uv_timer_stop(&uv_); }
  void release() override {
    uv_close(any(&uv_), [](uv_handle_t* handle) { delete static_cast<UvTimer*>(handle->data); });
  }

 private:
  uv_timer_t uv_;
  Timer& timer_;
};

}  // namespace

void must_start(const char* step, int status) {
  if (status == 0) return;
  std::fprintf(stderr, "outrigger cannot start: %s: %s\n", step, uv_strerror(status));
  std::_Exit(1);
}

Loop::Loop() : Loop(std::make_unique<UvDriver>()) {}

uv_loop_t* uv_loop_of(const Loop& loop) {
  auto* driver = dynamic_cast<UvDriver*>(&loop.driver());
  OUTRIGGER_ASSERT(driver != nullptr && "sockets need a loop on libuv");
  return driver->uv();
}

UvDriver& UvDriver::of(const void* data) {
  return *static_cast<UvDriver*>(const_cast<void*>(data));
}

UvDriver::UvDriver() { must_start("make an event loop", uv_loop_init(&uv_)); }

void UvDriver::attach(Loop& loop) {
  loop_ = &loop;
  const auto on_wake = [](uv_async_t* wake) { of(wake->data).loop_->run_posted(); };
  must_start("make an event loop", uv_async_init(&uv_, &wake_, on_wake));
  uv_prepare_init(&uv_, &prepare_);
  uv_check_init(&uv_, &check_);
  uv_idle_init(&uv_, &idle_);
  wake_.data = prepare_.data = check_.data = idle_.data = this;
  uv_prepare_start(&prepare_, [](uv_prepare_t* prepare) {
    UvDriver& driver = of(prepare->data);
    driver.run_ready();
    if (driver.loop_->yields()) sched_yield();  // on an idle machine it returns at once
  });
  uv_check_start(&check_, [](uv_check_t* check) { of(check->data).run_ready(); });
}

void UvDriver::run_ready() {
  loop_->run_ready();
  const bool is_active = uv_is_active(any(&idle_)) != 0;
  const bool is_needed = loop_->has_ready();
  if (is_needed && !is_active) uv_idle_start(&idle_, [](uv_idle_t*) {});
  if (!is_needed && is_active) uv_idle_stop(&idle_);
}

void UvDriver::run() { uv_run(&uv_, UV_RUN_DEFAULT); }
void UvDriver::run_turn() { uv_run(&uv_, UV_RUN_ONCE); }
void UvDriver::interrupt() { uv_stop(&uv_); }
void UvDriver::wake() { uv_async_send(&wake_); }
uint64_t UvDriver::now_us() const { return uv_hrtime() / 1000; }
TimerHandle* UvDriver::make_timer(Timer& timer) { return new UvTimer(&uv_, timer); }

void UvDriver::finish() {
  for (uv_handle_t* handle : {any(&wake_), any(&prepare_), any(&check_), any(&idle_)}) {
    uv_close(handle, nullptr);
  }
  const auto check_closing = [](uv_handle_t* handle, void*) {
    OUTRIGGER_ASSERT(uv_is_closing(handle) && "a stream, listener or timer outlived its loop");
  };
  uv_walk(&uv_, check_closing, nullptr);
  while (uv_run(&uv_, UV_RUN_ONCE) != 0 || loop_->has_ready()) loop_->run_ready();
  OUTRIGGER_ASSERT(uv_loop_close(&uv_) == 0);
}

}  // namespace outrigger::net
