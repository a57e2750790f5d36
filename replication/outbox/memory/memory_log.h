// A log for tests: counts syncs, fails when told to, and can be corked so that a test decides when
// a sync that has begun may end.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "config/thread_annotations.h"
#include "config/threads.h"
#include "replication/outbox/commit_thread.h"

namespace outrigger::outbox {

// Thread-safe.
class MemoryLog final : public LogPort {
 public:
  // What write(2) is to the real one. Returns the number of writes so far.
  size_t write() {
    const MutexLock lock(mutex_);
    return ++written_;
  }

  [[nodiscard]] Status sync() override {
    const MutexLock lock(mutex_);
    const size_t covers = written_;
    ++begun_;
    changed_.notify_all();
    while (corked_) changed_.wait(mutex_);
    if (error_) return tl::unexpected<Error>(*error_);
    durable_ = covers;
    return {};
  }

  // Syncs that begin from now on, or have begun, do not end before uncork().
  void cork() {
    const MutexLock lock(mutex_);
    corked_ = true;
  }
  void uncork() {
    const MutexLock lock(mutex_);
    corked_ = false;
    changed_.notify_all();
  }
  // Every sync fails until heal().
  void break_with(Error error) {
    const MutexLock lock(mutex_);
    error_ = std::move(error);
  }
  void heal() {
    const MutexLock lock(mutex_);
    error_.reset();
  }

  void wait_until_begun(size_t syncs) {
    const MutexLock lock(mutex_);
    while (begun_ < syncs) changed_.wait(mutex_);
  }
  [[nodiscard]] size_t syncs() const {
    const MutexLock lock(mutex_);
    return begun_;
  }
  // Writes on "disk".
  [[nodiscard]] size_t durable() const {
    const MutexLock lock(mutex_);
    return durable_;
  }

 private:
  SystemThreads threads_;
  mutable Mutex mutex_;
  Condition changed_{threads_};
  size_t written_ GUARDED_BY(mutex_) = 0;
  size_t durable_ GUARDED_BY(mutex_) = 0;
  size_t begun_ GUARDED_BY(mutex_) = 0;
  bool corked_ GUARDED_BY(mutex_) = false;
  std::optional<Error> error_ GUARDED_BY(mutex_);
};

}  // namespace outrigger::outbox
