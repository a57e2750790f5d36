#include "proxy/app/end_limit.h"

namespace outrigger {

EndLimit::EndLimit(std::function<void()> too_late) : too_late_(std::move(too_late)) {}

EndLimit::~EndLimit() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_over_ = true;
  }
  over_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void EndLimit::start(std::chrono::milliseconds limit) {
  if (thread_.joinable()) return;
  thread_ = std::thread([this, limit] {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!over_.wait_for(lock, limit, [this] { return is_over_; })) too_late_();
  });
}

}  // namespace outrigger
