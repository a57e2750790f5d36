#include "config/random.h"

#include <sys/random.h>

#include <algorithm>

#include "config/result.h"

namespace outrigger {

uint64_t Random::number() {
  std::array<uint8_t, 8> bytes{};
  fill(bytes);
  uint64_t out = 0;
  for (const uint8_t byte : bytes) out = out << 8 | byte;
  return out;
}

Uuid Random::uuid() {
  Uuid out{};
  fill(out);
  out[6] = static_cast<uint8_t>((out[6] & 0x0f) | 0x40);
  out[8] = static_cast<uint8_t>((out[8] & 0x3f) | 0x80);
  return out;
}

void SystemRandom::fill(std::span<uint8_t> bytes) {
  constexpr size_t kAtOnceMax = 256;  // getentropy(3)
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), kAtOnceMax);
    OUTRIGGER_ASSERT(::getentropy(bytes.data(), count) == 0);
    bytes = bytes.subspan(count);
  }
}

void SeededRandom::fill(std::span<uint8_t> bytes) {
  const MutexLock lock(mutex_);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(source_() >> 56);
}

}  // namespace outrigger
