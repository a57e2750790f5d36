#include "proxy/net/loop.h"

#include <gtest/gtest.h>

#include <csignal>
#include <thread>
#include <vector>

#include "proxy/net/test_support.h"

namespace outrigger::net {
namespace {

using testing::turns;

Task<void> sleep_into(Timer& timer, int64_t ms, std::vector<bool>& results) {
  results.push_back(co_await timer.sleep_ms(ms));
}

class LoopTest : public ::testing::Test {
 protected:
  Loop loop_;
  TaskGroup tasks_;
};

TEST_F(LoopTest, RunsWhatAnotherThreadPostsInOrder) {
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) {
      loop_.post([&seen, i] { seen.push_back(i); });
    }
    loop_.post([this] { loop_.stop(); });
  });
  loop_.run();
  other.join();
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[i], i);
}

TEST_F(LoopTest, AStopBeforeRunIsKeptAndRunWorksAgainAfterIt) {
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

TEST_F(LoopTest, APostFromAPostedFunctionRuns) {
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

TEST_F(LoopTest, ASleepTakesAtLeastItsTime) {
  Timer timer(loop_);
  std::vector<bool> results;
  const uint64_t begin_us = loop_.now_us();
  loop_.block_on(sleep_into(timer, 20, results));
  EXPECT_GE(loop_.now_us() - begin_us, 19'000u);
  EXPECT_EQ(results, std::vector<bool>{true});
}

TEST_F(LoopTest, CancelEndsASleepAndTheTimerStaysUsable) {
  Timer timer(loop_);
  std::vector<bool> results;
  tasks_.spawn(sleep_into(timer, 60'000, results));
  timer.cancel();
  EXPECT_TRUE(results.empty());  // soon, not inside cancel()
  loop_.block_on(turns(loop_, 1));
  loop_.block_on(sleep_into(timer, 1, results));
  EXPECT_EQ(results, (std::vector<bool>{false, true}));
}

TEST_F(LoopTest, AClosedTimerDoesNotSleep) {
  Timer timer(loop_);
  std::vector<bool> results;
  tasks_.spawn(sleep_into(timer, 60'000, results));
  timer.close();
  loop_.block_on(turns(loop_, 1));
  loop_.block_on(sleep_into(timer, 60'000, results));
  EXPECT_EQ(results, (std::vector<bool>{false, false}));
}

TEST_F(LoopTest, ACallbackRunsOnceAndMayDestroyItsTimer) {
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

TEST_F(LoopTest, ACancelledOrDestroyedTimerDropsItsCallback) {
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

TEST_F(LoopTest, ASignalCallsBackOnTheLoop) {
  int seen = 0;
  SignalWatch watch(loop_, {SIGTERM, SIGHUP}, [&](int signal) {
    seen = signal;
    loop_.stop();
  });
  ::raise(SIGTERM);
  loop_.run();
  EXPECT_EQ(seen, SIGTERM);
  ::raise(SIGHUP);
  loop_.run();
  EXPECT_EQ(seen, SIGHUP);
}

TEST_F(LoopTest, ReadyCoroutinesDoNotStarveTimers) {
  Timer timer(loop_);
  std::vector<bool> results;
  tasks_.spawn(turns(loop_, 100'000));
  loop_.block_on(sleep_into(timer, 0, results));
  EXPECT_FALSE(tasks_.empty());
  testing::wait_for(loop_, tasks_);
}

TEST(LoopDeathTest, ATimerMustNotOutliveItsLoop) {
  EXPECT_DEATH(
      {
        auto loop = std::make_unique<Loop>();
        Timer timer(*loop);
        loop.reset();
      },
      "outlived its loop");
}

}  // namespace
}  // namespace outrigger::net
