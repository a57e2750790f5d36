// Parts written apart that no store takes together: who leaves out what, and who must not.
#include "replication/testing/applier_fixture.h"

namespace outrigger {
namespace {

using ::testing::HasSubstr;

constexpr int32_t kParallelArrays = 171;
constexpr const char* kWords = "cannot index parallel arrays [b] [a]";

// As a compound index on (a, b).
int32_t compound_index(const bson::Document& document) {
  const auto is_array = [&](const char* name) {
    const auto value = document.find(name);
    return value && value->type == bson::Type::kArray;
  };
  return is_array("a") && is_array("b") ? kParallelArrays : 0;
}

bson::OwnedValue array_of(int value) {
  bson::OwnedValue array = bson::make_document(bson::Writer().int32("0", value).finish());
  array.type = bson::Type::kArray;
  return array;
}

class ResolveTest : public ApplierTest {
 protected:
  ResolveTest() {
    for (TestSite* site : {&oslo_, &paris_}) site->mongod.refuse_when(compound_index, kWords);
    oslo_.insert(1, {{"a", number(0)}, {"b", number(0)}, {"n", number(0)}});
    exchange(oslo_, paris_);
  }
  static void set(TestSite& site, const char* field, bson::OwnedValue value) {
    auto pending = site.begin(TestSite::setting(1, field, std::move(value)));
    site.store(*pending);
    site.settle(std::move(pending));
    site.flush();
  }
  // Arrays here and there, and increments at both, before they hear of each other.
  void clash() {
    set(oslo_, "a", array_of(1));
    set(paris_, "b", array_of(2));
    oslo_.inc(1, "n", 1);
    paris_.inc(1, "n", 10);
    exchange(oslo_, paris_);
    EXPECT_EQ(oslo_.status().not_applied, 1u);
    EXPECT_EQ(paris_.status().not_applied, 1u);
  }
  static void resolve(TestSite& site, int64_t after_ms) {
    site.clock.advance_ms(after_ms);
    EXPECT_TRUE(site.applier->resolve_step().has_value());
    site.flush();
  }
  static std::vector<LedgerEntry> open_entries(const TestSite& site) {
    std::vector<LedgerEntry> open;
    for (LedgerEntry& entry : site.ledger()) {
      if (entry.open) open.push_back(std::move(entry));
    }
    return open;
  }
  void expect_equal() {
    exchange(oslo_, paris_);
    EXPECT_EQ(oslo_.show(1), paris_.show(1));
    EXPECT_EQ(oslo_.status().not_applied, 0u);
    EXPECT_EQ(paris_.status().not_applied, 0u);
    settle_down({&oslo_, &paris_});
    EXPECT_EQ(oslo_.status().rows, 0u);
    EXPECT_EQ(paris_.status().rows, 0u);
  }
};

TEST_F(ResolveTest, TheFirstMemberLeavesOutWhatItsStoreRefusesAndSumsStay) {
  clash();
  resolve(oslo_, 10'000);
  EXPECT_THAT(oslo_.show(1), HasSubstr("\"a\": [1]"));
  EXPECT_EQ(oslo_.number(1, "b"), 0);
  const auto open = open_entries(oslo_);
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(open.front().kind, kLeftOut);
  EXPECT_EQ(open.front().path, Path{"b"});
  EXPECT_EQ(open.front().value, array_of(2));
  EXPECT_THAT(open.front().reason, HasSubstr("171"));
  paris_.inc(1, "n", 100);  // meanwhile, apart
  expect_equal();
  EXPECT_EQ(oslo_.number(1, "n"), 111);
  oslo_.inc(1, "n", 1000);
  exchange(oslo_, paris_);
  EXPECT_EQ(paris_.number(1, "n"), 1111);
}

TEST_F(ResolveTest, OthersWaitTheirTurn) {
  clash();
  resolve(oslo_, 1'000);
  resolve(paris_, 3'000);
  EXPECT_EQ(oslo_.status().not_applied, 1u);
  EXPECT_EQ(paris_.status().not_applied, 1u);
  resolve(paris_, 2'000);
  EXPECT_EQ(paris_.status().not_applied, 0u);
  expect_equal();
  EXPECT_THAT(oslo_.show(1), HasSubstr("\"b\": [2]"));
}

TEST_F(ResolveTest, TwoResolutionsMadeApartConverge) {
  clash();
  resolve(oslo_, 10'000);
  resolve(paris_, 20'000);
  expect_equal();
  EXPECT_EQ(oslo_.number(1, "n"), 11);
}

TEST_F(ResolveTest, AConcurrentDeleteWins) {
  clash();
  resolve(oslo_, 10'000);
  paris_.remove(1);
  exchange(oslo_, paris_);
  EXPECT_EQ(oslo_.show(1), "none");
  EXPECT_EQ(paris_.show(1), "none");
  EXPECT_EQ(oslo_.status().not_applied, 0u);
  EXPECT_EQ(paris_.status().not_applied, 0u);
}

TEST_F(ResolveTest, WhatMetIsKnownAfterACrash) {
  set(oslo_, "a", array_of(1));
  set(paris_, "b", array_of(2));
  offer();
  paris_.mongod.crash_after(0);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  paris_.restart();
  EXPECT_EQ(paris_.status().not_applied, 1u);
  paris_.restart();
  paris_.apply_all();
  resolve(paris_, 20'000);
  EXPECT_EQ(paris_.status().not_applied, 0u);
  EXPECT_EQ(open_entries(paris_).size(), 1u);
  expect_equal();
}

TEST_F(ResolveTest, ADocumentDeletedAndInsertedAnewIsAsideNoMore) {
  clash();
  oslo_.remove(1);
  oslo_.insert(1, {{"a", number(5)}});
  resolve(oslo_, 10'000);
  oslo_.apply_all();
  EXPECT_EQ(oslo_.status().not_applied, 0u) << "it was looked at again";
  expect_equal();
  EXPECT_EQ(oslo_.number(1, "a"), 5);
}

TEST_F(ResolveTest, ATrialThatACrashInterruptsIsMadeAgain) {
  clash();
  oslo_.mongod.crash_after(1);  // one part refused, then the store is away
  oslo_.clock.advance_ms(10'000);
  EXPECT_FALSE(oslo_.applier->resolve_step().has_value());
  oslo_.restart();
  oslo_.apply_all();
  EXPECT_EQ(oslo_.status().not_applied, 1u);
  resolve(oslo_, 10'000);
  expect_equal();
  EXPECT_EQ(oslo_.number(1, "n"), 11);
}

TEST_F(ResolveTest, NothingIsResolvedWhereNothingWasConcurrent) {
  oslo_.mongod.refuse_when(nullptr);  // the index is paris's own
  set(oslo_, "a", array_of(1));
  set(oslo_, "b", array_of(2));
  oslo_.inc(1, "n", 1);
  paris_.inc(1, "n", 10);  // concurrent, but not what is refused
  set(paris_, "c", number(7));
  exchange(oslo_, paris_);
  EXPECT_EQ(paris_.status().not_applied, 1u);
  resolve(paris_, 60'000);
  exchange(oslo_, paris_);
  EXPECT_EQ(paris_.status().not_applied, 1u);
  const auto open = open_entries(paris_);
  ASSERT_EQ(open.size(), 1u);  // nothing is left out: the document waits
  EXPECT_EQ(open.front().kind, kNotApplied);
  EXPECT_THAT(oslo_.show(1), HasSubstr("\"b\": [2]"));
  EXPECT_EQ(oslo_.number(1, "n"), 11);
}

TEST_F(ResolveTest, ThreeSitesLeaveOutAsLittleAsTheyMust) {
  const std::vector<std::string> three{"oslo", "paris", "rome"};
  TestSite oslo("oslo", three, memory_outbox());
  TestSite paris("paris", three, memory_outbox());
  TestSite rome("rome", three, memory_outbox());
  const std::vector<TestSite*> sites{&oslo, &paris, &rome};
  const auto everywhere = [&] {
    for (int round = 0; round < 3; ++round) {
      for (TestSite* from : sites) {
        for (TestSite* to : sites) {
          if (from != to) pull(*from, *to);
        }
      }
    }
  };
  for (TestSite* site : sites) site->mongod.refuse_when(compound_index, kWords);
  oslo.insert(1, {{"a", number(0)}, {"b", number(0)}});
  everywhere();
  set(oslo, "a", array_of(1));
  set(paris, "b", array_of(2));
  set(rome, "c", array_of(3));
  everywhere();
  for (TestSite* site : sites) EXPECT_EQ(site->status().not_applied, 1u);
  resolve(oslo, 10'000);
  EXPECT_EQ(open_entries(oslo).size(), 1u);
  everywhere();
  for (TestSite* site : sites) {
    EXPECT_EQ(site->show(1), oslo.show(1));
    EXPECT_EQ(site->status().not_applied, 0u);
  }
  EXPECT_THAT(oslo.show(1), HasSubstr("\"c\": [3]"));
  EXPECT_THAT(oslo.show(1), HasSubstr("\"a\": [1]"));
}

}  // namespace
}  // namespace outrigger
