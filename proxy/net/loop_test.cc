#include "proxy/net/loop.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "proxy/net/memory/virtual_time.h"
#include "proxy/net/test_support.h"
#include "proxy/net/uv/uv_loop.h"

namespace outrigger::net {
namespace {

using testing::turns;

Task<void> sleep_into(Timer& timer, int64_t ms, std::vector<bool>& results) {
  results.push_back(co_await timer.sleep_ms(ms));
}

// What holds on libuv and in virtual time.
class LoopTest : public ::testing::TestWithParam<bool> {
 protected:
  static std::unique_ptr<LoopDriver> make_driver() {
    if (GetParam()) return std::make_unique<VirtualTime>();
    return std::make_unique<UvDriver>();
  }

  Loop loop_{make_driver()};
  TaskGroup tasks_;
};

INSTANTIATE_TEST_SUITE_P(Drivers, LoopTest, ::testing::Bool(),
                         [](const auto& made) { return made.param ? "VirtualTime" : "Libuv"; });

TEST(UvLoopTest, RunsWhatAnotherThreadPostsInOrder) {
  Loop loop;
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) {
      loop.post([&seen, i] { seen.push_back(i); });
    }
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  other.join();
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[i], i);
}

TEST_P(LoopTest, AStopBeforeRunIsKeptAndRunWorksAgainAfterIt) {
  loop_.stop();
  loop_.run();
  bool ran = false;
  loop_.post([&] {
    ran = true;
    loop_.stop();
  });
  loop_.run();
  EXPECT_TRUE(ran);
}

TEST_P(LoopTest, APostFromAPostedFunctionRuns) {
  int depth = 0;
  loop_.post([&] {
    ++depth;
    loop_.post([&] {
      ++depth;
      loop_.stop();
    });
  });
  loop_.run();
  EXPECT_EQ(depth, 2);
}

TEST_P(LoopTest, ASleepTakesAtLeastItsTime) {
  Timer timer(loop_);
  std::vector<bool> results;
  const uint64_t begin_us = loop_.now_us();
  loop_.block_on(sleep_into(timer, 20, results));
  EXPECT_GE(loop_.now_us() - begin_us, 19'000u);
  EXPECT_EQ(results, std::vector<bool>{true});
}

TEST_P(LoopTest, CancelEndsASleepAndTheTimerStaysUsable) {
  Timer timer(loop_);
  std::vector<bool> results;
  tasks_.spawn(sleep_into(timer, 60'000, results));
  timer.cancel();
  EXPECT_TRUE(results.empty());  // soon, not inside cancel()
  loop_.block_on(turns(loop_, 1));
  loop_.block_on(sleep_into(timer, 1, results));
  EXPECT_EQ(results, (std::vector<bool>{false, true}));
}

TEST_P(LoopTest, AClosedTimerDoesNotSleep) {
  Timer timer(loop_);
  std::vector<bool> results;
  tasks_.spawn(sleep_into(timer, 60'000, results));
  timer.close();
  loop_.block_on(turns(loop_, 1));
  loop_.block_on(sleep_into(timer, 60'000, results));
  EXPECT_EQ(results, (std::vector<bool>{false, false}));
}

TEST_P(LoopTest, ACallbackRunsOnceAndMayDestroyItsTimer) {
  auto timer = std::make_unique<Timer>(loop_);
  int calls = 0;
  timer->start(1, [&] {
    ++calls;
    timer.reset();
    loop_.stop();
  });
  loop_.run();
  EXPECT_EQ(calls, 1);
}

TEST_P(LoopTest, ACancelledOrDestroyedTimerDropsItsCallback) {
  Timer cancelled(loop_);
  Timer witness(loop_);
  int calls = 0;
  cancelled.start(1, [&] { ++calls; });
  cancelled.cancel();
  {
    Timer destroyed(loop_);
    destroyed.start(1, [&] { ++calls; });
  }
  std::vector<bool> results;
  loop_.block_on(sleep_into(witness, 5, results));
  EXPECT_EQ(calls, 0);
}

TEST_P(LoopTest, ReadyCoroutinesDoNotStarveTimers) {
  Timer timer(loop_);
  std::vector<bool> results;
  tasks_.spawn(turns(loop_, 100'000));
  loop_.block_on(sleep_into(timer, 0, results));
  EXPECT_FALSE(tasks_.empty());
  testing::wait_for(loop_, tasks_);
}

void outlive(std::unique_ptr<LoopDriver> driver) {
  auto loop = std::make_unique<Loop>(std::move(driver));
  Timer timer(*loop);
  loop.reset();
}

TEST(LoopDeathTest, ATimerMustNotOutliveItsLoop) {
  EXPECT_DEATH(outlive(std::make_unique<UvDriver>()), "outlived its loop");
  EXPECT_DEATH(outlive(std::make_unique<VirtualTime>()), "outlived its loop");
}

}  // namespace
}  // namespace outrigger::net
