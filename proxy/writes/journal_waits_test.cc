#include "proxy/writes/journal_waits.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>

namespace outrigger {
namespace {

using Role = JournalWaits::Role;
using Outcome = JournalWaits::Outcome;

net::Task<void> pass_a_while(net::Loop& loop) {
  net::Timer timer(loop);
  co_await timer.sleep_ms(1);
}

class JournalWaitsTest : public testing::Test {
 protected:
  // So many are under way that sharing is worth it.
  void SetUp() override { keep_busy(JournalWaits::kSharingMin); }
  void keep_busy(size_t writes) {
    others_.clear();
    for (size_t i = 0; i < writes; ++i) others_.emplace_back(waits_, true).leave_turn();
  }
  // Writes that go out together, in this order; those that lead or wait by themselves last.
  std::vector<Role> send(size_t writes) {
    const size_t first = writes_.size();
    for (size_t i = 0; i < writes; ++i) writes_.emplace_back(waits_, true);
    std::vector<Role> roles;
    for (size_t i = first; i < writes_.size(); ++i) roles.push_back(writes_[i].send());
    return roles;
  }
  // mongod answers the n-th write of all, a follower.
  void answer(size_t n, uint32_t at) { shots_[n] = writes_.at(n).answered(Timestamp{1, at}); }
  // It answers the n-th, a leader, whose connection is older than all writes unless said.
  void lead(size_t n, uint32_t at, uint64_t opened_us = 0) {
    writes_.at(n).led(Timestamp{1, at}, opened_us);
  }
  // What the n-th was told; nothing yet: std::nullopt.
  std::optional<Outcome> told(size_t n) {
    const JournalWaits::Shot& shot = shots_.at(n);
    if (!shot->is_set()) return std::nullopt;
    return loop_.block_on(wait(shot));
  }
  static net::Task<Outcome> wait(JournalWaits::Shot shot) {
    const Outcome outcome = co_await shot->wait();
    co_return outcome;
  }
  void run_until_asked(size_t times) {
    while (asked_.size() < times) loop_.block_on(pass_a_while(loop_));
  }
  void store_says(size_t n, const Status& status) {
    asked_.at(n)(status);
    loop_.block_on(pass_a_while(loop_));
  }
  net::Loop loop_;
  std::vector<std::function<void(const Status&)>> asked_;
  std::vector<size_t> served_;
  std::vector<bool> alone_;  // what was said of each write sent
  JournalWaits waits_{loop_, [this](auto done) { asked_.push_back(std::move(done)); },
                      [this](size_t writes) { served_.push_back(writes); },
                      [this](bool alone) { alone_.push_back(alone); }};
  std::deque<JournalWaits::Write> others_;
  std::deque<JournalWaits::Write> writes_;
  std::map<size_t, JournalWaits::Shot> shots_;
};

TEST_F(JournalWaitsTest, TheLastWriteOfATurnLeadsTheOthers) {
  EXPECT_EQ(send(3), (std::vector{Role::kFollows, Role::kFollows, Role::kLeads}));
}

TEST_F(JournalWaitsTest, FewWritesWaitEachByThemselves) {
  keep_busy(JournalWaits::kSharingMin - 3);
  EXPECT_EQ(send(2), (std::vector{Role::kByItself, Role::kByItself}));
  EXPECT_EQ(send(3), (std::vector{Role::kFollows, Role::kFollows, Role::kLeads}));
}

TEST_F(JournalWaitsTest, FewWritesAreStillLedForThoseThatWait) {
  send(2);
  answer(0, 12);
  keep_busy(0);
  EXPECT_EQ(send(2), (std::vector{Role::kByItself, Role::kLeads}));
}

TEST_F(JournalWaitsTest, WhatHasEndedIsNotUnderWay) {
  for (JournalWaits::Write& each : others_) each.end();
  EXPECT_EQ(send(2), (std::vector{Role::kByItself, Role::kByItself}));
}

TEST_F(JournalWaitsTest, AloneInItsTurnAWriteWaitsByItself) {
  EXPECT_EQ(send(1), std::vector{Role::kByItself});
  EXPECT_EQ(send(1), std::vector{Role::kByItself});
}

TEST_F(JournalWaitsTest, TellsWhetherAWriteIsTheOnlyOne) {
  keep_busy(0);
  send(1);
  send(1);
  writes_.front().end();
  writes_.back().end();
  send(1);
  EXPECT_EQ(alone_, (std::vector{true, false, true}));
}

TEST_F(JournalWaitsTest, AWriteThatMayNotShareIsCompanyToo) {
  keep_busy(0);
  JournalWaits::Write other(waits_, false);
  EXPECT_EQ(other.send(), Role::kByItself);
  send(1);
  EXPECT_EQ(alone_, (std::vector{true, false}));
}

TEST_F(JournalWaitsTest, ALeaderCoversWhatWasWrittenUpToItsOwnTime) {
  send(4);
  answer(0, 10);
  answer(1, 12);
  answer(2, 11);
  lead(3, 11);
  EXPECT_EQ(told(0), Outcome::kJournaled);
  EXPECT_EQ(told(1), std::nullopt);
  EXPECT_EQ(told(2), Outcome::kJournaled);
  EXPECT_EQ(served_, std::vector<size_t>{3});
}

TEST_F(JournalWaitsTest, WhatIsLeftIsLedByTheNextWrite) {
  send(2);
  answer(0, 12);
  lead(1, 11);
  EXPECT_EQ(send(1), std::vector{Role::kLeads});
  lead(2, 13);
  EXPECT_EQ(told(0), Outcome::kJournaled);
}

TEST_F(JournalWaitsTest, AnAnswerThatNamesNoTimeIsCoveredByNoLeader) {
  send(2);
  shots_[0] = writes_[0].answered({});
  lead(1, 100);
  EXPECT_EQ(told(0), std::nullopt);
}

TEST_F(JournalWaitsTest, AConnectionMadeLaterMayBeToAnotherMongod) {
  send(2);
  answer(0, 10);
  lead(1, 100, loop_.now_us());
  EXPECT_EQ(told(0), std::nullopt);
}

TEST_F(JournalWaitsTest, AWriteThatLeavesTheTurnIsNotWaitedFor) {
  writes_.emplace_back(waits_, true);
  writes_.emplace_back(waits_, true);
  writes_[1].leave_turn();
  EXPECT_EQ(writes_[0].send(), Role::kByItself);
  EXPECT_EQ(writes_[1].send(), Role::kByItself);
}

TEST_F(JournalWaitsTest, AWriteThatLeftItsTurnLeadsThoseWhoWaitByThen) {
  writes_.emplace_back(waits_, true);
  writes_.emplace_back(waits_, true);
  EXPECT_EQ(writes_[0].send(), Role::kFollows);
  writes_[1].leave_turn();
  answer(0, 10);
  EXPECT_EQ(writes_[1].send(), Role::kLeads);
  lead(1, 11);
  EXPECT_EQ(told(0), Outcome::kJournaled);
}

TEST_F(JournalWaitsTest, AWriteThatMayNotShareTakesNoPart) {
  writes_.emplace_back(waits_, true);
  writes_.emplace_back(waits_, false);
  EXPECT_EQ(writes_[0].send(), Role::kByItself);
  EXPECT_EQ(writes_[1].send(), Role::kByItself);
}

TEST_F(JournalWaitsTest, TheStoreIsAskedOnceForAllNobodyLeads) {
  send(3);
  answer(0, 10);
  answer(1, 11);
  writes_.pop_back();  // the leader's connection broke
  run_until_asked(1);
  EXPECT_EQ(told(0), std::nullopt);
  store_says(0, {});
  EXPECT_EQ(told(0), Outcome::kIfStillOurs);
  EXPECT_EQ(told(1), Outcome::kIfStillOurs);
  EXPECT_EQ(served_, std::vector<size_t>{2});
}

TEST_F(JournalWaitsTest, WhatIsAnsweredAfterTheStoreWasAskedIsAskedForAnew) {
  send(3);
  answer(0, 10);
  writes_.pop_back();
  run_until_asked(1);
  loop_.block_on(pass_a_while(loop_));
  answer(1, 11);
  store_says(0, {});
  EXPECT_EQ(told(0), Outcome::kIfStillOurs);
  EXPECT_EQ(told(1), std::nullopt);
  run_until_asked(2);
  store_says(1, {});
  EXPECT_EQ(told(1), Outcome::kIfStillOurs);
}

TEST_F(JournalWaitsTest, ALeaderThatIsHeldUpIsNotWaitedForForever) {
  send(2);
  answer(0, 10);
  run_until_asked(1);  // the leader still has no answer
  store_says(0, {});
  EXPECT_EQ(told(0), Outcome::kIfStillOurs);
}

TEST_F(JournalWaitsTest, AStoreThatCannotTellLeavesTheWriteInDoubt) {
  send(2);
  answer(0, 10);
  writes_.pop_back();
  run_until_asked(1);
  store_says(0, fail(ErrorCode::kUnavailable, "wait for the journal", "", "mongod is away"));
  EXPECT_EQ(told(0), Outcome::kUnknown);
}

TEST(JournalWaitsEnd, AStoreThatAnswersTooLateFindsNobody) {
  net::Loop loop;
  std::function<void(const Status&)> late;
  {
    JournalWaits waits(
        loop, [&](auto done) { late = std::move(done); }, [](size_t) {}, [](bool) {});
    JournalWaits::Shot shot;
    {
      std::deque<JournalWaits::Write> writes;
      for (size_t i = 0; i < JournalWaits::kSharingMin; ++i) writes.emplace_back(waits, true);
      EXPECT_EQ(writes.front().send(), Role::kFollows);
      shot = writes.front().answered(Timestamp{1, 1});
    }
    while (!late) loop.block_on(pass_a_while(loop));
  }
  late({});
  loop.block_on(pass_a_while(loop));
}

}  // namespace
}  // namespace outrigger
