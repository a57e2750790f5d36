// Origins for tests, told apart by a number.
#pragma once

#include "replication/causality/stamp.h"

namespace outrigger {

inline Origin origin(uint8_t site, uint64_t epoch = 1) {
  Origin result;
  result.site[0] = site;
  result.epoch = epoch;
  return result;
}

}  // namespace outrigger
