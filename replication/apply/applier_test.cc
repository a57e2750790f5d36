// Applying: crashes at every point of a batch, locked and refused documents, how the store is
// written, and local writers beside the applier.
#include "replication/testing/applier_fixture.h"

namespace outrigger {
namespace {

using ::testing::HasSubstr;

TEST_F(ApplierTest, ABatchCutShortBeforeItsFirstStoreWriteIsReplayed) {
  oslo_.insert(1, {{"n", number(1)}});
  oslo_.inc(1, "n", 5);
  offer();
  paris_.mongod.crash_after(0);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  EXPECT_EQ(paris_.show(1), "none");
  paris_.restart();
  EXPECT_EQ(paris_.number(1, "n"), 6);
  EXPECT_EQ(paris_.replica->applied(), oslo_.replica->applied());
}

TEST_F(ApplierTest, ABatchCutShortBetweenStoreWritesIsReplayedWhole) {
  for (int id = 0; id < 5; ++id) oslo_.insert(id, {{"n", number(id)}});
  offer();
  paris_.mongod.crash_after(2);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  EXPECT_EQ(paris_.mongod.size(), 2u);
  paris_.restart();
  EXPECT_EQ(paris_.mongod.size(), 5u);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.status().applied_records, 0u);
}

TEST_F(ApplierTest, ABatchWhoseEndWasLostIsReplayedWithoutDoublingCounters) {
  oslo_.insert(1, {{"n", number(0)}});
  exchange(paris_, oslo_);
  oslo_.inc(1, "n", 7);
  offer();
  EXPECT_EQ(step(), StepOutcome::kApplied);  // its last write is not synced
  paris_.kill();
  outbox_->lose_unsynced();
  paris_.open();
  EXPECT_FALSE(paris_.replica->applied() == oslo_.replica->applied());
  ASSERT_TRUE(paris_.recover().has_value());
  EXPECT_EQ(paris_.number(1, "n"), 7);
  EXPECT_TRUE(paris_.replica->applied() == oslo_.replica->applied());
  paris_.inc(1, "n", 1);
  exchange(paris_, oslo_);
  EXPECT_EQ(oslo_.number(1, "n"), 8);
}

TEST_F(ApplierTest, RecordsNotYetCommittedAreFetchedAgainAfterACrash) {
  oslo_.insert(1, {{"n", number(1)}});
  offer();
  paris_.restart();
  EXPECT_EQ(paris_.show(1), "none");
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.number(1, "n"), 1);
}

TEST_F(ApplierTest, ARunningBatchGoesOnWhenTheStoreComesBackAndKeepsItsLocks) {
  oslo_.insert(1, {{"n", number(1)}});
  offer();
  paris_.mongod.crash_after(0);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  ASSERT_FALSE(paris_.status().held.empty());
  EXPECT_THAT(paris_.status().held.front(), HasSubstr("applying waits"));
  EXPECT_EQ(paris_.begin(TestSite::setting(1, "n", number(9))), nullptr);
  EXPECT_EQ(step(), StepOutcome::kApplied);
  EXPECT_EQ(paris_.number(1, "n"), 1);
  EXPECT_TRUE(paris_.status().held.empty());
  paris_.set(1, "n", 2);
}

TEST_F(ApplierTest, NothingIsReportedAsAppliedBeforeTheStoreHasIt) {
  oslo_.insert(1, {{"n", number(1)}});
  offer();
  const VersionVector before = paris_.replica->applied();
  paris_.mongod.crash_after(0);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  EXPECT_EQ(paris_.replica->applied(), before);
  paris_.insert(2, {});  // yet whoever writes now has seen it
  auto segments = read_segments(*paris_.replica, {}, 1u << 20);
  ASSERT_EQ(segments->size(), 1u);
  EXPECT_TRUE(segments->front().records.front().deps.includes(oslo_.replica->applied()));
}

TEST_F(ApplierTest, ALockedDocumentHoldsBackItsOriginOnly) {
  const std::vector<std::string> three{"oslo", "paris", "rome"};
  TestSite paris("paris", three, memory_outbox());
  TestSite oslo("oslo", three, memory_outbox());
  TestSite rome("rome", three, memory_outbox());
  paris.insert(1, {});
  exchange(paris, oslo);
  oslo.set(1, "a", 1);
  oslo.insert(2, {});
  rome.insert(3, {});
  auto pending = paris.begin(TestSite::setting(1, "b", number(1)));
  pull(oslo, paris);
  pull(rome, paris);
  EXPECT_EQ(paris.show(2), "none");
  EXPECT_NE(paris.show(3), "none");
  ASSERT_FALSE(paris.status().held.empty());
  EXPECT_THAT(paris.status().held.front(), HasSubstr("locked"));
  paris.store(*pending);
  paris.settle(std::move(pending));
  paris.flush();
  paris.clock.advance_ms(1000);
  paris.apply_all();
  EXPECT_NE(paris.show(2), "none");
  EXPECT_EQ(paris.number(1, "a"), 1);
  EXPECT_EQ(paris.number(1, "b"), 1);
}

