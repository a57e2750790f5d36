// A site's disk: an outbox in memory whose syncs take time, which keeps in a power cut what was
// synced and, of what was not, the first so many writes, and which can fail for a while, and then
// has lost a part of that, too.
//
// In life mongod's journal can be on disk before the outbox's sync of the prepare is, and a power
// cut between the two leaves a write in the store of which the outbox knows nothing, and of which
// nobody was told. Nothing finds that yet, so worlds leave it out: what stood in the outbox when
// mongod wrote its journal (hold()) is kept.
#pragma once

#include <algorithm>
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
  // `take_time`: what a sync waits for. `survive`: of so many writes, how many outlast a failure.
  WorldDisk(std::function<void()> take_time, Now now, std::function<size_t(size_t)> survive)
      : take_time_(std::move(take_time)), now_(std::move(now)), survive_(std::move(survive)) {}

  // The first that fails may be there all the same; after it, or a sync that failed, nobody tries.
  [[nodiscard]] Status write(outbox::Batch&& batch) override {
    if (!failure()) return MemoryOutbox::write(std::move(batch));
    if (!std::exchange(has_tried_, true)) write_in_vain(std::move(batch));
    return MemoryOutbox::write(outbox::Batch());
  }

  // What is written while it takes its time is not covered.
  [[nodiscard]] Status sync() override {
    const size_t covers = unsynced();
    take_time_();
    held_ -= std::min(held_, covers);
    const Status synced = sync_first(covers);
    if (!synced) has_tried_ = true;  // as it is known to have failed
    return synced;
  }
  // Mongod's journal is written now.
  void hold() { held_ = unsynced(); }
  [[nodiscard]] size_t held() const { return std::min(held_, unsynced()); }  // of the unsynced
  void take_over(const WorldDisk& other) {
    MemoryOutbox::take_over(other);
    held_ = other.held_;
  }
  void fail_until(Threads::TimePoint until) {
    whole_at_ = until;
    fail(ErrorCode::kIo);
  }
  [[nodiscard]] Status heals() override {
    if (now_() < whole_at_) return MemoryOutbox::heals();
    write_again(survive_(unsynced()));
    return {};
  }

 private:
  size_t held_ = 0;
  std::function<void()> take_time_ = [] {};
  Now now_ = [] { return Threads::TimePoint::max(); };
  std::function<size_t(size_t)> survive_ = [](size_t) { return size_t{0}; };
  bool has_tried_ = false;  // to write, since it failed
  Threads::TimePoint whole_at_ = Threads::TimePoint::max();
};

}  // namespace outrigger::world
