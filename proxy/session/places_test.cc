#include "proxy/session/places.h"

#include <gtest/gtest.h>

namespace outrigger {
namespace {

TEST(Places, AreSoManyForAllLoopsTogether) {
  Places places(2, 3);
  EXPECT_TRUE(places.take());
  EXPECT_TRUE(places.take());
  EXPECT_FALSE(places.take());
  places.give_back();
  EXPECT_TRUE(places.take());
  EXPECT_EQ(places.taken(), 2u);
}

TEST(Places, TheStrangerWhoGoesFirstMayBeOnAnyLoop) {
  Places places(10, 3);
  places.add({0, 1}, 10);
  places.add({1, 1}, 5);
  places.add({2, 1}, 20);
  places.spoke({1, 1}, 6);  // who has spoken goes after those who have not
  std::vector<size_t> order;
  while (const auto first = places.take_first_to_go()) order.push_back(first->loop);
  EXPECT_EQ(order, std::vector<size_t>({0, 2, 1}));
}

TEST(Places, WhoWasLetInIsNoStranger) {
  Places places(10, 2);
  places.add({1, 7}, 10);
  places.remove({1, 7});
  EXPECT_FALSE(places.take_first_to_go());
}

TEST(Places, EachLoopHasItsOwnToLookAfter) {
  Places places(10, 2);
  places.add({0, 1}, 0);
  places.add({1, 2}, 0);
  const uint64_t late_us = static_cast<uint64_t>(limits::kStrangerSilentMs) * 1'000;
  EXPECT_EQ(places.overdue(0, late_us), std::vector<uint64_t>({1}));
  EXPECT_EQ(places.overdue(1, late_us), std::vector<uint64_t>({2}));
  EXPECT_EQ(places.strangers_of(1), std::vector<uint64_t>({2}));
}

}  // namespace
}  // namespace outrigger