TEST_F(ApplierTest, ARefusedDocumentIsSetAsideAndTheStreamGoesOn) {
  paris_.mongod.reject(kTestNs, number(1));
  oslo_.insert(1, {{"a", number(1)}});
  oslo_.insert(2, {{"a", number(2)}});
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.show(1), "none");
  EXPECT_EQ(paris_.number(2, "a"), 2);
  EXPECT_EQ(paris_.status().not_applied, 1u);
  ASSERT_EQ(paris_.ledger().size(), 1u);
  EXPECT_EQ(paris_.ledger().front().kind, kNotApplied);
  EXPECT_THAT(paris_.ledger().front().reason, HasSubstr("11000"));
  EXPECT_EQ(bson::Document(paris_.ledger().front().value.bytes).find("a")->as_int32(), 1);
  EXPECT_EQ(paris_.replica->applied(), oslo_.replica->applied());
}

TEST_F(ApplierTest, ADocumentSetAsideGoesOnMergingAndIsTriedOnItsNextChange) {
  paris_.mongod.reject(kTestNs, number(1));
  oslo_.insert(1, {{"a", number(1)}, {"n", number(0)}});
  exchange(paris_, oslo_);
  oslo_.inc(1, "n", 4);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.ledger().size(), 1u);
  paris_.mongod.allow(kTestNs, number(1));
  oslo_.set(1, "a", 2);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.show(1), oslo_.show(1));
  EXPECT_EQ(paris_.number(1, "n"), 4);
  EXPECT_EQ(paris_.status().not_applied, 0u);
  EXPECT_TRUE(paris_.ledger().empty());
  settle_down({&paris_, &oslo_});
  EXPECT_EQ(paris_.status().rows, 0u);
}

TEST_F(ApplierTest, ADocumentSetAsideIsTriedAtStartAndIsNeverCollected) {
  oslo_.insert(1, {{"a", number(1)}});
  exchange(paris_, oslo_);
  paris_.mongod.reject(kTestNs, number(1));
  oslo_.set(1, "a", 2);
  settle_down({&paris_, &oslo_});
  EXPECT_EQ(paris_.number(1, "a"), 1);
  EXPECT_EQ(paris_.status().rows, 1u);
  paris_.restart();
  paris_.apply_all();
  EXPECT_EQ(paris_.status().not_applied, 1u);
  paris_.mongod.allow(kTestNs, number(1));
  paris_.restart();
  paris_.apply_all();
  EXPECT_EQ(paris_.number(1, "a"), 2);
  EXPECT_EQ(paris_.status().not_applied, 0u);
}

TEST_F(ApplierTest, ARefusalDuringReplaySetsTheDocumentAsideToo) {
  oslo_.insert(1, {{"a", number(1)}});
  offer();
  paris_.mongod.crash_after(0);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  paris_.mongod.reject(kTestNs, number(1));
  paris_.restart();
  EXPECT_EQ(paris_.status().not_applied, 1u);
  paris_.mongod.allow(kTestNs, number(1));
  paris_.restart();
  paris_.apply_all();
  EXPECT_EQ(paris_.number(1, "a"), 1);
}

TEST_F(ApplierTest, ALocalWriteToADocumentSetAsideTriesItAgain) {
  oslo_.insert(1, {{"a", number(1)}});
  exchange(paris_, oslo_);
  paris_.mongod.reject(kTestNs, number(1));
  oslo_.set(1, "a", 2);
  exchange(paris_, oslo_);
  paris_.mongod.allow(kTestNs, number(1));
  paris_.set(1, "b", 3);
  paris_.apply_all();
  EXPECT_EQ(paris_.number(1, "a"), 2);
  EXPECT_EQ(paris_.number(1, "b"), 3);
  exchange(paris_, oslo_);
  EXPECT_EQ(oslo_.show(1), paris_.show(1));
}

TEST_F(ApplierTest, AnUpdateOfADocumentTakenAwayBehindOurBackIsTold) {
  oslo_.insert(1, {{"a", number(1)}, {"b", number(1)}});
  exchange(paris_, oslo_);
  oslo_.set(1, "a", 2);
  offer();
  paris_.mongod.crash_after(0);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  paris_.mongod.remove(kTestNs, number(1));
  EXPECT_EQ(step(), StepOutcome::kApplied);
  EXPECT_EQ(paris_.show(1), "none");
  EXPECT_EQ(paris_.status().not_applied, 0u);
  ASSERT_EQ(paris_.ledger().size(), 1u);
  EXPECT_THAT(paris_.ledger().front().reason, HasSubstr("around the sidecar"));
}

