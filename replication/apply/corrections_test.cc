// Where an app's increments count on a bound that shows, the applier puts right what its store
// holds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "config/policy.h"
#include "replication/merge/merge.h"
#include "replication/outbox/memory/memory_outbox.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::SizeIs;

Settings bounded() {
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  rule.fields = {{{"n"}, PathType::kBounded}};
  rule.fields.front().bounds = Bounds{0, 10};
  return settings;
}

class CorrectionsTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  CorrectionsTest() {
    for (TestSite* site : {&oslo_, &paris_, &alone_}) {
      site->kill();
      site->replica_options.policy = &policy_;
      site->open();
      EXPECT_TRUE(site->recover().has_value());
    }
  }
  static void expect_stock(const TestSite& site, int64_t n) { EXPECT_EQ(site.number(1, "n"), n); }
  static std::vector<std::string> sums(const TestSite& site) {
    std::vector<std::string> sums;
    for (const LedgerEntry& entry : site.ledger()) {
      EXPECT_EQ(entry.kind, loss_kind_text(merge::LossKind::kBounded));
      sums.push_back(bson::to_json(entry.value.view()));
    }
    return sums;
  }
  // Another run of the store answers, which holds `document` as the last one of it.
  static void come_back_with(TestSite& site, const std::string& document) {
    site.mongod.put(kTestNs, document);
    StoreInfo info = *site.mongod.info();
    info.process_id = "process-1001";
    site.mongod.set_info(info);
    auto put_back = site.recovery->put_back_step(site.mongod, true);
    ASSERT_TRUE(put_back.has_value()) << put_back.error().message();
    EXPECT_TRUE(*put_back);
  }
  // The first step that does not work; nothing is corrected by it.
  static void expect_trouble(TestSite& site) {
    for (int i = 0; i < 3; ++i) {
      auto outcome = site.applier->step();
      ASSERT_TRUE(outcome.has_value());
      if (*outcome == StepOutcome::kTrouble) return;
    }
    FAIL() << "all went well";
  }

  Policy policy_{bounded()};
  TestSite oslo_{"oslo", {"oslo", "paris"}, memory_outbox(), GetParam()};
  TestSite paris_{"paris", {"oslo", "paris"}, memory_outbox(), GetParam()};
  TestSite alone_{"alone", {"alone"}, memory_outbox(), GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Stores, CorrectionsTest,
                         ::testing::Values(StoreKind::kStandalone, StoreKind::kSingleMember),
                         [](const auto& kind) {
                           return kind.param == StoreKind::kStandalone ? "Standalone" : "Set";
                         });

TEST_P(CorrectionsTest, AnIncrementThatLeavesTheBoundsDoesNotStayInTheStore) {
  oslo_.insert(1, {{"n", number(3)}});
  oslo_.inc(1, "n", -5);
  expect_stock(oslo_, -2);
  oslo_.apply_all();
  expect_stock(oslo_, 0);
  EXPECT_THAT(sums(oslo_), SizeIs(1));
  exchange(oslo_, paris_);
  expect_stock(paris_, 0);
  EXPECT_EQ(sums(paris_), sums(oslo_));
}

TEST_P(CorrectionsTest, WhatIsAddedCountsOnTheSumAndNotOnTheBound) {
  oslo_.insert(1, {{"n", number(10)}});
  exchange(oslo_, paris_);
  oslo_.inc(1, "n", -7);
  paris_.inc(1, "n", -6);
  exchange(oslo_, paris_);
  expect_stock(oslo_, 0);
  expect_stock(paris_, 0);
  EXPECT_EQ(sums(oslo_), std::vector<std::string>{"-3"});
  EXPECT_EQ(oslo_.ledger(), paris_.ledger());
  paris_.inc(1, "n", 5);
  expect_stock(paris_, 5);
  paris_.apply_all();
  expect_stock(paris_, 2);
  exchange(oslo_, paris_);
  expect_stock(oslo_, 2);
  EXPECT_THAT(sums(paris_), SizeIs(1));
  settle_down({&oslo_, &paris_});
  for (const TestSite* site : {&oslo_, &paris_}) EXPECT_EQ(site->status().rows, 0);
}

