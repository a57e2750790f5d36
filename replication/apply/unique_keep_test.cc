// unique: keep: documents that share a key of a unique index are all shown, the ledger has them,
// and the index goes on refusing new ones.
#include "replication/kept/kept_keys.h"
#include "replication/testing/keep_fixture.h"

namespace outrigger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(KeepTest, AllAreShownAndTheLedgerHasEachButTheFirst) {
  share();
  meet();
  expect_kept({2}, {1, 2});
  const LedgerEntry entry = kept(rome()).front();
  EXPECT_EQ(entry.winning, number(1));
  EXPECT_EQ(bson::to_json(entry.value.view()), R"({"mail": "k"})");
  EXPECT_THAT(entry.path, ElementsAre("mail_1"));
  EXPECT_THAT(entry.reason, HasSubstr("of the unique index mail_1"));
}

TEST_F(KeepTest, WhatWouldBeANewOneIsRefusedAndThoseThereMayChange) {
  share();
  meet();
  for (TestSite* site : all()) {
    EXPECT_EQ(guard(*site), KeyGuard::kNew) << site->name;
    EXPECT_TRUE(refuses(*site, 9, "k"));
    EXPECT_FALSE(refuses(*site, 9, "z"));
    EXPECT_EQ(guard(*site, "phone_1"), KeyGuard::kAll) << "no document collides there";
  }
  rome().inc(2, "n", 5);
  oslo().set(1, "n", 7);
  meet();
  expect_kept({2}, {1, 2});
  EXPECT_EQ(paris().number(1, "n"), 7);
  EXPECT_EQ(paris().number(2, "n"), 5);
}

TEST_F(KeepTest, WhenTheyDifferTheEntryClosesAndTheIndexIsUniqueAgain) {
  for (const bool is_removed : {true, false}) {
    share();
    meet();
    if (is_removed) rome().remove(1);
    if (!is_removed) rome().set(2, "mail", "other");
    meet();
    look();
    expect_unique_again();
    EXPECT_STREQ(state_text(kept(oslo(), false).front()), "resolved");
    EXPECT_TRUE(refuses(oslo(), 9, is_removed ? "k" : "other"));
    rome().remove(2);
    if (!is_removed) rome().remove(1);
    meet();
    settle_down(all());
    for (TestSite* site : all()) EXPECT_EQ(site->status().rows, 0u) << site->name;
  }
}

TEST_F(KeepTest, ThreeOfOneKeyAndTheFirstOfThemGoes) {
  share();
  rome().insert(3, {{"mail", mail("k")}});
  meet();
  expect_kept({2, 3}, {1, 2, 3});
  oslo().remove(1);
  meet();
  look();
  expect_kept({3}, {2, 3});
  EXPECT_EQ(kept(paris()).front().winning, number(2));
  paris().remove(3);
  meet();
  look();
  expect_unique_again();
}

TEST_F(KeepTest, ADocumentThatSharesKeysInTwoIndexesHasAnEntryOfEach) {
  oslo().insert(1, {{"mail", mail("k")}, {"phone", mail("7")}});
  paris().insert(2, {{"mail", mail("k")}, {"phone", mail("7")}});
  meet();
  expect_kept({2, 2}, {1, 2});
  rome().set(2, "phone", "8");
  meet();
  look();
  expect_kept({2}, {1, 2});
  EXPECT_EQ(guard(oslo(), "phone_1"), KeyGuard::kAll);
  EXPECT_EQ(guard(oslo(), "mail_1"), KeyGuard::kNew);
}

TEST_F(KeepTest, KeysThatWereMovedApartAreKept) {
  oslo().insert(1, {{"mail", mail("a")}});
  oslo().insert(2, {{"mail", mail("b")}});
  meet();
  settle_down(all());
  oslo().set(1, "mail", "k");
  paris().set(2, "mail", "k");
  meet();
  expect_kept({2}, {1, 2});
  EXPECT_THAT(rome().show(1), HasSubstr("\"k\""));
  EXPECT_THAT(rome().show(2), HasSubstr("\"k\""));
}

TEST_F(KeepTest, ACrashAnywhereEndsInTheSame) {
  for (size_t writes = 0; writes < 8; ++writes) {
    share();
    pull(oslo(), rome());
    rome().mongod.crash_after(writes);
    pull(paris(), rome());
    rome().mongod.fail_next(0);
    rome().restart();
    EXPECT_NE(guard(rome()), KeyGuard::kNone) << "before anybody writes, after " << writes;
    meet();
    look();
    expect_kept({2}, {1, 2});
    oslo().remove(1);
    oslo().remove(2);
    meet();
    look();
    expect_unique_again();
    settle_down(all());
  }
}

