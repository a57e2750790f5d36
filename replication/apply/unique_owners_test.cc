// One owner of a key of a unique index, the same at every site, whatever came in what order.
#include <map>

#include "replication/testing/applier_fixture.h"

namespace outrigger {
namespace {

using ::testing::HasSubstr;

bson::OwnedValue text(const std::string& value) { return bson::make_string(value); }

class OwnersTest : public ApplierTest {
 protected:
  OwnersTest() {
    for (TestSite* site : {&oslo_, &paris_}) {
      site->mongod.make_unique(kTestNs, {{{"mail"}}, true});
      site->mongod.make_unique(kTestNs, {{{"phone"}}, true});
    }
  }
  static std::vector<LedgerEntry> parked(const TestSite& site) {
    std::vector<LedgerEntry> found;
    for (LedgerEntry& entry : site.ledger()) {
      if (entry.kind == kUnique && entry.open) found.push_back(std::move(entry));
    }
    return found;
  }
  // This one is parked, and no other, at both.
  void expect_parked(int id) {
    for (TestSite* site : {&oslo_, &paris_}) {
      EXPECT_EQ(site->show(id), "none") << site->name;
      EXPECT_EQ(site->status().not_applied, 1u) << site->name;
      const auto entries = parked(*site);
      ASSERT_EQ(entries.size(), 1u) << site->name;
      EXPECT_EQ(entries.front().id, number(id));
    }
    EXPECT_EQ(ledger_key(parked(oslo_).front()), ledger_key(parked(paris_).front()));
    EXPECT_EQ(parked(oslo_).front(), parked(paris_).front());
  }
  void expect_equal(std::initializer_list<int> ids) {
    for (const int id : ids) EXPECT_EQ(oslo_.show(id), paris_.show(id)) << id;
  }
  void expect_none_parked() {
    for (TestSite* site : {&oslo_, &paris_}) {
      EXPECT_EQ(site->status().not_applied, 0u) << site->name;
      EXPECT_TRUE(parked(*site).empty()) << site->name;
    }
    settle_down({&oslo_, &paris_});
    EXPECT_EQ(oslo_.status().rows, 0u);
    EXPECT_EQ(paris_.status().rows, 0u);
  }
  // 1 of oslo is the earlier one, 2 of paris the later.
  void clash() {
    oslo_.insert(1, {{"mail", text("k")}, {"n", number(0)}});
    paris_.clock.advance_ms(10);
    paris_.insert(2, {{"mail", text("k")}, {"n", number(0)}});
  }
};

TEST_F(OwnersTest, TheEarlierClaimIsShownAndTheOtherParkedAtBoth) {
  clash();
  exchange(oslo_, paris_);
  expect_equal({1, 2});
  EXPECT_NE(oslo_.show(1), "none");
  expect_parked(2);
  const LedgerEntry entry = parked(oslo_).front();
  EXPECT_THAT(bson::to_json(entry.value.view()), HasSubstr("\"mail\": \"k\""));
  ASSERT_TRUE(entry.winning.has_value());
  EXPECT_EQ(*entry.winning, number(1));
}

TEST_F(OwnersTest, WhatIsParkedGoesOnMergingAndReturnsWhenTheKeyIsFree) {
  clash();
  exchange(oslo_, paris_);
  settle_down({&oslo_, &paris_});
  expect_parked(2);
  oslo_.set(1, "mail", "other");
  exchange(oslo_, paris_);
  expect_equal({1, 2});
  EXPECT_NE(paris_.show(2), "none");
  expect_none_parked();
  EXPECT_STREQ(state_text(oslo_.ledger().front()), "resolved");
}

TEST_F(OwnersTest, ItReturnsWhenTheOwnerIsDeleted) {
  clash();
  exchange(oslo_, paris_);
  paris_.remove(1);
  exchange(oslo_, paris_);
  expect_equal({1, 2});
  EXPECT_NE(oslo_.show(2), "none");
  expect_none_parked();
}

TEST_F(OwnersTest, UpdatesAndDeletesMadeBeforeItWasKnownReachIt) {
  clash();
  paris_.inc(2, "n", 5);
  pull(oslo_, paris_);  // parks it there
  EXPECT_EQ(paris_.show(2), "none");
  pull(paris_, oslo_);
  exchange(oslo_, paris_);
  expect_parked(2);
  EXPECT_THAT(bson::to_json(parked(oslo_).front().value.view()), HasSubstr("\"n\": 5"));
  oslo_.remove(1);
  exchange(oslo_, paris_);
  EXPECT_EQ(oslo_.number(2, "n"), 5);
  EXPECT_EQ(paris_.number(2, "n"), 5);
}

TEST_F(OwnersTest, AParkedDocumentDeletedElsewhereIsDeleted) {
  oslo_.insert(1, {{"mail", text("k")}});
  paris_.clock.advance_ms(10);
  paris_.insert(2, {{"mail", text("k")}});
  pull(paris_, oslo_);  // parked there
  EXPECT_EQ(parked(oslo_).size(), 1u);
  paris_.remove(2);
  exchange(oslo_, paris_);
  EXPECT_EQ(oslo_.show(2), "none");
  expect_none_parked();
  oslo_.remove(1);
  exchange(oslo_, paris_);
  EXPECT_EQ(oslo_.show(2), "none");
}

TEST_F(OwnersTest, AKeyTakenByAnUpdateParksTheWholeDocument) {
  oslo_.insert(1, {{"mail", text("a")}});
  oslo_.insert(2, {{"mail", text("b")}});
  exchange(oslo_, paris_);
  settle_down({&oslo_, &paris_});
  paris_.clock.advance_ms(50);
  oslo_.set(1, "mail", "k");
  paris_.set(2, "mail", "k");
  exchange(oslo_, paris_);
  EXPECT_THAT(paris_.show(1), HasSubstr("\"k\""));
  expect_equal({1, 2});
  expect_parked(2);
}

TEST_F(OwnersTest, ASwapInOneRecordOrSeveralIsNoConflict) {
  oslo_.insert(1, {{"mail", text("a")}});
  oslo_.insert(2, {{"mail", text("b")}});
  exchange(oslo_, paris_);
  oslo_.set(1, "mail", "aside");
  oslo_.set(2, "mail", "a");
  oslo_.set(1, "mail", "b");
  exchange(oslo_, paris_);
  EXPECT_THAT(paris_.show(1), HasSubstr("\"b\""));
  EXPECT_THAT(paris_.show(2), HasSubstr("\"a\""));
  for (const LedgerEntry& entry : paris_.ledger()) EXPECT_NE(entry.kind, kUnique);
  expect_none_parked();
}

// 1 holds p and q, 2 and 3 one of them each: 3 is the latest, and 2 stands before it nowhere.
TEST_F(OwnersTest, OneThatIsParkedHoldsNoKey) {
  oslo_.insert(1, {{"mail", text("p")}});
  paris_.clock.advance_ms(10);
  paris_.insert(2, {{"mail", text("p")}, {"phone", text("q")}});
  oslo_.clock.advance_ms(20);
  oslo_.insert(3, {{"phone", text("q")}});
  exchange(oslo_, paris_);
  expect_equal({1, 2, 3});
  EXPECT_NE(paris_.show(1), "none");
  EXPECT_NE(paris_.show(3), "none");
  expect_parked(2);
  oslo_.remove(1);
  exchange(oslo_, paris_);
  expect_equal({1, 2, 3});
  expect_parked(3);
}

// The claims of what everybody has are forgotten, but where somebody is parked.
TEST_F(OwnersTest, ForgettingChangesNoOrder) {
  oslo_.insert(1, {{"mail", text("p")}});
  paris_.clock.advance_ms(10);
  paris_.insert(2, {{"mail", text("p")}, {"phone", text("q")}});
  exchange(oslo_, paris_);  // 2 is parked by 1
  oslo_.clock.advance_ms(20);
  oslo_.insert(3, {{"phone", text("q")}});
  exchange(oslo_, paris_);
  settle_down({&oslo_, &paris_});
  settle_down({&oslo_, &paris_});
  oslo_.remove(1);
  exchange(oslo_, paris_);
  expect_equal({1, 2, 3});
  EXPECT_NE(oslo_.show(2), "none");
  expect_parked(3);
}

TEST_F(OwnersTest, WhatClaimsEarlierThanAllThatAreParkedIsForgotten) {
  oslo_.insert(5, {{"mail", text("five")}, {"n", number(0)}});
  exchange(oslo_, paris_);
  paris_.clock.advance_ms(10);
  clash();
  exchange(oslo_, paris_);
  paris_.clock.advance_ms(10);
  paris_.insert(6, {{"mail", text("six")}});
  for (int i = 0; i < 50; ++i) paris_.inc(5, "n", 1);
  for (int i = 0; i < 50; ++i) paris_.inc(6, "n", 1);
  exchange(oslo_, paris_);
  expect_parked(2);
  settle_down({&oslo_, &paris_});
  settle_down({&oslo_, &paris_});
  EXPECT_EQ(oslo_.status().rows, 2u) << "2 and 6";
  EXPECT_EQ(paris_.status().rows, 2u);
  EXPECT_EQ(oslo_.number(5, "n"), 50);
  const auto row = oslo_.outbox->row(kTestNs, bson::canonical_key(number(6).view()));
  ASSERT_TRUE(row && *row);
  EXPECT_LE((*row)->size(), 50u) << "the claim alone, and no increments";
}

// 1 is refused at paris for a reason of that site when 2 comes to hold the key there for good.
TEST_F(OwnersTest, NothingIsForgottenWhereOneIsSetAsideForAnotherReason) {
  oslo_.insert(1, {{"mail", text("k")}});
  paris_.clock.advance_ms(10);
  paris_.insert(2, {{"mail", text("k")}});
  paris_.mongod.refuse_when(
      [](const bson::Document& each) { return each.find("_id")->as_int32() == 1 ? 13 : 0; });
  exchange(oslo_, paris_);
  EXPECT_EQ(paris_.status().not_applied, 1u);
  for (int i = 0; i < 3; ++i) settle_down({&oslo_, &paris_});
  EXPECT_NE(paris_.show(2), "none");
  paris_.mongod.refuse_when(nullptr);
  paris_.applier->try_aside_again();
  exchange(oslo_, paris_);
  expect_equal({1, 2});
  expect_parked(2);
}

TEST_F(OwnersTest, ALocalWriteThatTookTheKeyMeanwhileGivesItBack) {
  clash();
  exchange(oslo_, paris_);
  expect_parked(2);
  oslo_.remove(1);
  oslo_.clock.advance_ms(100);
  oslo_.insert(3, {{"mail", text("k")}});  // before 2 has come back
  exchange(oslo_, paris_);
  expect_equal({1, 2, 3});
  EXPECT_NE(oslo_.show(2), "none");
  expect_parked(3);
}

// 1 of oslo is earlier, but comes when paris shows 2 and a local write holds that.
class LockedOwnerTest : public OwnersTest {
 protected:
  LockedOwnerTest() {
    oslo_.insert(1, {{"mail", text("k")}});
    paris_.clock.advance_ms(10);
    paris_.insert(2, {{"mail", text("k")}, {"n", number(0)}});
    pending_ = paris_.begin(TestSite::setting(2, "n", number(7)));
  }
  void let_go() {
    paris_.store(*pending_);
    paris_.settle(std::move(pending_));
    paris_.flush();
  }
  std::unique_ptr<TestSite::Pending> pending_;
};

TEST_F(LockedOwnerTest, IsWaitedForInLine) {
  ASSERT_NE(pending_, nullptr);
  pull(oslo_, paris_);
  EXPECT_EQ(paris_.show(1), "none");
  let_go();
  EXPECT_EQ(paris_.begin(TestSite::setting(2, "n", number(8))), nullptr) << "it is not in front";
  paris_.apply_all();
  EXPECT_EQ(paris_.show(2), "none");
  EXPECT_NE(paris_.show(1), "none");
  exchange(oslo_, paris_);
  expect_parked(2);
  EXPECT_THAT(bson::to_json(parked(oslo_).front().value.view()), HasSubstr("\"n\": 7"));
}

TEST_F(LockedOwnerTest, NobodyStandsInLineForOneThatIsDecidedAbout) {
  pull(oslo_, paris_);
  oslo_.remove(1);
  pull(oslo_, paris_);
  let_go();
  paris_.apply_all();
  auto another = paris_.begin(TestSite::setting(2, "n", number(8)));
  ASSERT_NE(another, nullptr) << "a lock was left to nobody";
  paris_.store(*another);
  paris_.settle(std::move(another));
  paris_.flush();
  exchange(oslo_, paris_);
  expect_equal({1, 2});
  EXPECT_EQ(oslo_.number(2, "n"), 8);
  expect_none_parked();
}

// 1 is removed at oslo and comes back by an update of rome, when what is known of 2 is forgotten.
TEST(OwnersOfThree, WhatComesBackTookItsKeysAnew) {
  const std::vector<std::string> names{"oslo", "paris", "rome"};
  for (const bool is_shown_first : {true, false}) {
    TestSite oslo("oslo", names, memory_outbox());
    TestSite paris("paris", names, memory_outbox());
    TestSite rome("rome", names, memory_outbox());
    const std::vector<TestSite*> all{&oslo, &paris, &rome};
    for (TestSite* site : all) site->mongod.make_unique(kTestNs, {{{"mail"}}, true});
    oslo.insert(1, {{"mail", text("k")}});
    paris.clock.advance_ms(10);
    if (is_shown_first) paris.insert(2, {{"mail", text("k")}});
    settle_down(all);
    EXPECT_NE(oslo.show(1), "none");
    oslo.clock.advance_ms(100);
    rome.clock.advance_ms(90);
    oslo.yield(1);
    exchange(oslo, paris);
    if (!is_shown_first) paris.insert(2, {{"mail", text("k")}});
    exchange(oslo, paris);
    EXPECT_NE(oslo.show(2), "none");
    for (int i = 0; i < 3; ++i) {
      oslo.collect();
      paris.collect();
    }
    rome.set(1, "n", 7);
    for (int i = 0; i < 3; ++i) settle_down(all);
    const int owner = is_shown_first ? 2 : 1;  // or 2 came after the removal
    for (TestSite* site : all) {
      EXPECT_NE(site->show(owner), "none") << site->name << owner;
      EXPECT_EQ(site->show(3 - owner), "none") << site->name << owner;
    }
    oslo.remove(owner);
    for (int i = 0; i < 3; ++i) settle_down(all);
    for (TestSite* site : all) {
      EXPECT_NE(site->show(3 - owner), "none") << site->name << owner;
      EXPECT_EQ(site->status().rows, 0u) << site->name << owner;
    }
  }
}

TEST_F(OwnersTest, ManyToDecideAboutDoNotHoldUpTheStream) {
  constexpr int kMany = 200;
  for (int i = 0; i < kMany; ++i) oslo_.insert(i, {{"mail", text(std::to_string(i))}});
  paris_.clock.advance_ms(10);
  for (int i = 0; i < kMany; ++i) paris_.insert(1000 + i, {{"mail", text(std::to_string(i))}});
  exchange(oslo_, paris_);
  EXPECT_EQ(paris_.status().not_applied, static_cast<size_t>(kMany));
  paris_.restart();  // all are to be tried
  oslo_.insert(2000, {});
  offer();
  for (int i = 0; i < 2 && paris_.show(2000) == "none"; ++i) (void)step();
  EXPECT_NE(paris_.show(2000), "none");
  exchange(oslo_, paris_);
  EXPECT_EQ(paris_.status().not_applied, static_cast<size_t>(kMany));
}

TEST_F(OwnersTest, ACrashAnywhereEndsInTheSame) {
  for (int crash = 0; crash < 8; ++crash) {
    const int id = 10 * (crash + 1);
    const std::string key = "k" + std::to_string(crash);
    // The earlier claim comes later, so that the one that is shown has to make room.
    paris_.clock.advance_ms(100);
    oslo_.insert(id, {{"mail", text(key)}});
    paris_.insert(id + 1, {{"mail", text(key)}});
    offer();
    paris_.mongod.crash_after(static_cast<size_t>(crash));
    for (int i = 0; i < 4; ++i) {
      if (step() == StepOutcome::kTrouble) break;
    }
    paris_.restart();
    exchange(oslo_, paris_);
    EXPECT_NE(paris_.show(id), "none") << crash;
    EXPECT_EQ(paris_.show(id + 1), "none") << crash;
    EXPECT_EQ(oslo_.show(id), paris_.show(id)) << crash;
    EXPECT_EQ(oslo_.show(id + 1), paris_.show(id + 1)) << crash;
  }
  EXPECT_EQ(parked(paris_).size(), 8u);
  EXPECT_EQ(parked(oslo_).size(), 8u);
}

TEST_F(OwnersTest, AnInsertOfAParkedIdConverges) {
  clash();
  exchange(oslo_, paris_);
  expect_parked(2);
  oslo_.insert(2, {{"mail", text("free")}});
  exchange(oslo_, paris_);
  expect_equal({1, 2});
  oslo_.remove(1);
  exchange(oslo_, paris_);
  expect_equal({1, 2});
  expect_none_parked();
}

}  // namespace
}  // namespace outrigger
