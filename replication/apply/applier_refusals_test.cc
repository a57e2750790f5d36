// What the store refuses, in which order readers see what it takes, and how much is taken at once.
#include "replication/testing/applier_fixture.h"

namespace outrigger {
namespace {

using ::testing::HasSubstr;

// ---- refusals

TEST_F(ApplierTest, ARefusalThatPassesHoldsTheStreamAndIsNoVerdict) {
  oslo_.insert(1, {{"a", number(1)}});
  oslo_.insert(2, {{"a", number(1)}});
  exchange(paris_, oslo_);
  constexpr int32_t kWritesBlocked = 371;
  for (int id : {1, 2}) paris_.mongod.reject(kTestNs, number(id), kWritesBlocked, "blocked");
  oslo_.set(1, "a", 2);
  oslo_.remove(2);
  oslo_.insert(3, {});
  offer();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(step(), StepOutcome::kTrouble);
  EXPECT_THAT(paris_.status().held.front(), HasSubstr("applying waits"));
  EXPECT_EQ(paris_.show(3), "none") << "nothing overtakes what is held";
  EXPECT_EQ(paris_.status().not_applied, 0u);
  EXPECT_TRUE(paris_.ledger().empty());
  for (int id : {1, 2}) paris_.mongod.allow(kTestNs, number(id));
  EXPECT_EQ(step(), StepOutcome::kApplied);
  EXPECT_EQ(paris_.number(1, "a"), 2);
  EXPECT_EQ(paris_.show(2), "none");
  EXPECT_NE(paris_.show(3), "none");
  EXPECT_TRUE(paris_.ledger().empty());
}

TEST_F(ApplierTest, ARefusalThatPassesIsNoVerdictInAReplayEither) {
  oslo_.insert(1, {{"a", number(1)}});
  exchange(paris_, oslo_);
  oslo_.remove(1);
  offer();
  paris_.mongod.reject(kTestNs, number(1), 371, "blocked");
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  paris_.kill();
  paris_.open();
  EXPECT_FALSE(paris_.recover().has_value());
  paris_.mongod.allow(kTestNs, number(1));
  ASSERT_TRUE(paris_.recover().has_value());
  EXPECT_EQ(paris_.show(1), "none");
  EXPECT_TRUE(paris_.ledger().empty());
}

TEST_F(ApplierTest, ARefusedDeleteIsNotForgotten) {
  oslo_.insert(1, {{"a", number(1)}});
  exchange(paris_, oslo_);
  settle_down({&paris_, &oslo_});
  paris_.mongod.reject(kTestNs, number(1), 20, "not here");
  oslo_.remove(1);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.status().not_applied, 1u);
  settle_down({&paris_, &oslo_});
  paris_.restart();
  paris_.apply_all();
  EXPECT_EQ(paris_.status().not_applied, 1u);
  EXPECT_NE(paris_.show(1), "none");
  paris_.mongod.allow(kTestNs, number(1));
  paris_.restart();
  paris_.apply_all();
  EXPECT_EQ(paris_.show(1), "none");
  EXPECT_EQ(paris_.status().not_applied, 0u);
  EXPECT_TRUE(paris_.ledger().empty());
  settle_down({&paris_, &oslo_});
  EXPECT_EQ(paris_.status().rows, 0u);
}

TEST_F(ApplierTest, AnInsertAfterARefusedDeleteStands) {
  oslo_.insert(1, {{"a", number(1)}});
  exchange(paris_, oslo_);
  paris_.mongod.reject(kTestNs, number(1), 20, "not here");
  oslo_.remove(1);
  exchange(paris_, oslo_);
  oslo_.insert(1, {{"b", number(2)}});
  paris_.mongod.allow(kTestNs, number(1));
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.show(1), oslo_.show(1));
  EXPECT_EQ(paris_.status().not_applied, 0u);
}

TEST_F(ApplierTest, ADocumentSetAsideIsNotLostSilentlyToAnInsertThatHadNotSeenIt) {
  paris_.mongod.reject(kTestNs, number(1));
  oslo_.insert(1, {{"a", number(1)}});
  exchange(paris_, oslo_);
  ASSERT_EQ(paris_.status().not_applied, 1u);
  paris_.mongod.allow(kTestNs, number(1));
  paris_.insert(1, {{"b", number(2)}});
  const auto written = read_segments(*paris_.replica, oslo_.replica->applied(), 1u << 20);
  for (const Effect& effect : written->front().records.back().documents[0].effects) {
    EXPECT_NE(effect.kind, Operation::kRemove);
  }
  oslo_.clock.advance_ms(1);
  oslo_.set(1, "c", 3);  // meanwhile
  paris_.apply_all();
  exchange(paris_, oslo_);
  const auto expect_both_births = [&] {
    for (const TestSite* site : {&paris_, &oslo_}) {
      EXPECT_EQ(site->number(1, "a"), -1) << "the later birth is the document";
      EXPECT_EQ(site->number(1, "b"), 2);
      EXPECT_EQ(site->number(1, "c"), 3);
    }
  };
  expect_both_births();
  EXPECT_EQ(paris_.status().not_applied, 0u);
  const auto ledger = paris_.ledger();
  const auto lost = std::find_if(ledger.begin(), ledger.end(), [](const LedgerEntry& entry) {
    return entry.kind == "insert_insert" && entry.path.empty();
  });
  ASSERT_NE(lost, ledger.end());
  EXPECT_THAT(bson::to_json(lost->value.view()), HasSubstr("\"a\": 1"));
  settle_down({&paris_, &oslo_});
  EXPECT_EQ(paris_.status().rows, 0u);
  expect_both_births();
}