TEST_F(KeepTest, AStoreThatGoesAwayInTheMiddleFindsNobodyWritingUntilItIsClosed) {
  bool is_away = false;
  int writes_left = 0;
  rome().applier_options.admits = [&](const std::string&) { return !is_away; };
  rome().restart();
  rome().mongod.watch([&](const StoreWrite&) { is_away = is_away || --writes_left == 0; });
  int found_open = 0;
  for (int writes = 1; writes < 6; ++writes) {
    share();
    pull(oslo(), rome());
    writes_left = writes;
    pull(paris(), rome());
    if (guard(rome()) == KeyGuard::kNone) {
      ++found_open;
      EXPECT_EQ(rome().begin(TestSite::setting(1, "n", number(1))), nullptr) << writes;
    }
    is_away = false;
    rome().apply_all();
    EXPECT_NE(guard(rome()), KeyGuard::kNone);
    meet();
    expect_kept({2}, {1, 2});
    rome().remove(1);
    rome().remove(2);
    meet();
    look();
    expect_unique_again();
  }
  EXPECT_GT(found_open, 0);
}

TEST_F(KeepTest, AnIndexThatIsDroppedIsNotMadeAgain) {
  share();
  meet();
  for (TestSite* site : all()) {
    site->mongod.drop_unique(kTestNs, "mail_1");
    site->replica->parts().kept.dropped(kTestNs, "mail_1");
  }
  look();
  look();
  for (TestSite* site : all()) {
    auto index = site->mongod.key_index(kTestNs, "mail_1");
    EXPECT_TRUE(index && !*index);
    EXPECT_TRUE(site->replica->parts().kept.empty());
    EXPECT_THAT(kept(*site), IsEmpty());
  }
}

TEST_F(KeepTest, DuplicatesThatNobodyNotedAreFoundWhenTheIndexIsMadeUnique) {
  share();
  meet();
  const auto spec = (**rome().mongod.key_index(kTestNs, "mail_1")).spec;
  ASSERT_TRUE(rome().mongod.set_guard(kTestNs, spec, KeyGuard::kNone)->ok());
  rome().insert(5, {{"mail", mail("x")}});
  rome().insert(6, {{"mail", mail("x")}});
  ASSERT_TRUE(rome().mongod.set_guard(kTestNs, spec, KeyGuard::kNew)->ok());
  oslo().remove(1);
  meet();
  look();
  expect_kept({6}, {2, 5, 6});
}

