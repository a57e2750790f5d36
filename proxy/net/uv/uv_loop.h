// The loop's driver in life: libuv. Private to proxy/net/uv, which makes its own handles on it.
#pragma once

#include <uv.h>

#include "proxy/net/loop.h"

namespace outrigger::net {

// Ready coroutines run right before the loop would wait (prepare) and right after it waited
// (check), so that a wake-up never costs a system call; `idle` keeps the loop from waiting when
// some are left over.
class UvDriver final : public LoopDriver {
 public:
  UvDriver();
  UvDriver(const UvDriver&) = delete;
  UvDriver& operator=(const UvDriver&) = delete;

  void attach(Loop& loop) override;
  void run() override;
  void run_turn() override;
  void interrupt() override;
  void wake() override;
  void finish() override;
  [[nodiscard]] uint64_t now_us() const override;
  [[nodiscard]] TimerHandle* make_timer(Timer& timer) override;

  [[nodiscard]] uv_loop_t* uv() { return &uv_; }

 private:
  static UvDriver& of(const void* data);
  void run_ready();

  Loop* loop_ = nullptr;
  uv_loop_t uv_{};
  uv_async_t wake_{};
  uv_prepare_t prepare_{};
  uv_check_t check_{};
  uv_idle_t idle_{};
};

// libuv's loop below `loop`, which is on libuv (asserted).
[[nodiscard]] uv_loop_t* uv_loop_of(const Loop& loop);

// Loops and signal watches are made once, when the process starts: without them there is nothing
// to go on with, and nothing of ours that broke. Ends the process unless `status` is 0.
void must_start(const char* step, int status);

}  // namespace outrigger::net