TEST_P(CorrectionsTest, EachTimeTheBoundBeginsToShowIsToldOnce) {
  oslo_.insert(1, {{"n", number(3)}});
  exchange(oslo_, paris_);
  for (int crossing = 1; crossing <= 2; ++crossing) {
    for (int i = 0; i < 5; ++i) {
      oslo_.inc(1, "n", -2);
      if (i % 2 == 0) exchange(oslo_, paris_);
      paris_.inc(1, "n", -1);
      if (i % 2 == 1) oslo_.apply_all();
    }
    exchange(oslo_, paris_);
    for (int i = 0; i < 9; ++i) oslo_.inc(1, "n", 1);
    paris_.inc(1, "n", 0);
    exchange(oslo_, paris_);
    for (const TestSite* site : {&oslo_, &paris_}) EXPECT_THAT(sums(*site), SizeIs(crossing));
    paris_.inc(1, "n", 9);
    exchange(oslo_, paris_);
    for (const TestSite* site : {&oslo_, &paris_}) expect_stock(*site, 6 + 3 * (crossing - 1));
  }
}

TEST_P(CorrectionsTest, WhatIsKilledBeforeItCorrectsDoesSoLater) {
  oslo_.insert(1, {{"n", number(3)}});
  oslo_.inc(1, "n", -5);
  oslo_.restart();
  expect_stock(oslo_, -2);
  oslo_.apply_all();
  expect_stock(oslo_, 0);
  oslo_.restart();
  oslo_.apply_all();
  expect_stock(oslo_, 0);
  EXPECT_THAT(sums(oslo_), SizeIs(1));
}

TEST_P(CorrectionsTest, WhatIsKilledAsItCorrectsGoesOnWithThat) {
  oslo_.insert(1, {{"n", number(3)}});
  oslo_.inc(1, "n", -5);
  oslo_.mongod.crash_after(0);
  expect_trouble(oslo_);
  oslo_.restart();
  expect_stock(oslo_, 0);
}

TEST_P(CorrectionsTest, WhatTheStoreForgetsOfItIsCorrectedAgain) {
  oslo_.insert(1, {{"n", number(3)}});
  oslo_.inc(1, "n", -5);
  const std::string held = *oslo_.document(1);
  oslo_.replica->journaled(oslo_.replica->answered());
  oslo_.apply_all();
  expect_stock(oslo_, 0);
  come_back_with(oslo_, held);
  expect_stock(oslo_, -2);
  oslo_.apply_all();
  expect_stock(oslo_, 0);
  EXPECT_THAT(sums(oslo_), SizeIs(1));
}

TEST_P(CorrectionsTest, AStoreThatDoesNotAnswerIsAskedAgain) {
  oslo_.insert(1, {{"n", number(3)}});
  oslo_.inc(1, "n", -5);
  oslo_.mongod.fail_next(1);
  expect_trouble(oslo_);
  oslo_.apply_all();
  expect_stock(oslo_, 0);
}

TEST_P(CorrectionsTest, ADocumentThatAppsWriteToAllTheTimeHasItsTurn) {
  oslo_.insert(1, {{"n", number(3)}});
  auto first = oslo_.begin(TestSite::incrementing(1, "n", -5));
  oslo_.store(*first);
  oslo_.settle(std::move(first));
  auto second = oslo_.begin(TestSite::incrementing(1, "n", -1));
  oslo_.store(*second);
  oslo_.flush();
  oslo_.apply_all();
  expect_stock(oslo_, -3);
  oslo_.settle(std::move(second));
  EXPECT_EQ(oslo_.begin(TestSite::incrementing(1, "n", -1)), nullptr);
  oslo_.flush();
  oslo_.apply_all();
  expect_stock(oslo_, 0);
  oslo_.inc(1, "n", 5);
  oslo_.apply_all();
  expect_stock(oslo_, 2);
}

