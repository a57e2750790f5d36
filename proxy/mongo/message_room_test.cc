#include "proxy/mongo/message_room.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace outrigger {
namespace {

class MessageRoomTest : public testing::Test {
 protected:
  struct Client {
    size_t gathered = 0;
    bool pushed_out = false;
    std::vector<bool> answers;
    std::unique_ptr<MessageRoom::Hold> hold;
    Client() {
      hold = std::make_unique<MessageRoom::Hold>([this] { return gathered; },
                                                 [this] {
                                                   pushed_out = true;
                                                   hold->release();
                                                 });
    }
  };
  static net::Task<void> asking(MessageRoomTest& test, Client& client, size_t bytes) {
    const bool got = co_await client.hold->take(test.room_, bytes);
    client.answers.push_back(got);
  }
  void ask(Client& client, size_t bytes) { tasks_.spawn(asking(*this, client, bytes)); }
  // What is granted comes with a post.
  static net::Task<void> a_while(net::Loop& loop) {
    net::Timer timer(loop);
    co_await timer.sleep_ms(1);
    co_await loop.end_of_turn();
  }
  void turn() { loop_.block_on(a_while(loop_)); }
  static net::Task<void> until(net::Loop& loop, std::function<bool()> done) {
    net::Timer timer(loop);
    for (int i = 0; i < 1000 && !done(); ++i) co_await timer.sleep_ms(10);
  }

  net::Loop loop_;
  net::TaskGroup tasks_;
  std::shared_ptr<RoomBudget> budget_ = std::make_shared<RoomBudget>(100);
  MessageRoom room_{loop_, budget_};
};

TEST_F(MessageRoomTest, WhoDoesNotFitWaitsForThoseWhoCameFirst) {
  Client one, two, three;
  ask(one, 60);
  ask(two, 50);
  ask(three, 10);  // would fit, but is not served before its turn
  turn();
  EXPECT_EQ(one.answers, std::vector<bool>({true}));
  EXPECT_TRUE(two.answers.empty());
  EXPECT_TRUE(three.answers.empty());
  EXPECT_EQ(budget_->held_bytes(), 60u);
  one.hold->release();
  turn();
  EXPECT_EQ(two.answers, std::vector<bool>({true}));
  EXPECT_EQ(three.answers, std::vector<bool>({true}));
  EXPECT_EQ(budget_->held_bytes(), 60u);
}

TEST_F(MessageRoomTest, WhoDoesNotWantToWaitTakesNothingBeforeThoseWhoDo) {
  Client one, two, three;
  EXPECT_TRUE(one.hold->take_now(room_, 60));
  ask(two, 50);
  EXPECT_FALSE(three.hold->take_now(room_, 10));
  EXPECT_FALSE(three.hold->is_held());
  one.hold->release();
  turn();
  EXPECT_EQ(two.answers, std::vector<bool>({true}));
  EXPECT_TRUE(three.hold->take_now(room_, 10));
}

TEST_F(MessageRoomTest, MoreThanThereIsTakesAllOfIt) {
  Client one, two;
  ask(one, 1'000);
  ask(two, 1);
  turn();
  EXPECT_EQ(one.answers, std::vector<bool>({true}));
  EXPECT_TRUE(two.answers.empty());
  one.hold.reset();
  turn();
  EXPECT_EQ(two.answers, std::vector<bool>({true}));
}

TEST_F(MessageRoomTest, WhoGivesUpWhileItWaitsIsAnsweredNoAndHoldsNothing) {
  Client one, two, three;
  ask(one, 100);
  ask(two, 100);
  ask(three, 100);
  two.hold->release();
  turn();
  EXPECT_EQ(two.answers, std::vector<bool>({false}));
  one.hold->release();
  turn();
  EXPECT_EQ(three.answers, std::vector<bool>({true}));
  EXPECT_EQ(budget_->held_bytes(), 100u);
}

TEST_F(MessageRoomTest, AMessageThatHasStoppedMakesRoomForThoseWhoWait) {
  Client stopped, served, waiting;
  ask(stopped, 50);
  ask(served, 50);
  served.hold->complete();  // it has come; that its work takes long is no fault of its sender
  ask(waiting, 50);
  loop_.block_on(until(loop_, [&] { return !waiting.answers.empty(); }));
  EXPECT_TRUE(stopped.pushed_out);
  EXPECT_FALSE(served.pushed_out);
  EXPECT_EQ(waiting.answers, std::vector<bool>({true}));
  EXPECT_EQ(room_.pushed_out(), 1u);
}

TEST_F(MessageRoomTest, TooManyWhoWaitLoseTheLongestWaiting) {
  Client holder;
  ask(holder, 100);
  holder.hold->complete();
  std::vector<std::unique_ptr<Client>> waiting;
  for (size_t i = 0; i < 1'025; ++i) {
    waiting.push_back(std::make_unique<Client>());
    ask(*waiting.back(), 1);
  }
  turn();
  EXPECT_TRUE(waiting.front()->pushed_out);
  EXPECT_FALSE(waiting[1]->pushed_out);
  EXPECT_EQ(budget_->waiting(), 1'024u);
  for (const auto& client : waiting) client->hold->release();
  turn();
}

TEST_F(MessageRoomTest, WhenTheFrontOfALineThatIsTooLongGoesThoseBehindItAreServed) {
  Client holder, front;
  ask(holder, 60);
  holder.hold->complete();
  ask(front, 100);
  std::vector<std::unique_ptr<Client>> waiting;
  for (size_t i = 0; i < 1'024; ++i) {
    waiting.push_back(std::make_unique<Client>());
    ask(*waiting.back(), 1);
  }
  turn();
  EXPECT_TRUE(front.pushed_out);
  EXPECT_EQ(waiting.front()->answers, std::vector<bool>({true}));
  EXPECT_EQ(budget_->held_bytes(), 100u);
  for (const auto& client : waiting) client->hold->release();
  turn();
}

}  // namespace
}  // namespace outrigger
