// The ObjectIds given here to documents that come without an _id, as drivers make them: 4 bytes of
// seconds, 5 random bytes of this process, 3 bytes that count.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "config/random.h"

namespace outrigger {

// Of one thread.
class FreshIds {
 public:
  explicit FreshIds(Random& random);
  [[nodiscard]] std::string next(int64_t wall_ms);  // 12 bytes

 private:
  std::array<uint8_t, 5> process_{};
  uint32_t counter_ = 0;
};

// When a document is born that is completed here, and where its _id comes from.
struct Birth {
  int64_t wall_ms = 0;
  FreshIds& ids;
  [[nodiscard]] std::string id() const { return ids.next(wall_ms); }
};

}  // namespace outrigger
