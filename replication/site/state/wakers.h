// Who is called when something moved: links, when there is more to tell peers, and the applier,
// when there is more to do for it.
//
// They are called under the lock of the list, so that nobody is called who has just been taken off
// it. A waker may call the replica, and so wake again.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "config/thread_annotations.h"

namespace outrigger {

// Thread-safe.
class Wakers {
 public:
  void on_progress(std::function<void()> wake) {
    const RecursiveMutexLock lock(mutex_);
    progress_.push_back(std::move(wake));
  }
  // One only; nothing: nobody any more.
  void on_work(std::function<void()> wake) {
    const RecursiveMutexLock lock(mutex_);
    work_ = std::move(wake);
  }
  void no_more_progress() {
    const RecursiveMutexLock lock(mutex_);
    progress_.clear();
  }

  // A vector moved, a record was published, a report changed.
  void wake_for_progress() {
    const RecursiveMutexLock lock(mutex_);
    for (const auto& wake : progress_) wake();
  }
  // The inbox has something new, or something set aside is to be tried again.
  void wake_for_work() {
    const RecursiveMutexLock lock(mutex_);
    if (work_) work_();
  }

 private:
  RecursiveMutex mutex_;
  std::vector<std::function<void()>> progress_ GUARDED_BY(mutex_);
  std::function<void()> work_ GUARDED_BY(mutex_);
};

}  // namespace outrigger