TEST_F(KeepTest, WhereTheIndexCannotBeRelaxedTheNewOneWaitsAndNobodyMakesRoom) {
  for (const bool is_relaxed_already : {false, true}) {
    if (is_relaxed_already) share();
    meet();
    rome().mongod.refuse_guards([](KeyGuard guard) { return guard == KeyGuard::kNone ? 13 : 0; });
    paris().insert(4, {{"mail", mail("m")}});  // with the earlier claim
    oslo().clock.advance_ms(50);
    oslo().insert(3, {{"mail", mail("m")}});
    pull(oslo(), rome());
    pull(paris(), rome());
    look();
    EXPECT_NE(rome().show(3), "none") << is_relaxed_already;
    EXPECT_EQ(rome().show(4), "none");
    ASSERT_FALSE(rome().status().alarms.empty());
    EXPECT_THAT(rome().status().alarms.front(), HasSubstr("cannot be relaxed"));
    rome().mongod.refuse_guards(nullptr);
    rome().clock.advance_ms(60'000);
    look();
    EXPECT_NE(rome().show(4), "none");
    EXPECT_THAT(rome().status().alarms, IsEmpty());
    meet();
    oslo().remove(4);
    meet();
    oslo().remove(3);
    meet();
    look();
    look();
  }
}

TEST_F(KeepTest, WhatCannotBeClosedIsClosedAsSoonAsItCan) {
  for (const int32_t code : {72, GuardChange::kInProgress}) {
    rome().mongod.refuse_guards([=](KeyGuard guard) { return guard == KeyGuard::kNew ? code : 0; });
    share();
    meet();
    EXPECT_EQ(guard(rome()), KeyGuard::kNone) << code;
    EXPECT_NE(rome().show(2), "none") << code;
    EXPECT_EQ(rome().status().alarms.empty(), code != 72);
    rome().mongod.refuse_guards(nullptr);
    wait_ms(3'000);
    rome().apply_all();
    EXPECT_EQ(guard(rome()), KeyGuard::kNew) << code;
    EXPECT_THAT(rome().status().alarms, IsEmpty());
    expect_kept({2}, {1, 2});
    rome().remove(1);
    rome().remove(2);
    meet();
    look();
    expect_unique_again();
  }
}

TEST_F(KeepTest, WhatIsWrittenWhileAnIndexStandsOpenHasItsEntryAsSoonAsItIsClosed) {
  rome().mongod.refuse_guards([](KeyGuard guard) { return guard == KeyGuard::kNew ? 72 : 0; });
  share();
  meet();
  for (const int id : {5, 6}) rome().insert(id, {{"mail", mail("x")}});
  rome().mongod.refuse_guards(nullptr);
  wait_ms(3'000);
  meet();
  look();
  expect_kept({2, 6}, {1, 2, 5, 6});
}

TEST_F(KeepTest, WhatIsRefusedIsNotTriedAgainAtOnce) {
  int tries = 0;
  rome().mongod.refuse_guards([&](KeyGuard guard) {
    tries += guard == KeyGuard::kNew ? 1 : 0;
    return guard == KeyGuard::kNew ? 72 : 0;
  });
  share();
  meet();
  const int before = tries;
  for (int i = 0; i < 10; ++i) look();
  EXPECT_EQ(tries, before);
  wait_ms(3'000);
  look();
  EXPECT_EQ(tries, before + 1);
}

// ---- the rules change

class ChangedRulesTest : public KeepTest {
 protected:
  void change_to(UniquePolicy unique) {
    for (auto& policy : policies_) policy->change_to(rules_of(unique));
    for (int i = 0; i < 3; ++i) {
      look();
      meet();
    }
  }
  void expect_parked(int id) {
    for (TestSite* site : all()) {
      EXPECT_EQ(site->show(id), "none") << site->name;
      EXPECT_EQ(site->status().not_applied, 1u) << site->name;
      EXPECT_THAT(kept(*site), IsEmpty()) << site->name;
    }
  }
};

TEST_F(ChangedRulesTest, WhatIsKeptIsParkedByClaimsTheSameEverywhere) {
  paris().insert(9, {{"mail", mail("k")}});  // the first, though not by its _id
  oslo().clock.advance_ms(50);
  oslo().insert(1, {{"mail", mail("k")}, {"n", number(3)}});
  meet();
  settle_down(all());
  expect_kept({9}, {1, 9});
  change_to(UniquePolicy::kPark);
  expect_parked(1);
  EXPECT_EQ(guard(oslo()), KeyGuard::kNew) << "as one waits";
  oslo().remove(9);
  meet();
  look();
  EXPECT_EQ(paris().number(1, "n"), 3);
  look();
  expect_unique_again();
}

TEST_F(ChangedRulesTest, WhatIsParkedComesBack) {
  for (auto& policy : policies_) policy->change_to(rules_of(UniquePolicy::kPark));
  share();
  meet();
  expect_parked(2);
  change_to(UniquePolicy::kKeep);
  expect_kept({2}, {1, 2});
}

TEST_F(ChangedRulesTest, AStoreThatCannotAnyMoreRelaxesNothingUntilItCanAgain) {
  share();
  meet();
  for (const int id : {1, 2}) oslo().remove(id);
  meet();
  look();
  look();
  expect_unique_again();
  StoreInfo info = *rome().mongod.info();
  info.feature_version = "5.0";
  rome().mongod.set_info(info);
  share();
  meet();
  EXPECT_EQ(guard(rome()), KeyGuard::kAll);
  EXPECT_EQ(rome().show(2), "none");
  ASSERT_FALSE(rome().status().alarms.empty());
  EXPECT_THAT(rome().status().alarms.front(), HasSubstr("featureCompatibilityVersion 5.0"));
  info.feature_version = "6.0";
  rome().mongod.set_info(info);
  look();
  look();
  expect_kept({2}, {1, 2});
  EXPECT_THAT(rome().status().alarms, IsEmpty());
}

TEST_F(ChangedRulesTest, AStoreThatCannotParksAndSaysSo) {
  StoreInfo info = *rome().mongod.info();
  info.feature_version = "5.0";
  rome().mongod.set_info(info);
  rome().restart();
  share();
  meet();
  EXPECT_EQ(rome().show(2), "none");
  EXPECT_NE(oslo().show(2), "none");
  ASSERT_FALSE(rome().status().alarms.empty());
  EXPECT_THAT(rome().status().alarms.front(), HasSubstr("needs MongoDB 6.0"));
  info.feature_version = "6.0";
  rome().mongod.set_info(info);
  look();
  look();
  expect_kept({2}, {1, 2});
  EXPECT_THAT(rome().status().alarms, IsEmpty());
}

}  // namespace
}  // namespace outrigger
