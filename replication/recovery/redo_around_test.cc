// Somebody else wrote to the store while it was not looked at: what redo makes of that.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "replication/recovery/redo.h"
#include "replication/testing/redo_testing.h"

namespace outrigger {
namespace {

using RedoAroundTest = RedoTest;

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
  paris_.insert(2, {{"a", number(1)}, {"b", number(1)}});
  Documents found = documents();
  paris_.set(2, "a", 2);
  paris_.inc(2, "n", 3);
  paris_.inc(2, "n", 3);
  const Documents answered = documents();
  found[2] = bson::Writer()
                 .int32("_id", 2)
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

TEST_F(RedoAroundTest, EveryValueThatNoRecordGaveGoesToTheLedger) {
  paris_.insert(2, {{"a", number(1)}});
  Documents found = documents();
  paris_.set(2, "a", 2);
  const Documents answered = documents();
  for (const int value : {77, 78, 77}) {
    found[2] = bson::Writer().int32("_id", 2).int32("a", value).finish();
    come_back_with(found);
    put_back();
    expect(answered);
  }
  std::vector<int> lost;
  for (const LedgerEntry& entry : paris_.ledger()) lost.push_back(entry.value.view().as_int32());
  std::sort(lost.begin(), lost.end());
  EXPECT_EQ(lost, (std::vector<int>{77, 78}));
  EXPECT_EQ(paris_.status().conflicts[kUnrecorded], 2u);
}

TEST_F(RedoAroundTest, ADocumentThatItsJournalHeldAndThatIsMissingIsLeftSoAndTold) {
  paris_.replica->journaled(paris_.replica->answered());
  paris_.set(1, "a", 2);
  Documents without = documents();
  without.erase(1);
  for (int times = 0; times < 2; ++times) {
    come_back_with(without);
    put_back();
    expect(without);
    ASSERT_EQ(paris_.ledger().size(), 1u);
    EXPECT_EQ(paris_.ledger().front().kind, kMissing);
    EXPECT_EQ(paris_.ledger().front().id, number(1));
  }
  exchange(paris_, oslo_);
  EXPECT_EQ(oslo_.number(1, "a"), 2);
}

TEST_F(RedoAroundTest, WhatStoodWhereAPeersDocumentIsBornGoesToTheLedger) {
  oslo_.insert(2, {{"a", number(1)}});
  Documents found = documents();
  exchange(oslo_, paris_);
  const Documents answered = documents();
  found[2] = bson::Writer().int32("_id", 2).int32("old", 7).finish();
  come_back_with(found);
  put_back();
  expect(answered);
  ASSERT_EQ(paris_.ledger().size(), 1u);
  EXPECT_EQ(paris_.ledger().front().kind, kUnrecorded);
}

}  // namespace
}  // namespace outrigger
