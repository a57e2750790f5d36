// Time behind a port, so that everything that waits, expires or stamps can be tested by turning
// a clock by hand.
#pragma once

#include <atomic>
#include <cstdint>

namespace outrigger {

class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since the Unix epoch; may jump in either direction.
  [[nodiscard]] virtual int64_t wall_ms() const = 0;
  // Microseconds since an arbitrary moment; never goes back.
  [[nodiscard]] virtual int64_t monotonic_us() const = 0;
};

// The machine's clocks. Thread-safe.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] int64_t wall_ms() const override;
  [[nodiscard]] int64_t monotonic_us() const override;
};

// A clock that moves only when told to. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t wall_ms = 1'700'000'000'000) : wall_ms_(wall_ms) {}
  [[nodiscard]] int64_t wall_ms() const override { return wall_ms_.load(); }
  [[nodiscard]] int64_t monotonic_us() const override { return monotonic_us_.load(); }
  void advance_ms(int64_t ms) {
    wall_ms_ += ms;
    monotonic_us_ += ms * 1000;
  }
  void set_wall_ms(int64_t ms) { wall_ms_ = ms; }

 private:
  std::atomic<int64_t> wall_ms_;
  std::atomic<int64_t> monotonic_us_{0};
};

}  // namespace outrigger
