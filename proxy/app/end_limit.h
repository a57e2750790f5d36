// A bound on how long an orderly end may take.
//
// The problem: threads wait for the store, and a mongod that is frozen answers nobody and closes
// nothing. The idea: whatever is acknowledged is on disk before it is, and the next start settles
// what was under way, as after a crash. So nothing is lost when the process just ends.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "config/threads.h"

namespace outrigger {

class EndLimit {
 public:
  // `too_late` runs on a thread of its own if the limit passes while this lives; it should not
  // return.
  EndLimit(Threads& threads, std::function<void()> too_late);
  ~EndLimit();
  EndLimit(const EndLimit&) = delete;
  EndLimit& operator=(const EndLimit&) = delete;

  // The end has begun. Later calls change nothing.
  void start(std::chrono::milliseconds limit);

 private:
  void wait(std::chrono::milliseconds limit);

  Threads& threads_;
  const std::function<void()> too_late_;
  Mutex mutex_;
  Condition over_{threads_};
  bool is_over_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<Threads::Thread> thread_;
};

}  // namespace outrigger
