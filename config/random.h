// Random bytes behind a port, so that a world made from a seed makes the same ones again: the names
// of runs and sessions, jitter, _ids given to documents without one.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <span>

#include "config/thread_annotations.h"

namespace outrigger {

using Uuid = std::array<uint8_t, 16>;

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<uint8_t> bytes) = 0;

  [[nodiscard]] uint64_t number();
  // Of version 4 (RFC 9562, section 5.4).
  [[nodiscard]] Uuid uuid();
};

// The system's. Thread-safe.
class SystemRandom final : public Random {
 public:
  void fill(std::span<uint8_t> bytes) override;
};

// The same for the same seed. Thread-safe.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : source_(seed) {}
  void fill(std::span<uint8_t> bytes) override;

 private:
  Mutex mutex_;
  std::mt19937_64 source_ GUARDED_BY(mutex_);
};

}  // namespace outrigger
