#include "proxy/mongo/fresh_ids.h"

namespace outrigger {

FreshIds::FreshIds(Random& random) : counter_(static_cast<uint32_t>(random.number())) {
  random.fill(process_);
}

std::string FreshIds::next(int64_t wall_ms) {
  const auto seconds = static_cast<uint32_t>(wall_ms / 1000);
  const uint32_t count = ++counter_;
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(seconds >> shift));
  for (const uint8_t byte : process_) out.push_back(static_cast<char>(byte));
  for (int shift = 16; shift >= 0; shift -= 8) out.push_back(static_cast<char>(count >> shift));
  return out;
}

}  // namespace outrigger
