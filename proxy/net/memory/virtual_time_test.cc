#include "proxy/net/memory/virtual_time.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/net/test_support.h"

namespace outrigger::net {
namespace {

constexpr int64_t kDayMs = 24 * 3'600'000;

Task<void> sleep_and_note(Loop& loop, int64_t ms, std::string name, std::string& story) {
  Timer timer(loop);
  (void)co_await timer.sleep_ms(ms);
  story += name + "@" + std::to_string(loop.now_us() / 1000) + " ";
}

class VirtualTimeTest : public ::testing::Test {
 protected:
  Loop loop_{std::make_unique<VirtualTime>()};
  TaskGroup tasks_;
  std::string story_;
};

TEST_F(VirtualTimeTest, ADayPassesAtOnceAndToTheMillisecond) {
  const uint64_t begin_us = loop_.now_us();
  loop_.block_on(sleep_and_note(loop_, kDayMs, "day", story_));
  EXPECT_EQ(loop_.now_us() - begin_us, static_cast<uint64_t>(kDayMs) * 1000);
}

TEST_F(VirtualTimeTest, TimersFireByTimeAndThenInTheOrderTheyWereArmed) {
  tasks_.spawn(sleep_and_note(loop_, 30, "c", story_));
  tasks_.spawn(sleep_and_note(loop_, 10, "a", story_));
  tasks_.spawn(sleep_and_note(loop_, 30, "d", story_));
  tasks_.spawn(sleep_and_note(loop_, 20, "b", story_));
  testing::wait_for(loop_, tasks_);
  EXPECT_EQ(story_, "a@1010 b@1020 c@1030 d@1030 ");
}

TEST_F(VirtualTimeTest, TimeStandsWhileAnythingIsReady) {
  const uint64_t begin_us = loop_.now_us();
  tasks_.spawn(sleep_and_note(loop_, 1, "timer", story_));
  loop_.block_on(testing::turns(loop_, 10'000));
  EXPECT_EQ(loop_.now_us(), begin_us);
  EXPECT_EQ(story_, "");
  testing::wait_for(loop_, tasks_);
}

TEST_F(VirtualTimeTest, ATimerThatIsAlwaysDueStarvesNobody) {
  Timer timer(loop_);
  int fired = 0;
  std::function<void()> again = [&] {
    ++fired;
    timer.start(0, again);
  };
  timer.start(0, again);
  loop_.block_on(testing::turns(loop_, 1'000));
  EXPECT_GT(fired, 10);
}

TEST_F(VirtualTimeTest, ATimerFiredMayDestroyAnotherThatIsDueToo) {
  auto second = std::make_unique<Timer>(loop_);
  Timer first(loop_);
  bool is_wrong = false;
  first.start(5, [&] { second.reset(); });
  second->start(5, [&] { is_wrong = true; });
  loop_.block_on(sleep_and_note(loop_, 6, "end", story_));
  EXPECT_FALSE(is_wrong);
}

TEST(VirtualTimeDeathTest, ALoopThatCanNeverGoOnSaysSo) {
  EXPECT_DEATH(
      {
        Loop loop(std::make_unique<VirtualTime>());
        loop.run();
      },
      "nothing is left");
}

}  // namespace
}  // namespace outrigger::net