TEST_F(ApplierTest, AValidatorIsBypassedAndItsWordsAreKept) {
  paris_.mongod.reject(kTestNs, number(1), 121, "Document failed validation");
  oslo_.insert(1, {{"a", number(1)}});
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.show(1), oslo_.show(1));
  EXPECT_EQ(paris_.status().not_applied, 0u);
  ASSERT_EQ(paris_.ledger().size(), 1u);
  EXPECT_EQ(paris_.ledger().front().kind, kValidatorBypassed);
  EXPECT_THAT(paris_.ledger().front().reason, HasSubstr("Document failed validation"));
  EXPECT_EQ(paris_.counted(kValidatorBypassed), 1u);
}

TEST_F(ApplierTest, WhatAValidatorMakesOfADocumentIsToldAlsoWhereACrashTookItsWords) {
  paris_.mongod.reject(kTestNs, number(1), 121, kFailedValidation);
  oslo_.insert(1, {{"a", number(1)}});
  oslo_.insert(2, {{"a", number(1)}});
  offer();
  paris_.mongod.crash_after(2);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  EXPECT_EQ(paris_.show(2), oslo_.show(2));
  paris_.kill();
  paris_.open();
  ASSERT_TRUE(paris_.recover().has_value());
  EXPECT_EQ(paris_.show(1), oslo_.show(1));
  ASSERT_EQ(paris_.ledger().size(), 1u);
  EXPECT_EQ(paris_.ledger().front().kind, kValidatorBypassed);
  EXPECT_EQ(paris_.ledger().front().id, number(1));
}

TEST_F(ApplierTest, AViewWithTheNameOfACollectionSetsItsDocumentsAsideAndNoOthers) {
  const auto insert_elsewhere = [&](int id) {
    DocumentChange change = TestSite::inserting(id, {{"a", number(1)}});
    change.ns = "shop.others";
    auto pending = oslo_.begin(std::move(change));
    oslo_.store(*pending);
    oslo_.settle(std::move(pending));
    oslo_.flush();
  };
  CollectionInfo view;
  view.type = CollectionInfo::Type::kView;
  paris_.mongod.set_collection(kTestNs, view);
  oslo_.insert(1, {{"a", number(1)}});
  insert_elsewhere(5);
  oslo_.set(1, "a", 2);
  insert_elsewhere(6);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.status().not_applied, 1u);
  EXPECT_THAT(paris_.ledger().front().reason, HasSubstr("view"));
  for (int id : {5, 6}) EXPECT_TRUE(paris_.mongod.document("shop.others", number(id)));
  paris_.restart();
  paris_.apply_all();
  EXPECT_EQ(paris_.status().not_applied, 1u);
  paris_.mongod.set_collection(kTestNs, CollectionInfo{});
  paris_.restart();
  paris_.apply_all();
  EXPECT_EQ(paris_.show(1), oslo_.show(1));
  EXPECT_EQ(paris_.status().not_applied, 0u);
}

// ---- order

// The store's writes, as "1+" or "1-".
class OrderTest : public ApplierTest {
 protected:
  OrderTest() {
    paris_.mongod.watch([this](const StoreWrite& write) {
      const bool gone = write.kind == StoreWrite::Kind::kRemove;
      seen_ += std::to_string(*write.id.view().to_int64()) + (gone ? "- " : "+ ");
    });
  }
  std::string seen_;
};

TEST_F(OrderTest, ANewDocumentIsThereBeforeTheOldOneGoes) {
  oslo_.insert(1, {});
  exchange(paris_, oslo_);
  seen_.clear();
  oslo_.insert(2, {});
  oslo_.remove(1);
  pull(oslo_, paris_);
  EXPECT_EQ(seen_, "2+ 1- ");
}

TEST_F(OrderTest, ADocumentThatOthersBuildOnIsShownAsTheyFoundIt) {
  oslo_.insert(1, {{"n", number(0)}});
  oslo_.insert(2, {{"n", number(0)}});
  exchange(paris_, oslo_);
  seen_.clear();
  oslo_.inc(1, "n", 1);
  oslo_.inc(1, "n", 1);
  oslo_.inc(2, "n", 1);
  oslo_.inc(1, "n", 1);
  pull(oslo_, paris_);
  EXPECT_EQ(seen_, "1+ 2+ 1+ ");
  EXPECT_EQ(paris_.number(1, "n"), 3);
}

