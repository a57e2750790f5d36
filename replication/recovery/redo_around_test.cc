// Somebody else wrote to the store while it was not looked at: what redo makes of that.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
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
  EXPECT_FALSE(paris_.recovery->put_back_step(paris_.mongod, true).has_value());
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
  EXPECT_EQ(paris_.counted(kUnrecorded), 2u);
}

// The store will not take what oslo wrote there.
TEST_F(RedoAroundTest, OfADocumentSetAsideWhatItsAppsWroteComesBackAndNothingElse) {
  std::atomic<bool> refuses = true;
  paris_.mongod.refuse_when(
      [&](const bson::Document& document) { return refuses && document.has("b") ? 11000 : 0; });
  oslo_.set(1, "b", 7);
  exchange(paris_, oslo_);
  ASSERT_EQ(paris_.status().not_applied, 1u);
  paris_.replica->journaled(paris_.replica->answered());
  const Documents journaled = documents();
  paris_.set(1, "a", 5);
  paris_.unset(1, "n");
  const Documents answered = documents();
  for (int times = 0; times < 2; ++times) {
    come_back_with(journaled);
    put_back();
    expect(answered);
    EXPECT_EQ(paris_.status().not_applied, 1u);
  }
  refuses = false;
  paris_.applier->try_aside_again();
  settle_down({&paris_, &oslo_});
  EXPECT_EQ(paris_.number(1, "a"), 5);
  EXPECT_EQ(paris_.number(1, "b"), 7);
  EXPECT_EQ(paris_.show(1), oslo_.show(1));
}

TEST_F(RedoAroundTest, WhereOneAddedToADocumentSetAsideTheStoresNumberStays) {
  paris_.mongod.refuse_when(
      [](const bson::Document& document) { return document.has("b") ? 11000 : 0; });
  oslo_.set(1, "b", 7);
  exchange(paris_, oslo_);
  paris_.replica->journaled(paris_.replica->answered());
  paris_.set(1, "n", 20);
  paris_.inc(1, "n", 1);
  const Documents held = documents();
  paris_.set(1, "a", 5);
  const Documents answered = documents();
  come_back_with(held);
  put_back();
  expect(answered);
}

// What oslo wrote later than paris, of documents that are set aside because of what it wrote last.
class RedoSetAsideTest : public RedoTest {
 protected:
  RedoSetAsideTest() {
    paris_.mongod.refuse_when(
        [](const bson::Document& document) { return document.has("refused") ? 11000 : 0; });
  }
  // Later than all that paris has written, which oslo has not heard of.
  void later(const std::function<void()>& writes) {
    oslo_.clock.advance_ms(50);
    writes();
  }
  void set_aside(int id) {
    later([&] { oslo_.set(id, "refused", 1); });
    pull(oslo_, paris_);
    ASSERT_EQ(paris_.status().not_applied, 1u);
  }
  // The journal held all of it.
  void expect_untouched() {
    const Documents held = documents();
    for (int times = 0; times < 2; ++times) {
      come_back_with(held);
      put_back();
      expect(held);
    }
    EXPECT_EQ(paris_.counted(kUnrecorded), 0u);
  }
};

TEST_F(RedoSetAsideTest, ALaterValueOfAPeerThatIsThereStays) {
  paris_.set(1, "a", 5);
  later([&] { oslo_.set(1, "a", 6); });
  pull(oslo_, paris_);
  ASSERT_EQ(paris_.number(1, "a"), 6);
  set_aside(1);
  expect_untouched();
}

TEST_F(RedoSetAsideTest, WhatPeersPutIntoADocumentThatTwoSitesMadeStays) {
  paris_.upsert(2, {{"b", number(2)}});
  later([&] { oslo_.upsert(2, {{"a", number(1)}}); });
  exchange(paris_, oslo_);
  ASSERT_EQ(paris_.number(2, "a"), 1);
  ASSERT_EQ(paris_.number(2, "b"), 2);
  set_aside(2);
  expect_untouched();
}

TEST_F(RedoSetAsideTest, WhatAPeerMadeInPlaceOfADocumentStays) {
  paris_.set(1, "a", 5);
  exchange(paris_, oslo_);
  later([&] {
    oslo_.remove(1);
    oslo_.upsert(1, {{"b", number(2)}});
  });
  pull(oslo_, paris_);
  set_aside(1);
  expect_untouched();
}

TEST_F(RedoSetAsideTest, WhatAPeerTookAwayLaterStaysAway) {
  paris_.set(1, "a", 5);
  later([&] { oslo_.unset(1, "a"); });
  pull(oslo_, paris_);
  set_aside(1);
  expect_untouched();
}

