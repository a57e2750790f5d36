// A log for tests: counts syncs, fails when told to, and can be corked so that a test decides when
// a sync that has begun may end.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>

#include "replication/outbox/commit_thread.h"

namespace outrigger::outbox {

// Thread-safe.
class MemoryLog final : public LogPort {
 public:
  // What write(2) is to the real one. Returns the number of writes so far.
  size_t write() {
    std::lock_guard lock(mutex_);
    return ++written_;
  }

  [[nodiscard]] Status sync() override {
    std::unique_lock lock(mutex_);
    const size_t covers = written_;
    ++begun_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !corked_; });
    if (error_) return tl::unexpected<Error>(*error_);
    durable_ = covers;
    return {};
  }

  // Syncs that begin from now on, or have begun, do not end before uncork().
  void cork() {
    std::lock_guard lock(mutex_);
    corked_ = true;
  }
  void uncork() {
    std::lock_guard lock(mutex_);
    corked_ = false;
    changed_.notify_all();
  }
  // Every sync fails until heal().
  void break_with(Error error) {
    std::lock_guard lock(mutex_);
    error_ = std::move(error);
  }
  void heal() {
    std::lock_guard lock(mutex_);
    error_.reset();
  }

  void wait_until_begun(size_t syncs) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return begun_ >= syncs; });
  }
  [[nodiscard]] size_t syncs() const {
    std::lock_guard lock(mutex_);
    return begun_;
  }
  // Writes on "disk".
  [[nodiscard]] size_t durable() const {
    std::lock_guard lock(mutex_);
    return durable_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  size_t written_ = 0;
  size_t durable_ = 0;
  size_t begun_ = 0;
  bool corked_ = false;
  std::optional<Error> error_;
};

}  // namespace outrigger::outbox