TEST_F(OrderTest, ABatchGoesOnWhereItStopped) {
  for (int id = 1; id <= 4; ++id) oslo_.insert(id, {});
  offer();
  paris_.mongod.crash_after(2);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  EXPECT_EQ(step(), StepOutcome::kApplied);
  EXPECT_EQ(seen_, "1+ 2+ 3+ 4+ ");
}

TEST_F(OrderTest, AnotherMongodGetsWhatItLacksOfTheBatch) {
  for (int id = 1; id <= 4; ++id) oslo_.insert(id, {});
  offer();
  paris_.mongod.crash_after(2);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  StoreInfo other = *paris_.mongod.info();
  other.process_id = std::string(12, 'q');
  paris_.mongod.set_info(other);
  paris_.mongod.remove(kTestNs, number(1));  // it was not journaled
  EXPECT_EQ(step(), StepOutcome::kApplied);
  EXPECT_EQ(seen_, "1+ 2+ 1+ 3+ 4+ ");
}

TEST_F(OrderTest, WhatIsDoneAndNotJournaledIsNoMoreThanHalfDone) {
  for (int id = 1; id <= 2; ++id) oslo_.insert(id, {});
  offer();
  paris_.mongod.crash_after(2);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  paris_.mongod.crash_after(0);  // the wait for the journal
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  EXPECT_EQ(seen_, "1+ 2+ ");
  StoreInfo other = *paris_.mongod.info();
  other.process_id = std::string(12, 'q');
  paris_.mongod.set_info(other);
  paris_.mongod.crash_after(0);  // another mongod's journal is waited for as well
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  EXPECT_EQ(step(), StepOutcome::kApplied);
  EXPECT_EQ(seen_, "1+ 2+ ");
}

// ---- bounds

TEST_F(ApplierTest, OnlyFieldsThatChangeAreRead) {
  TestSite::Fields fields;
  for (int i = 0; i < 500; ++i) fields.emplace_back("f" + std::to_string(i), number(i));
  for (int id = 0; id < 20; ++id) oslo_.insert(id, fields);
  exchange(paris_, oslo_);
  for (int settled = 0; settled < 2; ++settled) {  // with a row of its birth, and with none
    const size_t before = paris_.mongod.shown_bytes();
    for (int id = 0; id < 20; ++id) oslo_.set(id, "f" + std::to_string(id), -1);
    for (int id = 0; id < 20; ++id) oslo_.inc(id, "f7", 5);
    exchange(paris_, oslo_);
    for (int id = 0; id < 20; ++id) EXPECT_EQ(paris_.show(id), oslo_.show(id));
    EXPECT_LT(paris_.mongod.shown_bytes() - before, 20u * 500);
    settle_down({&paris_, &oslo_});
    EXPECT_EQ(paris_.status().rows, 0u);
  }
  const size_t before = paris_.mongod.shown_bytes();
  for (int id = 0; id < 20; ++id) oslo_.remove(id);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.mongod.size(), 0u);
  EXPECT_LT(paris_.mongod.shown_bytes() - before, 20u * 50);
}

TEST_F(ApplierTest, ABatchIsMadeSmallerUntilItsDocumentsFit) {
  const std::string text(10'000, 'x');
  for (int id = 0; id < 40; ++id) oslo_.insert(id, {{"a.b", bson::make_string(text)}});
  exchange(paris_, oslo_);
  settle_down({&paris_, &oslo_});
  paris_.kill();
  paris_.applier_options.stored_bytes_max = 100'000;
  paris_.open();
  ASSERT_TRUE(paris_.recover().has_value());
  for (int id = 0; id < 40; ++id) oslo_.set(id, "c.d", id);  // no path says it: all is read
  offer();
  const size_t before = paris_.mongod.applies();
  paris_.apply_all();
  EXPECT_GE(paris_.mongod.applies() - before, 8u);
  for (int id = 0; id < 40; ++id) EXPECT_EQ(paris_.show(id), oslo_.show(id));
}

TEST_F(ApplierTest, WhatIsTriedAgainBesideOneRecordIsBoundedToo) {
  const std::string text(10'000, 'x');
  for (int id = 0; id < 40; ++id) {
    paris_.mongod.reject(kTestNs, number(id));
    oslo_.insert(id, {{"a", bson::make_string(text)}});
  }
  exchange(paris_, oslo_);
  ASSERT_EQ(paris_.status().not_applied, 40u);
  for (int id = 0; id < 40; ++id) paris_.mongod.allow(kTestNs, number(id));
  paris_.kill();
  paris_.applier_options.stored_bytes_max = 100'000;
  paris_.open();
  ASSERT_TRUE(paris_.recover().has_value());
  oslo_.insert(100, {});
  offer();
  const size_t before = paris_.mongod.applies();
  paris_.apply_all();
  EXPECT_GE(paris_.mongod.applies() - before, 8u);
  EXPECT_EQ(paris_.status().not_applied, 0u);
  for (int id = 0; id < 40; ++id) EXPECT_EQ(paris_.show(id), oslo_.show(id));
  EXPECT_NE(paris_.show(100), "none");
}

}  // namespace
}  // namespace outrigger
