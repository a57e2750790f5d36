// Counters under `bounded`: what shows is the sum within bounds, and the sum is what merges.
#include <cmath>

#include "replication/bson/decimal128.h"
#include "replication/merge/body.h"
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

class BoundedCounter : public MergeTest {
 protected:
  BoundedCounter() { rules(bounds_); }

  void rules(const Policy& policy) {
    for (WorldSite* site : all_) site->policy = &policy;
  }
  void start(const bson::OwnedValue& n) {
    insert(a_, {{"n", n}});
    exchange();
  }
  void start(int32_t n) { start(i32(n)); }
  void all_count(int32_t n) { all_show({{"n", i32(n)}}); }
  // Both of these take so much, apart.
  void both_take(int32_t one, int32_t other) {
    inc(a_, "n", -one);
    inc(b_, "n", -other);
    exchange();
  }
  std::vector<Loss> told(const WorldSite& site) const {
    DocumentState state = site.load(id_);
    fill(state, stored(site));
    std::vector<Loss> losses;
    EXPECT_TRUE(document_of(state, &losses).has_value());
    return losses;
  }

  const Policy bounds_ = bounded(Bounds{0, 10});
  const Policy none_ = bounded(std::nullopt);
  const Policy low_ = bounded(Bounds{-2, 5});
  const Policy half_ = bounded(Bounds{0.5, INFINITY});
};

TEST_F(BoundedCounter, ShowsTheBoundThatTheSumLiesBeyond) {
  start(10);
  both_take(7, 6);
  all_count(0);
}

TEST_F(BoundedCounter, ShowsTheUpperBoundToo) {
  start(10);
  both_take(-7, 2);
  all_count(10);
}

TEST_F(BoundedCounter, ShowsTheSumWithinItsBounds) {
  start(10);
  both_take(7, 3);
  all_count(0);
  settle_all();
  for (const WorldSite* site : all_) EXPECT_TRUE(site->rows.empty());
}

TEST_F(BoundedCounter, RemembersWhatIsOwed) {
  start(10);
  both_take(7, 6);
  inc(c_, "n", 5);
  shows(c_, {{"n", i32(2)}});
  all_count(2);
}

TEST_F(BoundedCounter, RemembersWhatIsOwedForHoweverLong) {
  start(10);
  both_take(7, 6);
  settle_all();
  for (const WorldSite* site : all_) EXPECT_FALSE(site->rows.empty());
  all_count(0);
  inc(c_, "n", 5);
  all_count(2);
  settle_all();
  for (const WorldSite* site : all_) EXPECT_TRUE(site->rows.empty());
  all_count(2);
}

TEST_F(BoundedCounter, AnAssignmentEndsWhatIsOwed) {
  start(10);
  both_take(7, 6);
  set(c_, "n", i32(4));
  inc(c_, "n", 1);
  all_count(5);
  settle_all();
  for (const WorldSite* site : all_) EXPECT_TRUE(site->rows.empty());
}

TEST_F(BoundedCounter, AnAssignmentOfWhatIsAboveEndsItToo) {
  insert(a_, {{"c", doc({{"n", i32(10)}})}});
  exchange();
  inc(a_, "c.n", -7);
  inc(b_, "c.n", -6);
  exchange();
  set(c_, "c", doc({{"n", i32(4)}}));
  inc(b_, "c.n", -5);
  all_show({{"c", doc({{"n", i32(0)}})}});
}

TEST_F(BoundedCounter, AValueStandsAsItWasGivenUntilSomethingCountsOnIt) {
  start(50);
  all_count(50);
  set(a_, "n", i32(-4));
  all_count(-4);
  inc(b_, "n", 1);
  shows(b_, {{"n", i32(0)}});
  all_count(0);
  inc(a_, "n", 4);
  all_count(1);
}

TEST_F(BoundedCounter, WhatAnUpsertMakesStandsAsItWasGiven) {
  upsert(a_, {}, {{"n", i32(-5)}});
  all_count(-5);
  inc(b_, "n", 6);
  all_count(1);
}

TEST_F(BoundedCounter, WhatTwoUpsertsAddIsWithinBounds) {
  upsert(a_, {}, {{"n", i32(8)}});
  upsert(b_, {}, {{"n", i32(9)}});
  all_count(10);
}

TEST_F(BoundedCounter, AnIncrementOfItsOwnSiteLeavesTheBoundsNowhere) {
  start(3);
  inc(a_, "n", -5);
  shows(a_, {{"n", i32(0)}});
  inc(a_, "n", 4);
  shows(a_, {{"n", i32(2)}});
  all_count(2);
}

