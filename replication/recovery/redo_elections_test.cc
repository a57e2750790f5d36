// Another member of the store's set is elected, which lacks the last of what the one before it
// answered: what it is given, and which of the two is believed.
#include <gtest/gtest.h>

#include "replication/recovery/oplog_time.h"
#include "replication/recovery/oplog_window.h"
#include "replication/recovery/redo.h"
#include "replication/site/state/meta_keys.h"
#include "replication/testing/redo_testing.h"

namespace outrigger {
namespace {

class ElectionsTest : public RedoTest {
 protected:
  ElectionsTest() : RedoTest(StoreKind::kMultiMember) { elect(1); }

  static std::string run(int term) {
    std::string name = "process-000" + std::to_string(term) + std::string(12, '\0');
    name.back() = static_cast<char>(term);
    return name;
  }
  // In which term the primary is that answers; what it holds is left as it is.
  void answers(int term) {
    StoreInfo info = *paris_.mongod.info();
    info.process_id = run(term);
    paris_.mongod.set_info(info);
  }
  void elect(int term) {
    answers(term);
    put_back();
  }
  // Another one is, and holds just this.
  void lose_to(int term, const Documents& held) {
    come_back_with(held);
    answers(term);
  }
  [[nodiscard]] const ServedProcess& served() const { return paris_.recovery->served(); }
};

TEST_F(ElectionsTest, WhatAPeerWroteIsPutBackLikeWhatAppsWrote) {
  paris_.insert(3, {{"a", number(1)}});
  paris_.replica->journaled(paris_.replica->answered());
  exchange(paris_, oslo_);
  const Documents held = documents();
  oslo_.set(1, "a", 7);
  oslo_.inc(1, "n", 100);
  oslo_.insert(2, {{"a", number(2)}});
  oslo_.inc(2, "n", 3);
  oslo_.remove(3);
  exchange(paris_, oslo_);
  paris_.inc(1, "n", 5);
  paris_.inc(2, "n", 4);
  const Documents answered = documents();
  lose_to(2, held);
  put_back();
  expect(answered);
  EXPECT_EQ(paris_.number(1, "n"), 115);
  settle_down({&paris_, &oslo_});
  for (int id = 1; id <= kIdsMax; ++id) EXPECT_EQ(paris_.show(id), oslo_.show(id));
}

TEST_F(ElectionsTest, OneThatIsElectedAgainIsAnotherRunOfTheSameProcess) {
  const Documents held = documents();
  paris_.set(1, "a", 2);
  const Documents answered = documents();
  lose_to(2, held);  // it was rolled back in between
  StoreInfo info = *paris_.mongod.info();
  info.process_id.replace(0, 12, run(1).substr(0, 12));
  paris_.mongod.set_info(info);
  EXPECT_FALSE(served().is(info.process_id));
  put_back();
  expect(answered);
  EXPECT_TRUE(served().is(info.process_id));
}

TEST_F(ElectionsTest, OneOfAnEarlierTermIsNotServedAgain) {
  elect(2);
  paris_.set(1, "a", 2);
  answers(1);
  const auto done = paris_.recovery->put_back_step(paris_.mongod, true);
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(served().is(run(2)));
  EXPECT_FALSE(served().is(run(1)));
}

TEST_F(ElectionsTest, AnAnswerOfTheOldOneCountsForNothingOnceTheLogIsLookedAt) {
  auto pending = paris_.begin(TestSite::setting(1, "b", number(3)));
  answers(2);
  EXPECT_TRUE(served().admits(run(1)));
  EXPECT_FALSE(*paris_.recovery->put_back_step(paris_.mongod, true)) << "one is under way";
  EXPECT_FALSE(served().admits(run(1))) << "it may still answer";
  EXPECT_FALSE(served().admits(run(2)));
  paris_.settle(std::move(pending));
  put_back();
  EXPECT_TRUE(served().admits(run(2)));
}

TEST_F(ElectionsTest, NothingIsPutBackAsLongAsAppsAreConnectedToTheOldOne) {
  const Documents held = documents();
  paris_.set(1, "a", 2);
  const Documents answered = documents();
  lose_to(2, held);
  EXPECT_FALSE(*paris_.recovery->put_back_step(paris_.mongod, false));
  expect(held);
  EXPECT_FALSE(served().is(run(2)));
  put_back();
  expect(answered);
}

TEST_F(ElectionsTest, TheOneThatWasServedIsServedAgainIfNoOtherOneStays) {
  auto pending = paris_.begin(TestSite::setting(1, "b", number(3)));
  answers(2);
  EXPECT_FALSE(*paris_.recovery->put_back_step(paris_.mongod, true));
  paris_.settle(std::move(pending));
  answers(1);  // what is asked of the set may still meet it
  put_back();
  EXPECT_TRUE(served().admits(run(1)));
}

TEST_F(ElectionsTest, TheOplogIsReadFromWhereTheClockOfTheNewOneStands) {
  const auto note = [&](uint32_t seconds) {
    outbox::Batch batch;
    batch.put_meta(meta_keys::kOplogTime, encode_oplog_time({seconds, 0}));
    ASSERT_TRUE(paris_.outbox->write(std::move(batch)));
  };
  const auto noted = [&] {
    return decode_oplog_time(paris_.outbox->meta(meta_keys::kOplogTime)->value_or(""))->seconds;
  };
  const uint32_t now = paris_.mongod.last_oplog_time()->seconds;
  note(now + 60);
  elect(2);
  EXPECT_EQ(noted(), now);
  ASSERT_GT(now, 0u);
  note(now - 1);
  elect(3);
  EXPECT_EQ(noted(), now - 1);
}

TEST_F(ElectionsTest, AMajorityIsWaitedForOnceAtEachPrimary) {
  OplogWindow window(paris_.replica->parts(), *paris_.outbox, [](const std::string&) {});
  const std::vector<std::string> sessions = {std::string(16, 's')};
  const auto waits = [&] {
    const size_t before = paris_.mongod.settled_waits();
    EXPECT_TRUE(window.read(paris_.mongod, sessions).has_value());
    return paris_.mongod.settled_waits() - before;
  };
  EXPECT_EQ(waits(), 1u);
  EXPECT_EQ(waits(), 0u);
  answers(2);
  EXPECT_EQ(waits(), 1u);
  answers(3);
  paris_.mongod.lose_majority(ErrorCode::kUnavailable);
  EXPECT_FALSE(window.read(paris_.mongod, sessions).has_value()) << "nothing is known of one";
  paris_.mongod.lose_majority(ErrorCode::kTimeout);
  EXPECT_EQ(waits(), 1u);
  EXPECT_EQ(waits(), 0u) << "there may be none for long";
  answers(4);
  EXPECT_EQ(waits(), 1u) << "the next one may have one";
  paris_.mongod.lose_majority({});
  paris_.clock.advance_ms(30'001);
  EXPECT_EQ(waits(), 1u);
  EXPECT_EQ(waits(), 0u);
}

}  // namespace
}  // namespace outrigger