TEST_P(CorrectionsTest, ADocumentThatIsSetAsideMeanwhileDoesNotKeepItsTurn) {
  oslo_.insert(1, {{"n", number(3)}, {"m", number(1)}});
  exchange(oslo_, paris_);
  paris_.set(1, "m", 2);
  oslo_.inc(1, "n", -5);
  auto first = oslo_.begin(TestSite::incrementing(1, "n", -1));
  oslo_.store(*first);
  pull(paris_, oslo_);  // the record waits, and behind it the turn
  oslo_.mongod.reject(kTestNs, number(1));
  oslo_.settle(std::move(first));
  oslo_.flush();
  oslo_.apply_all();
  ASSERT_EQ(oslo_.status().not_applied, 1u);
  auto next = oslo_.begin(TestSite::incrementing(1, "n", -1));
  ASSERT_NE(next, nullptr) << "nobody may write to it any more";
  oslo_.drop(std::move(next));
  oslo_.mongod.allow(kTestNs, number(1));
  oslo_.applier->try_aside_again();
  oslo_.apply_all();
  expect_stock(oslo_, 0);
  EXPECT_EQ(oslo_.number(1, "m"), 2);
}

TEST_P(CorrectionsTest, WhatIsRememberedStaysUntilTheStoreHasBeenCorrected) {
  alone_.insert(1, {{"n", number(10)}});
  alone_.inc(1, "n", -13);
  alone_.apply_all();
  alone_.collect();
  EXPECT_EQ(alone_.status().rows, 1);
  alone_.inc(1, "n", 5);
  alone_.collect();
  alone_.collect();
  expect_stock(alone_, 5);
  alone_.apply_all();
  expect_stock(alone_, 2);
  alone_.collect();
  alone_.collect();
  EXPECT_EQ(alone_.status().rows, 1) << "the store may forget that";
  alone_.apply_all();
  alone_.collect();
  alone_.collect();
  EXPECT_EQ(alone_.status().rows, 0);
  alone_.inc(1, "n", 1);
  alone_.apply_all();
  expect_stock(alone_, 3);
}

TEST_P(CorrectionsTest, ADocumentThatIsGoneByThenIsLeftAlone) {
  oslo_.insert(1, {{"n", number(3)}});
  oslo_.inc(1, "n", -5);
  oslo_.remove(1);
  oslo_.apply_all();
  EXPECT_EQ(oslo_.show(1), "none");
  EXPECT_EQ(sums(oslo_), std::vector<std::string>{"-2"});
}

TEST_P(CorrectionsTest, ADocumentThatWasTakenAwayAroundTheSidecarIsNotMadeAgain) {
  oslo_.insert(1, {{"n", number(3)}, {"m", number(1)}});
  exchange(oslo_, paris_);
  oslo_.inc(1, "n", -5);
  oslo_.mongod.remove(kTestNs, number(1));
  oslo_.apply_all();
  EXPECT_EQ(oslo_.show(1), "none");
  const auto count = [&](const char* kind) {
    const std::vector<LedgerEntry> ledger = oslo_.ledger();
    return std::count_if(ledger.begin(), ledger.end(),
                         [&](const LedgerEntry& entry) { return entry.kind == kind; });
  };
  EXPECT_EQ(count(kMissing), 1);
  oslo_.restart();
  oslo_.apply_all();
  EXPECT_EQ(oslo_.show(1), "none");
  EXPECT_EQ(count(kMissing), 1) << "the note of it has ended";
}

TEST_P(CorrectionsTest, AValueThatIsAssignedIsNotCorrected) {
  oslo_.insert(1, {{"n", number(3)}});
  oslo_.inc(1, "n", -5);
  oslo_.set(1, "n", 77);
  oslo_.apply_all();
  expect_stock(oslo_, 77);
}

TEST_P(CorrectionsTest, WhatAPeerWritesElsewhereInTheDocumentComesWithIt) {
  oslo_.insert(1, {{"n", number(3)}, {"m", number(1)}});
  exchange(oslo_, paris_);
  paris_.set(1, "m", 2);
  oslo_.inc(1, "n", -5);
  exchange(oslo_, paris_);
  for (const TestSite* site : {&oslo_, &paris_}) {
    expect_stock(*site, 0);
    EXPECT_EQ(site->number(1, "m"), 2);
  }
}

}  // namespace
}  // namespace outrigger
