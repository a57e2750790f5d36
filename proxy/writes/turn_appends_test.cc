#include "proxy/writes/turn_appends.h"

#include <gtest/gtest.h>

#include <vector>

namespace outrigger {
namespace {

class TurnAppendsTest : public testing::Test {
 protected:
  // What one step of one write does: stages, then waits.
  static net::Task<void> step(TurnAppendsTest& test) {
    static_cast<void>(test.appends_.staged());
    TurnAppends::Appended appended = test.appends_.appended();
    const Status status = co_await appended;
    test.answers_.push_back(status.has_value());
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) steps_.spawn(step(*this));
  }
  void turn() { loop_.block_on(end_of_turn(*this)); }
  static net::Task<void> end_of_turn(TurnAppendsTest& test) {
    co_await test.loop_.end_of_turn();
    co_await test.loop_.end_of_turn();
  }

  net::Loop loop_;
  int appended_ = 0;
  Status disk_;
  TurnAppends appends_{loop_, [this](StagedWrites&&) {
                         ++appended_;
                         return disk_;
                       }};
  net::TaskGroup steps_;
  std::vector<bool> answers_;
};

TEST_F(TurnAppendsTest, StepsOfOneTurnShareOneAppend) {
  steps(3);
  EXPECT_EQ(appended_, 0);  // the turn has not ended
  turn();
  EXPECT_EQ(appended_, 1);
  EXPECT_EQ(answers_, std::vector<bool>({true, true, true}));
}

TEST_F(TurnAppendsTest, ALaterTurnAppendsAgain) {
  steps(1);
  turn();
  steps(2);
  turn();
  EXPECT_EQ(appended_, 2);
  EXPECT_EQ(answers_.size(), 3u);
}

TEST_F(TurnAppendsTest, AFailedAppendReachesEveryoneInIt) {
  disk_ = fail(ErrorCode::kNoSpace, "write outbox", "", "the disk is full");
  steps(2);
  turn();
  EXPECT_EQ(answers_, std::vector<bool>({false, false}));
}

}  // namespace
}  // namespace outrigger
