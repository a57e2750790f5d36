#include "proxy/writes/durable_waits.h"

#include <gtest/gtest.h>

#include <vector>

namespace outrigger {
namespace {

class DurableWaitsTest : public testing::Test {
 protected:
  // What one write does: joins, then waits.
  static net::Task<void> write(DurableWaitsTest& test) {
    const DurableWaits::Shot shot = test.waits_.join();
    const Status status = co_await shot->wait();
    test.answers_.push_back(status.has_value());
  }
  // The disk answers the n-th wish.
  void answer(size_t n, const Status& status) { wishes_.at(n)(status); }
  void turn() { loop_.block_on(net::Task<void>(two_turns(*this))); }
  static net::Task<void> two_turns(DurableWaitsTest& test) {
    co_await test.loop_.end_of_turn();
    net::Timer pause(test.loop_);
    co_await pause.sleep_ms(1);
  }

  net::Loop loop_;
  std::vector<std::function<void(const Status&)>> wishes_;
  DurableWaits waits_{loop_, [this](auto done, std::chrono::microseconds needed_in) {
                        wishes_.push_back(std::move(done));
                        needed_in_us_ = needed_in.count();
                      }};
  int64_t needed_in_us_ = -1;
  net::TaskGroup writes_;
  std::vector<bool> answers_;
};

TEST_F(DurableWaitsTest, WritesOfOneTurnShareOneWish) {
  for (int i = 0; i < 3; ++i) writes_.spawn(write(*this));
  EXPECT_TRUE(wishes_.empty());  // the turn has not ended
  turn();
  ASSERT_EQ(wishes_.size(), 1u);
  EXPECT_TRUE(answers_.empty());
  answer(0, {});
  turn();
  EXPECT_EQ(answers_, std::vector<bool>({true, true, true}));
}

TEST_F(DurableWaitsTest, AWriteAfterTheWishMakesItsOwn) {
  writes_.spawn(write(*this));
  turn();
  writes_.spawn(write(*this));
  turn();
  ASSERT_EQ(wishes_.size(), 2u);
  answer(0, {});
  turn();
  EXPECT_EQ(answers_.size(), 1u);
  answer(1, {});
  turn();
  EXPECT_EQ(answers_.size(), 2u);
}

TEST_F(DurableWaitsTest, ASyncIsWantedByTheTimeTheStoreUsuallyAnswers) {
  const auto needed_in_us = [this] {
    writes_.spawn(write(*this));
    turn();
    answer(wishes_.size() - 1, {});
    turn();
    return needed_in_us_;
  };
  EXPECT_EQ(needed_in_us(), 0);  // nothing learnt
  for (int i = 0; i < 500; ++i) waits_.learn(2000);
  EXPECT_NEAR(static_cast<double>(needed_in_us()), 2000, 100);
  for (int i = 0; i < 4; ++i) waits_.learn(200);
  EXPECT_LT(needed_in_us(), 1000);  // fast answers count at once
}

TEST_F(DurableWaitsTest, AFailedSyncReachesEveryone) {
  for (int i = 0; i < 2; ++i) writes_.spawn(write(*this));
  turn();
  answer(0, fail(ErrorCode::kIo, "sync outbox", "", "the disk is gone"));
  turn();
  EXPECT_EQ(answers_, std::vector<bool>({false, false}));
}

}  // namespace
}  // namespace outrigger
