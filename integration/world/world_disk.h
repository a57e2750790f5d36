// A site's disk: an outbox in memory whose syncs take time, and which keeps in a power cut what was
// synced and, of what was not, the first so many writes.
#pragma once

#include <functional>
#include <memory>

#include "replication/outbox/memory/memory_outbox.h"

namespace outrigger::world {

class WorldDisk final : public outbox::MemoryOutbox {
 public:
  // `take_time`: what a sync waits for.
  explicit WorldDisk(std::function<void()> take_time) : take_time_(std::move(take_time)) {}

  // What is written while it takes its time is not covered.
  [[nodiscard]] Status sync() override {
    const size_t covers = unsynced();
    take_time_();
    return sync_first(covers);
  }

 private:
  const std::function<void()> take_time_;
};

}  // namespace outrigger::world