TEST_F(BoundedCounter, TheNewestIncrementTellsTheBounds) {
  start(4);
  both_take(3, 4);
  all_count(0);
  c_.policy = &low_;
  inc(c_, "n", 1);
  all_count(-2);
  b_.policy = &none_;
  inc(b_, "n", -1);
  all_count(-3);
  settle_all();
  for (const WorldSite* site : all_) EXPECT_TRUE(site->rows.empty());
}

TEST_F(BoundedCounter, OfConcurrentIncrementsToo) {
  start(4);
  c_.policy = &low_;
  inc(a_, "n", -9);
  inc(c_, "n", 1);
  all_count(-2);
}

TEST_F(BoundedCounter, ABoundIsOfTheKindOfTheSumWhereThatIsExact) {
  start(bson::make_double(1.5));
  both_take(1, 1);
  all_show({{"n", bson::make_double(0)}});
}

TEST_F(BoundedCounter, ABoundOfAWideSumIsWide) {
  start(bson::make_int64(3));
  both_take(2, 2);
  all_show({{"n", bson::make_int64(0)}});
}

TEST_F(BoundedCounter, ABoundOfADecimalIsADecimal) {
  const auto decimal = [](int64_t n) {
    return bson::OwnedValue(bson::Type::kDecimal128, bson::Decimal128::from_int64(n).to_bytes());
  };
  start(decimal(3));
  both_take(2, 2);
  all_show({{"n", decimal(0)}});
}

TEST_F(BoundedCounter, ABoundWithAFractionIsADouble) {
  rules(half_);
  start(3);
  both_take(2, 2);
  all_show({{"n", bson::make_double(0.5)}});
}

TEST_F(BoundedCounter, WhatIsNoNumberStays) {
  start(bson::make_double(NAN));
  inc(a_, "n", -1);
  exchange();
  EXPECT_TRUE(std::isnan(stored(b_).find("n")->as_double()));
}

TEST_F(BoundedCounter, SaysTheSumAndTheBounds) {
  start(10);
  both_take(7, 6);
  for (const WorldSite* site : all_) {
    const std::vector<Loss> losses = told(*site);
    ASSERT_EQ(losses.size(), 1u);
    EXPECT_EQ(losses[0].kind, LossKind::kBounded);
    EXPECT_EQ(losses[0].path, Path{"n"});
    EXPECT_EQ(losses[0].value, i32(-3));
    EXPECT_EQ(losses[0].winning, i32(0));
    EXPECT_EQ(losses[0].bounds, (Bounds{0, 10}));
    EXPECT_EQ(losses[0].loser, told(a_)[0].loser);
    EXPECT_TRUE(losses[0].winner.is_zero());
  }
}

TEST_F(BoundedCounter, ADeleteEndsAllOfIt) {
  start(10);
  both_take(7, 6);
  remove(c_);
  insert(c_, {{"n", i32(3)}});
  all_count(3);
  settle_all();
  for (const WorldSite* site : all_) EXPECT_TRUE(site->rows.empty());
}

TEST_F(BoundedCounter, UnderWhatIsNoNumberIsForgotten) {
  start(10);
  inc(a_, "n", -17);
  set(b_, "n", text("many"));
  exchange();
  for (const WorldSite* site : all_) EXPECT_TRUE(told(*site).empty());
  settle_all();
  for (const WorldSite* site : all_) EXPECT_TRUE(site->rows.empty());
}

TEST_F(BoundedCounter, InAnElementOfAnArrayHasNone) {
  insert(a_, {{"l", array({doc({{"n", i32(1)}})})}});
  exchange();
  inc_inside(a_, "l", 0, "n", -5);
  all_show({{"l", array({doc({{"n", i32(-4)}})})}});
}

TEST_F(BoundedCounter, HostileBoundsAreNotWellFormed) {
  Effect effect;
  effect.kind = Operation::kIncrement;
  effect.path = {"n"};
  const Dot dot{5, Origin{{1}, 1}};
  effect.entry = {dot, 5, i32(1), Bounds{0, 1}};
  const bson::OwnedValue id = i32(1);
  EXPECT_TRUE(well_formed(effect, dot, id));
  for (const Bounds& bounds : {Bounds{2, 1}, Bounds{NAN, 1}, Bounds{0, NAN},
                               Bounds{-INFINITY, INFINITY}, Bounds{INFINITY, INFINITY}}) {
    effect.entry.bounds = bounds;
    EXPECT_FALSE(well_formed(effect, dot, id));
  }
}

}  // namespace
}  // namespace outrigger::merge
