// What is told of expiring documents, for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace outrigger {

struct ExpiryStatus {
  std::string by = "store";        // who deletes what has expired: sidecar, store, both, nobody
  uint64_t indexes = 0;            // that are looked at
  uint64_t expired = 0;            // documents deleted since the start
  std::vector<std::string> lacks;  // what cannot be done, and the way out
};

}  // namespace outrigger
