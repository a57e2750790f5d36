// What everything in a world shares: one loop, one time, one network, one source of chance, one
// story. Seeds the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "config/clock.h"
#include "integration/world/story.h"
#include "integration/world/world_threads.h"
#include "proxy/net/loop.h"
#include "proxy/net/memory/memory_network.h"
#include "proxy/net/memory/virtual_time.h"

namespace outrigger::world {

struct WorldParts {
  explicit WorldParts(uint64_t seed) : random(seed), network(loop, random()) {}
  WorldParts(const WorldParts&) = delete;
  WorldParts& operator=(const WorldParts&) = delete;

  // Of [from, to].
  [[nodiscard]] int64_t draw(int64_t from, int64_t to) {
    return from + static_cast<int64_t>(random() % static_cast<uint64_t>(to - from + 1));
  }
  [[nodiscard]] bool chance(int percent) { return draw(1, 100) <= percent; }
  template <typename T>
  [[nodiscard]] T& pick(std::vector<T>& of) {
    return of[static_cast<size_t>(draw(0, static_cast<int64_t>(of.size()) - 1))];
  }
  net::Task<void> sleep_ms(int64_t ms) {
    net::Timer timer(loop);
    (void)co_await timer.sleep_ms(ms);
  }

  net::VirtualTime* time = new net::VirtualTime();  // the loop's
  std::mt19937_64 random;
  net::Loop loop{std::unique_ptr<net::LoopDriver>(time)};
  WorldThreads threads{*time};
  Story story{*time};
  net::MemoryNetwork network;
};

// A site's own clock: the world's time, wrong by as much as is said.
class WorldClock final : public Clock {
 public:
  explicit WorldClock(const net::Loop& loop) : loop_(loop) {}
  [[nodiscard]] int64_t wall_ms() const override { return kEpochMs + monotonic_us() / 1000 + off_; }
  [[nodiscard]] int64_t monotonic_us() const override {
    return static_cast<int64_t>(loop_.now_us());
  }
  void set_off_ms(int64_t ms) { off_ = ms; }

 private:
  static constexpr int64_t kEpochMs = 1'700'000'000'000;
  const net::Loop& loop_;
  int64_t off_ = 0;
};

}  // namespace outrigger::world
