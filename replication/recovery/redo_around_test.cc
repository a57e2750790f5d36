// Somebody else wrote to the store while it was not looked at: what redo makes of that.
#include <gtest/gtest.h>

#include "replication/recovery/redo.h"
#include "replication/testing/redo_testing.h"

namespace outrigger {
namespace {

class RedoAroundTest : public RedoTest {
 protected:
  RedoAroundTest() {
    paris_.insert(2, {{"a", number(1)}});
    exchange(paris_, oslo_);
    paris_.replica->journaled(paris_.replica->answered());
    EXPECT_TRUE(paris_.replica->collect_step(1000).has_value());  // that is on disk now
  }
  // Somebody deletes it, and mongod is started anew.
  void come_back_without_1() { come_back_with({{2, *paris_.document(2)}}); }
  void expect_gone_everywhere() {
    settle_down({&paris_, &oslo_});
    EXPECT_EQ(paris_.show(1), "none");
    EXPECT_EQ(oslo_.show(1), "none");
    EXPECT_EQ(paris_.status().rows, 0u);
  }
};

TEST_F(RedoAroundTest, ADocumentThatTheJournalHeldAndThatIsMissingIsDeletedEverywhere) {
  paris_.set(1, "a", 2);
  come_back_without_1();
  put_back();
  expect_gone_everywhere();
}

TEST_F(RedoAroundTest, TheSameWhereTheSidecarWasAway) {
  paris_.set(1, "a", 2);
  paris_.kill();
  come_back_without_1();
  paris_.open();
  ASSERT_TRUE(paris_.recover().has_value());
  expect_gone_everywhere();
}

TEST_F(RedoAroundTest, AMissingDocumentOnWhichSomebodyWorksIsLeftToHim) {
  paris_.set(1, "a", 2);
  LockRequest other;
  other.add(document_lock_key(kTestNs, bson::make_int32(1).view()), LockMode::kExclusive);
  ASSERT_TRUE(paris_.locks.acquire(other, [] {}));
  come_back_without_1();
  put_back();
  paris_.locks.release(other);
  exchange(paris_, oslo_);
  EXPECT_EQ(oslo_.number(1, "a"), 2);
}

TEST_F(RedoAroundTest, AMissingDocumentThatABatchIsAboutToWriteIsLeftToThat) {
  oslo_.set(1, "a", 2);
  paris_.mongod.crash_after(0);
  pull(oslo_, paris_);
  paris_.kill();
  come_back_without_1();
  paris_.open();
  ASSERT_TRUE(paris_.recover().has_value());
  exchange(paris_, oslo_);
  EXPECT_EQ(oslo_.number(1, "a"), 2);
}

TEST_F(RedoAroundTest, WhereTheWholeCollectionIsGoneNothingIsDeleted) {
  paris_.set(1, "a", 2);
  come_back_with({});
  put_back();
  exchange(paris_, oslo_);
  EXPECT_EQ(oslo_.number(1, "a"), 2);
}

TEST_F(RedoAroundTest, TheSameRunOfMongodIsLeftAlone) {
  Documents before = documents();
  paris_.set(1, "a", 2);
  paris_.mongod.put(kTestNs, before.at(1));  // by somebody else
  put_back();
  expect(before);
}

TEST_F(RedoAroundTest, WhatTheJournalIsKnownToHoldIsNotTouched) {
  paris_.set(1, "a", 2);
  paris_.replica->journaled(paris_.replica->answered());
  Documents around = documents();
  around[1] = bson::Writer().int32("_id", 1).int32("a", 77).finish();  // by somebody else
  come_back_with(around);
  put_back();
  expect(around);
}

TEST_F(RedoAroundTest, AValueThatNoRecordGaveGoesToTheLedgerBeforeItIsOverwritten) {
  paris_.insert(3, {{"a", number(1)}, {"b", number(1)}});
  Documents found = documents();
  paris_.set(3, "a", 2);
  paris_.inc(3, "n", 3);
  paris_.inc(3, "n", 3);
  const Documents answered = documents();
  found[3] = bson::Writer()
                 .int32("_id", 3)
                 .int32("a", 77)
                 .int32("b", 1)
                 .int32("n", 3)
                 .int32("other", 5)
                 .finish();
  come_back_with(found);
  paris_.mongod.crash_after(0);
  EXPECT_FALSE(paris_.recovery->put_back_step(paris_.mongod).has_value());
  EXPECT_EQ(paris_.ledger().size(), 2u);
  for (int times = 0; times < 2; ++times) {
    come_back_with(found);
    put_back();
    expect(answered);
    std::map<std::string, bson::OwnedValue> lost;
    for (const LedgerEntry& entry : paris_.ledger()) {
      EXPECT_EQ(entry.kind, kUnrecorded);
      lost.emplace(entry.path.front(), entry.value);
    }
    EXPECT_EQ(lost,
              (std::map<std::string, bson::OwnedValue>{{"a", number(77)}, {"other", number(5)}}));
    EXPECT_EQ(paris_.ledger().size(), 2u);
  }
}

}  // namespace
}  // namespace outrigger
