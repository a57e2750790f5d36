// For tests, whose threads may block: waits until a request is granted.
#pragma once

#include <future>
#include <memory>

#include "replication/site/lock_table.h"

namespace outrigger {

inline void acquire_blocking(LockTable& table, LockRequest& request) {
  const auto granted = std::make_shared<std::promise<void>>();  // may be set after our wait
  if (!table.acquire(request, [granted] { granted->set_value(); })) granted->get_future().wait();
}

}  // namespace outrigger
