#include "replication/causality/hybrid_clock.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace outrigger {
namespace {

constexpr int64_t kNowMs = 1'700'000'000'000;

class HybridClockTest : public ::testing::Test {
 protected:
  void renew() {
    const Hlc bound = clock_.bound_needed();
    if (bound != 0) clock_.set_bound(bound);
  }
  Hlc issue() {
    renew();
    return clock_.issue();
  }

  ManualClock wall_{kNowMs};
  HybridClock clock_{wall_, 0};
};

TEST_F(HybridClockTest, FollowsTheWallClock) {
  EXPECT_EQ(issue(), hlc_from_ms(kNowMs));
  wall_.advance_ms(5);
  EXPECT_EQ(issue(), hlc_from_ms(kNowMs + 5));
}

TEST_F(HybridClockTest, CountsWithinOneMillisecond) {
  const Hlc first = issue();
  EXPECT_EQ(issue(), first + 1);
}

TEST_F(HybridClockTest, GoesOnWhenTheWallClockStepsBack) {
  const Hlc first = issue();
  wall_.set_wall_ms(kNowMs - 10'000);
  EXPECT_EQ(issue(), first + 1);
}

TEST_F(HybridClockTest, CounterOverflowBorrowsTheNextMillisecond) {
  clock_.observe(hlc_from_ms(kNowMs) | 0xffff);
  EXPECT_EQ(issue(), hlc_from_ms(kNowMs + 1));
}

TEST_F(HybridClockTest, StampsFollowWhatWasObserved) {
  clock_.observe(hlc_from_ms(kNowMs + 20) + 3);
  EXPECT_EQ(issue(), hlc_from_ms(kNowMs + 20) + 4);
  EXPECT_EQ(clock_.issued(), clock_.now());
}

TEST_F(HybridClockTest, IssuesNothingWithoutABound) {
  EXPECT_EQ(clock_.issue(), 0u);
  EXPECT_NE(issue(), 0u);
}

TEST_F(HybridClockTest, NeverIssuesBeyondTheBound) {
  ASSERT_NE(issue(), 0u);
  wall_.advance_ms(10'001);
  EXPECT_EQ(clock_.issue(), 0u);
  EXPECT_NE(issue(), 0u);
}

TEST_F(HybridClockTest, RenewsTheBoundEveryFewSeconds) {
  ASSERT_NE(issue(), 0u);
  wall_.advance_ms(2'999);
  EXPECT_EQ(clock_.bound_needed(), 0u);
  wall_.advance_ms(2);
  EXPECT_EQ(clock_.bound_needed(), hlc_from_ms(kNowMs + 13'001));
}

TEST_F(HybridClockTest, QuickRestartsDoNotPushTheClockAway) {
  Hlc persisted = 0;
  for (int i = 0; i < 5; ++i) {
    HybridClock started(wall_, persisted);
    const Hlc bound = started.bound_needed();
    ASSERT_GT(bound, persisted);
    started.set_bound(persisted = bound);
    ASSERT_GT(started.issue(), 0u);
  }
  EXPECT_LE(hlc_ms(persisted), kNowMs + 10'000 + 5 * 1'000);
}

TEST_F(HybridClockTest, RestartStartsAboveEverythingIssued) {
  const Hlc last = issue();
  const Hlc bound = hlc_from_ms(kNowMs + 10'000);
  wall_.set_wall_ms(kNowMs - 60'000);
  HybridClock again(wall_, bound);
  again.set_bound(again.bound_needed());
  EXPECT_GT(again.issue(), last);
}

TEST_F(HybridClockTest, HoldsStampsTooFarAhead) {
  EXPECT_FALSE(clock_.too_far_ahead(hlc_from_ms(kNowMs + 60'000)));
  EXPECT_TRUE(clock_.too_far_ahead(hlc_from_ms(kNowMs + 60'001)));
  wall_.advance_ms(1);
  EXPECT_FALSE(clock_.too_far_ahead(hlc_from_ms(kNowMs + 60'001)));
}

TEST_F(HybridClockTest, ReportsAWallClockFarBehind) {
  clock_.observe(hlc_from_ms(kNowMs + 300'000));
  EXPECT_FALSE(clock_.wall_is_behind());
  wall_.set_wall_ms(kNowMs - 1);
  EXPECT_TRUE(clock_.wall_is_behind());
}

RC_GTEST_PROP(HybridClock, StampsStrictlyIncrease, (const std::vector<int16_t>& moves)) {
  ManualClock wall(kNowMs);
  HybridClock clock(wall, 0);
  Hlc last = 0;
  for (const int16_t move : moves) {
    if (move % 3 == 0) {
      clock.observe(hlc_from_ms(kNowMs + move) + static_cast<uint16_t>(move));
    } else {
      wall.set_wall_ms(wall.wall_ms() + move);
    }
    if (clock.bound_needed() != 0) clock.set_bound(clock.bound_needed());
    const Hlc stamp = clock.issue();
    RC_ASSERT(stamp > last && stamp >= hlc_from_ms(wall.wall_ms()));
    last = stamp;
  }
}

}  // namespace
}  // namespace outrigger