TEST_F(RedoSetAsideTest, WhatPeersAddedToADocumentBornHereStays) {
  paris_.insert(2, {{"a", number(1)}, {"n", number(1)}});
  pull(paris_, oslo_);
  oslo_.set(2, "b", 1);
  oslo_.inc(2, "n", 4);
  oslo_.unset(2, "a");
  pull(oslo_, paris_);
  ASSERT_EQ(paris_.number(2, "n"), 5);
  set_aside(2);
  expect_untouched();
}

TEST_F(RedoSetAsideTest, WhatPeersAddedToADocumentReplacedHereStays) {
  paris_.replace(1, {{"a", number(2)}, {"n", number(1)}});
  pull(paris_, oslo_);
  oslo_.set(1, "b", 1);
  oslo_.inc(1, "n", 4);
  pull(oslo_, paris_);
  set_aside(1);
  expect_untouched();
}

TEST_F(RedoSetAsideTest, WhatAppsWroteAfterAPeerComesBack) {
  paris_.set(1, "a", 5);
  later([&] { oslo_.set(1, "a", 6); });
  pull(oslo_, paris_);
  const Documents journaled = documents();
  paris_.set(1, "a", 8);
  set_aside(1);
  const Documents answered = documents();
  come_back_with(journaled);
  put_back();
  expect(answered);
}

// It is in the row alone: what apps were told is nearer than what was there before.
TEST_F(RedoSetAsideTest, ALaterValueOfAPeerThatNeverCameIntoTheStoreTakesNothingAway) {
  set_aside(1);
  const Documents journaled = documents();
  paris_.set(1, "a", 5);
  const Documents answered = documents();
  later([&] { oslo_.set(1, "a", 6); });
  pull(oslo_, paris_);
  expect(answered);
  come_back_with(journaled);
  put_back();
  expect(answered);
}

// ...and a document that was born here, and is gone from the store, comes back as it was born.
TEST_F(RedoSetAsideTest, ADocumentBornHereComesBackWithoutWhatThePeerCouldNotWrite) {
  const Documents journaled = documents();
  paris_.insert(2, {{"a", number(1)}});
  const Documents answered = documents();
  pull(paris_, oslo_);
  set_aside(2);
  come_back_with(journaled);
  put_back();
  expect(answered);
}

TEST_F(RedoSetAsideTest, ADocumentBornAnewHereComesBackWhateverThePeerTookAwayLater) {
  paris_.insert(2, {{"a", number(1)}});
  exchange(paris_, oslo_);
  paris_.replica->journaled(paris_.replica->answered());
  const Documents journaled = documents();
  paris_.remove(2);
  paris_.insert(2, {{"b", number(3)}, {"c", number(4)}});
  const Documents answered = documents();
  pull(paris_, oslo_);
  set_aside(2);
  later([&] { oslo_.unset(2, "c"); });
  pull(oslo_, paris_);
  expect(answered);
  come_back_with(journaled);
  put_back();
  expect(answered);
}

TEST_F(RedoSetAsideTest, WhatMetAUniqueValueThatIsGoneAMomentLaterComesBack) {
  paris_.insert(2, {{"u", number(1)}});
  exchange(paris_, oslo_);
  set_aside(1);
  paris_.replica->journaled(paris_.replica->answered());
  const Documents journaled = documents();
  paris_.set(1, "a", 5);
  paris_.set(2, "u", 2);
  paris_.set(1, "u", 1);
  const Documents answered = documents();
  come_back_with(journaled);
  std::atomic<bool> is_held = true;  // the value 1, by document 2
  paris_.mongod.refuse_when([&](const bson::Document& document) {
    const bool meets = is_held && document.find("_id")->as_int32() == 1 && document.has("u");
    return meets || document.has("refused") ? 11000 : 0;
  });
  paris_.mongod.watch([&](const StoreWrite& write) {
    if (write.id.view().as_int32() == 2) is_held = false;
  });
  put_back();
  expect(answered);
}

TEST_F(RedoSetAsideTest, WhatMeetsAUniqueValueForGoodIsLeft) {
  set_aside(1);
  const Documents journaled = documents();
  paris_.set(1, "u", 1);
  come_back_with(journaled);
  paris_.mongod.refuse_when([](const bson::Document& document) {
    return document.has("u") || document.has("refused") ? 11000 : 0;
  });
  put_back();
  expect(journaled);
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
