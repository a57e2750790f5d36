// A site's disk: an outbox in memory whose syncs take time, which keeps in a power cut what was
// synced and, of what was not, the first so many writes, and which can fail for a while.
#pragma once

#include <functional>
#include <utility>

#include "config/threads.h"
#include "replication/outbox/memory/memory_outbox.h"

namespace outrigger::world {

class WorldDisk final : public outbox::MemoryOutbox {
 public:
  using Now = std::function<Threads::TimePoint()>;
  // What it holds, with nobody who uses it.
  WorldDisk() = default;
  // `take_time`: what a sync waits for.
  WorldDisk(std::function<void()> take_time, Now now)
      : take_time_(std::move(take_time)), now_(std::move(now)) {}

  // What is written while it takes its time is not covered.
  [[nodiscard]] Status sync() override {
    const size_t covers = unsynced();
    take_time_();
    return sync_first(covers);
  }
  void fail_until(Threads::TimePoint until) {
    whole_at_ = until;
    fail(ErrorCode::kIo);
  }
  [[nodiscard]] Status heals() override {
    return now_() >= whole_at_ ? Status() : MemoryOutbox::heals();
  }

 private:
  std::function<void()> take_time_ = [] {};
  Now now_ = [] { return Threads::TimePoint::max(); };
  Threads::TimePoint whole_at_ = Threads::TimePoint::max();
};

}  // namespace outrigger::world