TEST_F(ApplierTest, ADocumentThatIsNotAsItWasReadIsWrittenWhole) {
  oslo_.insert(1, {{"a", bson::make_document(bson::Writer().int32("x", 1).finish())}});
  exchange(paris_, oslo_);
  auto pending = oslo_.begin(TestSite::setting(1, "a", number(1)));
  pending->change.changes.front().path = {"a", "y"};
  oslo_.mongod.put(kTestNs, bson::Writer()
                                .int32("_id", 1)
                                .open_document("a")
                                .int32("x", 1)
                                .int32("y", 1)
                                .close()
                                .finish());
  oslo_.settle(std::move(pending));
  oslo_.flush();
  offer();
  paris_.mongod.crash_after(0);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  paris_.mongod.put(kTestNs, bson::Writer().int32("_id", 1).int32("a", 7).finish());
  EXPECT_EQ(step(), StepOutcome::kApplied);
  EXPECT_THAT(paris_.show(1), HasSubstr("\"y\""));
  EXPECT_TRUE(paris_.ledger().empty());
}

TEST_F(ApplierTest, AStoreThatCannotBeReadLeavesNothingLocked) {
  oslo_.insert(1, {});
  offer();
  paris_.mongod.fail_next(1);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  EXPECT_EQ(paris_.locks.size(), 0u);
  EXPECT_EQ(step(), StepOutcome::kApplied);
}

TEST_F(ApplierTest, ABatchThatCouldNotBeCommittedIsTheLastOne) {
  struct FailsOnce : outbox::MemoryOutbox {
    [[nodiscard]] Status write(outbox::Batch&& batch) override {
      if (!std::exchange(fails, false)) return MemoryOutbox::write(std::move(batch));
      has_failed = true;
      return tl::unexpected<Error>(*failure());
    }
    [[nodiscard]] std::optional<Error> failure() const override {
      if (!has_failed) return std::nullopt;
      return Error{ErrorCode::kIo, "write outbox", "", "this once", ""};
    }
    bool fails = false;
    bool has_failed = false;
  };
  const auto outbox = std::make_shared<FailsOnce>();
  TestSite rome("rome", {"oslo", "rome"}, [outbox] { return outbox; });
  TestSite oslo("oslo", {"oslo", "rome"}, memory_outbox());
  oslo.insert(1, {});
  {
    const Link link(oslo, rome);
    auto segments = read_segments(*oslo.replica, rome.replica->applied(), 1u << 20);
    ASSERT_TRUE(rome.replica->offer(std::move(*segments), run_of(oslo)));
  }
  outbox->fails = true;
  EXPECT_FALSE(rome.applier->step());
  EXPECT_FALSE(rome.applier->step());
  EXPECT_EQ(rome.show(1), "none");
  outbox->has_failed = false;
  rome.restart();
  pull(oslo, rome);
  EXPECT_NE(rome.show(1), "none");
}

TEST_F(ApplierTest, ARecordThatWaitsKeepsNothingFromOneBeforeItWhenTheStoreComesBack) {
  const auto key_of = [](int id) { return document_lock_key(kTestNs, number(id).view()); };
  int other = 2;
  while (key_of(other) < key_of(1)) ++other;  // the record waits with the first one in hand
  oslo_.insert(1, {});
  auto both = oslo_.begin(TestSite::inserting(other, {}));  // one record for two documents
  ASSERT_TRUE(
      oslo_.replica->settle(both->write, {both->change, TestSite::setting(1, "a", number(1))}, {}));
  oslo_.release(*both);
  oslo_.flush();
  offer();
  LockRequest busy;
  busy.add(key_of(other), LockMode::kExclusive);
  ASSERT_TRUE(paris_.locks.try_acquire(busy));
  paris_.mongod.fail_next(1);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  EXPECT_EQ(step(), StepOutcome::kApplied);
  EXPECT_NE(paris_.show(1), "none");
  paris_.locks.release(busy);
  EXPECT_EQ(step(), StepOutcome::kApplied);
  EXPECT_NE(paris_.show(other), "none");
  EXPECT_EQ(paris_.number(1, "a"), 1);
}

TEST_F(ApplierTest, ManyRecordsOfOneDocumentAreOneStoreWrite) {
  oslo_.insert(1, {{"n", number(0)}});
  for (int i = 0; i < 50; ++i) oslo_.inc(1, "n", 1);
  pull(oslo_, paris_);
  EXPECT_EQ(paris_.number(1, "n"), 50);
  EXPECT_EQ(paris_.mongod.applied(), 1u);
}

}  // namespace
}  // namespace outrigger
