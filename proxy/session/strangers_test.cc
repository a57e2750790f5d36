#include "proxy/session/strangers.h"

#include <gtest/gtest.h>

namespace outrigger {
namespace {

constexpr uint64_t kMs = 1'000;

TEST(Strangers, TheOneThatNeverSpokeGoesFirstThenTheOneQuietForLongest) {
  Strangers<int> strangers;
  for (const int key : {1, 2, 3, 4}) strangers.add(key, static_cast<uint64_t>(key));
  strangers.spoke(1, 10);
  strangers.spoke(2, 11);
  strangers.spoke(1, 12);
  std::vector<int> order;
  while (const auto first = strangers.first_to_go()) {
    order.push_back(*first);
    strangers.remove(*first);
  }
  EXPECT_EQ(order, std::vector<int>({3, 4, 2, 1}));
}

TEST(Strangers, OfTwoOfOneTimeTheOlderGoesWhateverItsKey) {
  Strangers<int> strangers;
  strangers.add(2, 5);
  strangers.add(1, 5);
  EXPECT_EQ(strangers.first_to_go(), 2);
}

TEST(Strangers, WhoIsLetInKeepsItsPlace) {
  Strangers<int> strangers;
  strangers.add(1, 0);
  strangers.remove(1);
  EXPECT_EQ(strangers.first_to_go(), std::nullopt);
  EXPECT_EQ(strangers.size(), 0u);
}

TEST(Strangers, WhoCouldNotGoWhenItWasChosenIsOneAgainOnceItSpeaks) {
  Strangers<int> strangers;
  strangers.add(1, 0);
  strangers.remove(1);
  strangers.spoke(1, 1);
  EXPECT_EQ(strangers.first_to_go(), 1);
}

TEST(Strangers, SilenceIsOverdueSoonerThanARestBetweenTwoHellos) {
  Strangers<int> strangers;
  strangers.add(1, 0);
  strangers.add(2, 0);
  strangers.spoke(2, 0);
  const auto silent_us = static_cast<uint64_t>(limits::kStrangerSilentMs) * kMs;
  const auto idle_us = static_cast<uint64_t>(limits::kStrangerIdleMs) * kMs;
  EXPECT_TRUE(strangers.overdue(silent_us - 1).empty());
  EXPECT_EQ(strangers.overdue(silent_us), std::vector<int>({1}));
  EXPECT_EQ(strangers.overdue(idle_us), std::vector<int>({1, 2}));
}

}  // namespace
}  // namespace outrigger
