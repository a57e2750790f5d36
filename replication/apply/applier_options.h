// How applying is bounded and paced, and whom it tells: for the Applier and what it is made of.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "config/limits.h"
#include "replication/site/state/inbox.h"

namespace outrigger {

struct ApplierOptions {
  DeliveryLimits batch;
  size_t stored_bytes_max = limits::kApplyBytesMax;
  std::chrono::milliseconds retry_min{50};  // the runner's pause after trouble, doubling
  std::chrono::milliseconds retry_max{5000};
  std::chrono::milliseconds collect_every{1000};
  // A few of the documents set aside are tried again so often.
  std::chrono::milliseconds try_aside_every{3'000};
  size_t try_aside_documents = 100;
  // The first of the members leaves out what its store refuses after this time, the second after
  // twice that, and so on: one of them is enough.
  std::chrono::milliseconds resolve_after{2'000};
  size_t collect_documents = 20'000;
  // What this collection is has changed, under its lock; from the runner's thread.
  std::function<void(const std::string& ns)> catalog_changed = [](const std::string&) {};
  std::function<void(const std::string&)> warn;  // one line for the log; from the runner's thread
  // May a store be used that this run of mongod answers for (store/served_process.h)?
  std::function<bool(const std::string& process)> admits = [](const std::string&) { return true; };
  // Called on the runner's thread now and then: for what else needs this thread's store, such as
  // Recovery::note_oplog_time.
  std::function<void()> housekeeping;
  std::chrono::milliseconds housekeeping_every{30'000};
};

}  // namespace outrigger
