#include "config/clock.h"

#include <chrono>

namespace outrigger {

int64_t SystemClock::wall_ms() const {
  using std::chrono::milliseconds;
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<milliseconds>(since_epoch).count();
}

int64_t SystemClock::monotonic_us() const {
  using std::chrono::microseconds;
  const auto since_boot = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<microseconds>(since_boot).count();
}

}  // namespace outrigger
