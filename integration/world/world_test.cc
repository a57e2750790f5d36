// Worlds as such: a seed replays, time and threads behave, a disk loses what it must.
#include "integration/world/world.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace outrigger::world {
namespace {

using std::chrono::milliseconds;

// A few seeds; tools/test runs many more of them without a sanitizer, tools/world new ones.
TEST(World, NothingIsLostDoubledDifferentOrStuck) {
  WorldOptions options;
  options.seed = 100;
  options.minutes = 10;
  for (int i = 0; i < 3; ++i, ++options.seed) {
    std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
    std::fflush(stdout);
    const WorldReport report = run_world(options);
    EXPECT_GT(report.acknowledged, 10u);
    EXPECT_EQ(report.violations, std::vector<std::string>{}) << report.story << options.seed;
  }
}

TEST(World, TheSameSeedIsTheSameStory) {
  WorldOptions options;
  options.seed = 7;
  options.minutes = 3;
  const WorldReport first = run_world(options);
  const WorldReport second = run_world(options);
  EXPECT_GT(first.events, 100u);
  EXPECT_EQ(first.events, second.events);
  EXPECT_EQ(first.digest, second.digest);
  options.seed = 8;
  EXPECT_NE(run_world(options).digest, first.digest);
}

class WorldThreadsTest : public ::testing::Test {
 protected:
  // Runs the loop until `ms` have passed.
  void pass(int64_t ms) { parts_.loop.block_on(parts_.sleep_ms(ms)); }

  WorldParts parts_{1};
  WorldThreads& threads_ = parts_.threads;
  std::string order_;
};

TEST_F(WorldThreadsTest, WhoSleepsWakesInTheOrderOfTime) {
  const auto sleeper = [this](int64_t ms, char name) {
    return threads_.start([this, ms, name] {
      threads_.sleep(milliseconds(ms));
      order_.push_back(name);
    });
  };
  const auto late = sleeper(30, 'c');
  const auto early = sleeper(10, 'a');
  const auto between = sleeper(20, 'b');
  pass(25);
  EXPECT_EQ(order_, "ab");
  pass(25);
  EXPECT_EQ(order_, "abc");
}

TEST_F(WorldThreadsTest, AWaitEndsWithANotificationOrItsTime) {
  Mutex mutex;
  Condition condition(threads_);
  const auto waiter = [&](int64_t ms, char name) {
    return threads_.start([&, ms, name] {
      const MutexLock lock(mutex);
      const bool told = condition.wait_until(mutex, threads_.now() + milliseconds(ms));
      order_ += told ? name : 'x';
    });
  };
  const auto first = waiter(50, 'a');
  const auto second = waiter(50, 'b');
  const auto third = waiter(50, 'c');
  pass(10);
  condition.notify_one();
  pass(10);
  EXPECT_EQ(order_, "a") << "who waits longest goes first";
  pass(100);
  EXPECT_EQ(order_, "axx");
}

TEST_F(WorldThreadsTest, WhoeverJoinsFromTheLoopLetsTheOthersGoOn) {
  auto thread = threads_.start([this] {
    threads_.sleep(milliseconds(500));
    order_ += "done";
  });
  thread.reset();
  EXPECT_EQ(order_, "done");
  EXPECT_GE(parts_.time->now_us(), 500'000u);
}

TEST(WorldDisk, APowerCutTakesWhatWasWrittenWhileASyncWasUnderWay) {
  const auto put = [](outbox::MemoryOutbox& disk, const char* key) {
    outbox::Batch batch;
    batch.put_meta(key, "1");
    ASSERT_TRUE(disk.write(std::move(batch)).has_value());
  };
  WorldDisk* writes_to = nullptr;
  WorldDisk disk([&] { put(*writes_to, "during"); }, [] { return Threads::TimePoint(); });
  writes_to = &disk;
  put(disk, "before");
  ASSERT_TRUE(disk.sync().has_value());
  EXPECT_EQ(disk.unsynced(), 1u);
  WorldDisk after;
  after.take_over(disk);
  EXPECT_TRUE(after.meta("during")->has_value()) << "a killed process loses nothing";
  after.hold();
  EXPECT_EQ(after.held(), 1u);
  after.lose_unsynced();
  EXPECT_EQ(after.held(), 0u) << "nothing is left to be held";
  EXPECT_TRUE(after.meta("before")->has_value());
  EXPECT_FALSE(after.meta("during")->has_value());
}

}  // namespace
}  // namespace outrigger::world
