#include "proxy/app/end_limit.h"

#include <utility>

namespace outrigger {

EndLimit::EndLimit(Threads& threads, std::function<void()> too_late)
    : threads_(threads), too_late_(std::move(too_late)) {}

EndLimit::~EndLimit() {
  {
    const MutexLock lock(mutex_);
    is_over_ = true;
  }
  over_.notify_one();
  thread_.reset();
}

void EndLimit::start(std::chrono::milliseconds limit) {
  if (thread_) return;
  thread_ = threads_.start([this, limit] { wait(limit); });
}

void EndLimit::wait(std::chrono::milliseconds limit) {
  const Threads::TimePoint until = threads_.now() + limit;
  const MutexLock lock(mutex_);
  while (!is_over_ && over_.wait_until(mutex_, until)) continue;
  if (!is_over_) too_late_();
}

}  // namespace outrigger
