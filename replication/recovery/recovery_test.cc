// Crashes of local writes at every point, on a replica set (the oplog tells) and on a standalone
// (the store tells, or nobody), and writes whose backend connection broke.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/outbox/memory/memory_outbox.h"
#include "replication/record/catalog.h"
#include "replication/site/site_parts.h"
#include "replication/site/state/meta_keys.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::HasSubstr;

class RecoveryTest : public ::testing::Test {
 protected:
  explicit RecoveryTest(StoreKind kind = StoreKind::kSingleMember)
      : paris_("paris", {"oslo", "paris"}, memory_outbox(), kind),
        oslo_("oslo", {"oslo", "paris"}, memory_outbox(), kind) {
    paris_.insert(1, {{"a", number(1)}, {"n", number(10)}});
    exchange(paris_, oslo_);
  }

  // The sidecar dies while `change` is under way; `stored`: mongod did it all the same.
  RecoveryReport crash_during(DocumentChange change, bool stored) {
    auto pending = paris_.begin(std::move(change));
    if (stored) paris_.store(*pending);
    paris_.kill();
    paris_.release(*pending);
    paris_.open();
    auto report = paris_.recover();
    EXPECT_TRUE(report.has_value()) << report.error().message();
    paris_.apply_all();
    return report.value_or(RecoveryReport());
  }
  // A connection over which a write is on its way when the process dies.
  void note_in_doubt(const std::string& lsid) {
    auto note = paris_.replica->note_backend(lsid, "127.0.0.1:5000");
    ASSERT_TRUE(note.has_value());
    note->set_in_doubt(true);
  }
  void expect_equal(int id) {
    exchange(paris_, oslo_);
    EXPECT_EQ(paris_.show(id), oslo_.show(id));
    settle_down({&paris_, &oslo_});
    EXPECT_EQ(paris_.status().rows + oslo_.status().rows, 0u);
    EXPECT_EQ(paris_.show(id), oslo_.show(id));
  }

  TestSite paris_;
  TestSite oslo_;
};

class StandaloneRecoveryTest : public RecoveryTest {
 protected:
  StandaloneRecoveryTest() : RecoveryTest(StoreKind::kStandalone) {}
};

TEST_F(RecoveryTest, AWriteTheOplogShowsIsRecordedUnderItsOwnStamp) {
  const uint64_t epoch = paris_.status().epoch;
  const RecoveryReport report = crash_during(TestSite::setting(1, "a", number(2)), true);
  EXPECT_EQ(report.happened, 1u);
  auto segments = read_segments(*paris_.replica, oslo_.replica->applied(), 1u << 20);
  ASSERT_EQ(segments->size(), 1u);
  EXPECT_EQ(segments->front().origin.epoch, epoch);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "a"), 2);
}

TEST_F(RecoveryTest, AWriteTheOplogDoesNotShowIsDropped) {
  const RecoveryReport report = crash_during(TestSite::setting(1, "a", number(2)), false);
  EXPECT_EQ(report.dropped, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "a"), 1);
}

TEST_F(RecoveryTest, AnIncrementIsCountedOnceAndStillAddsToConcurrentOnes) {
  oslo_.inc(1, "n", 100);
  EXPECT_EQ(crash_during(TestSite::incrementing(1, "n", 5), true).happened, 1u);
  EXPECT_EQ(crash_during(TestSite::incrementing(1, "n", 7), false).dropped, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "n"), 115);
}

TEST_F(RecoveryTest, InsertRemoveReplaceAndUnsetTravelAfterACrash) {
  crash_during(TestSite::inserting(2, {{"x", number(1)}}), true);
  crash_during(TestSite::inserting(3, {{"x", number(1)}}), true);
  crash_during(TestSite::replacing(2, {{"y", number(2)}}), true);
  crash_during(TestSite::removing(3), true);
  crash_during(TestSite::unsetting(1, "a"), true);
  for (int id : {1, 2, 3}) expect_equal(id);
  EXPECT_EQ(oslo_.number(2, "y"), 2);
  EXPECT_EQ(oslo_.show(3), "none");
  EXPECT_EQ(oslo_.number(1, "a"), -1);
}

TEST_F(RecoveryTest, ARemoveInDoubtYieldsWithTheDocumentItsPrepareHolds) {
  oslo_.inc(1, "n", 100);
  EXPECT_EQ(crash_during(paris_.yielding(1), true).happened, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "n"), 110);
  EXPECT_EQ(paris_.number(1, "a"), 1);
}

TEST_F(RecoveryTest, AStampThatCameToNothingIsStillKnownAfterTheNextCrash) {
  crash_during(TestSite::setting(1, "a", number(2)), false);
  paris_.set(1, "a", 3);  // names the dropped stamp among what it has seen
  paris_.restart();
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "a"), 3);
}

TEST_F(RecoveryTest, ACrashAfterSettleLosesNothing) {
  auto pending = paris_.begin(TestSite::setting(1, "a", number(2)));
  paris_.store(*pending);
  paris_.settle(std::move(pending));
  paris_.restart();
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "a"), 2);
}

TEST_F(RecoveryTest, WhatTheDeadProcessLeftRunningIsKilledFirst) {
  const std::string lsid(16, 'x');
  note_in_doubt(lsid);
  ASSERT_TRUE(paris_.replica->note_backend(std::string(16, 'y'), "127.0.0.1:5001").has_value());
  paris_.mongod.add_running(lsid, "elsewhere");
  paris_.mongod.add_running("", "127.0.0.1:5000");  // who has that address now
  paris_.mongod.add_running(std::string(16, 'y'), "127.0.0.1:5001");
  paris_.restart();
  EXPECT_EQ(paris_.mongod.running(), 2u);  // a stranger's, and the forgotten one
}

TEST_F(RecoveryTest, NothingOpensWhileAnOperationWillNotDie) {
  const std::string lsid(16, 'x');
  note_in_doubt(lsid);
  paris_.mongod.add_running(lsid, "127.0.0.1:5000", true);
  paris_.kill();
  paris_.open();
  EXPECT_FALSE(paris_.recover().has_value());
  EXPECT_FALSE(paris_.replica->admit().has_value());
}

TEST_F(RecoveryTest, RecoveryGoesOnWhereAnUnreachableStoreStoppedIt) {
  auto pending = paris_.begin(TestSite::setting(1, "a", number(2)));
  paris_.store(*pending);
  paris_.kill();
  paris_.release(*pending);
  paris_.open();
  size_t failures = 0;
  for (size_t calls = 1;; ++calls) {
    paris_.mongod.fail_next(1);
    if (paris_.recover().has_value()) break;
    ASSERT_LT(++failures, 20u);
    paris_.mongod.fail_next(0);
    if (paris_.recover().has_value()) break;
  }
  EXPECT_GE(failures, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "a"), 2);
}

TEST_F(RecoveryTest, AnOplogThatWasCutMeansAdoption) {
  auto pending = paris_.begin(TestSite::incrementing(1, "n", 5));
  paris_.store(*pending);
  paris_.kill();
  paris_.release(*pending);
  paris_.mongod.cut_oplog(Timestamp{2000, 0});
  paris_.open();
  auto report = paris_.recover();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->adopted, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "n"), 15);
}

TEST_F(RecoveryTest, TheNotedOplogTimeWaitsForOlderWrites) {
  auto noted = [&] { return paris_.outbox->meta(meta_keys::kOplogTime)->value_or(""); };
  auto pending = paris_.begin(TestSite::setting(1, "a", number(2)));
  paris_.store(*pending);
  const std::string before = noted();
  ASSERT_TRUE(paris_.recovery->note_oplog_time().has_value());
  ASSERT_TRUE(paris_.recovery->note_oplog_time().has_value());
  EXPECT_EQ(noted(), before);
  paris_.settle(std::move(pending));
  paris_.flush();
  ASSERT_TRUE(paris_.recovery->note_oplog_time().has_value());
  EXPECT_GT(noted(), before);
}

TEST_F(RecoveryTest, AWriteWhoseConnectionBrokeIsSettledWhileOthersGoOn) {
  auto pending = paris_.begin(TestSite::incrementing(1, "n", 5));
  paris_.store(*pending);
  const std::string lsid(16, 'x');
  paris_.mongod.add_running(lsid, "127.0.0.1:6000");
  auto how =
      paris_.recovery->settle_in_doubt(pending->write, lsid, "127.0.0.1:6000", paris_.mongod);
  ASSERT_TRUE(how.has_value()) << how.error().message();
  EXPECT_EQ(*how, SettledPrepare::How::kHappened);
  EXPECT_EQ(paris_.mongod.running(), 0u);
  paris_.release(*pending);
  auto second = paris_.begin(TestSite::incrementing(1, "n", 7));
  how = paris_.recovery->settle_in_doubt(second->write, "", "", paris_.mongod);
  EXPECT_EQ(*how, SettledPrepare::How::kDropped);
  paris_.release(*second);
  paris_.flush();
  EXPECT_EQ(paris_.status().open_writes, 0u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "n"), 15);
}

TEST_F(RecoveryTest, AnAppsStatementThatHappenedLeavesARetryEntry) {
  auto pending = paris_.begin(TestSite::incrementing(1, "n", 5));
  const std::string key = paris_.retry_key_of(*pending);
  paris_.store(*pending);
  paris_.kill();
  paris_.release(*pending);
  paris_.open();
  ASSERT_TRUE(paris_.recover().has_value());
  const auto entry = paris_.replica->retry(key);
  ASSERT_TRUE(entry.has_value() && entry->has_value());
  EXPECT_EQ(bson::to_json(bson::Document(**entry)), R"({"n": 1, "nModified": 1})");
}

TEST_F(RecoveryTest, ARetryThatCrashesAgainIsNotRecordedTwice) {
  auto pending = paris_.begin(TestSite::incrementing(1, "n", 5));
  paris_.store(*pending);
  paris_.release(*pending);
  // The driver's second attempt has the same number; mongod does not run it again.
  auto retry = paris_.begin_again(*pending);
  paris_.kill();
  paris_.release(*retry);
  paris_.open();
  const auto report = paris_.recover();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->happened, 1u);
  EXPECT_EQ(report->dropped, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "n"), 15);
}

TEST_F(RecoveryTest, NoRetryEntriesForSessionsOfOurOwn) {
  auto pending = paris_.begin(TestSite::incrementing(1, "n", 5));
  const std::string key = paris_.retry_key_of(*pending);
  note_in_doubt(key.substr(0, 16));
  paris_.store(*pending);
  paris_.kill();
  paris_.release(*pending);
  paris_.open();
  ASSERT_TRUE(paris_.recover().has_value());
  EXPECT_FALSE(paris_.replica->retry(key)->has_value());
}

// Others know it as one that was dropped.
TEST_F(RecoveryTest, ACollectionThatDocumentsMadeAgainIsToldInFull) {
  CatalogEntry entry;
  entry.ns = "shop.made";
  const std::string ns(kCatalogNs);
  oslo_.mongod.put(ns, catalog_document(entry));
  entry.exists = true;
  std::vector<DocumentChange> dropped;
  dropped.push_back(catalog_change(entry.ns, catalog_drop(entry)));
  ASSERT_TRUE(paris_.replica->parts().writes.record(std::move(dropped)));
  Prepare prepare;
  const bson::OwnedValue name = bson::make_string(entry.ns);
  prepare.documents.push_back(
      {ns, name, PreparedDocument::What::kUpdate, {}, true, catalog_document(entry)});
  auto begun = paris_.replica->begin(std::move(prepare));
  ASSERT_TRUE(begun.has_value());
  begun->leave_to_recovery();
  entry.options.emplace("expireAfterSeconds", bson::make_int32(5));
  paris_.mongod.put(ns, catalog_document(entry));
  paris_.restart();
  exchange(paris_, oslo_);
  const auto shown = oslo_.mongod.document(ns, name);
  ASSERT_TRUE(shown);
  EXPECT_TRUE(catalog_entry(bson::Document(*shown))->exists);
}

// ---- standalone

TEST_F(StandaloneRecoveryTest, ALiteralAssignmentHappenedIfTheStoreShowsIt) {
  EXPECT_EQ(crash_during(TestSite::setting(1, "a", number(2)), true).happened, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "a"), 2);
  EXPECT_EQ(crash_during(TestSite::setting(1, "a", number(3)), false).dropped, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "a"), 2);
}

TEST_F(StandaloneRecoveryTest, AnIncrementInDoubtIsAdoptedEitherWayAndConcurrentOnesStillAdd) {
  oslo_.inc(1, "n", 100);
  EXPECT_EQ(crash_during(TestSite::incrementing(1, "n", 5), true).adopted, 1u);
  EXPECT_EQ(crash_during(TestSite::incrementing(1, "n", 7), false).adopted, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "n"), 115);
}

TEST_F(StandaloneRecoveryTest, AnInsertIsThereWithItsContentOrDidNotHappen) {
  EXPECT_EQ(crash_during(TestSite::inserting(2, {{"x", number(1)}}), true).happened, 1u);
  EXPECT_EQ(crash_during(TestSite::inserting(3, {{"x", number(1)}}), false).dropped, 1u);
  expect_equal(2);
  EXPECT_EQ(oslo_.number(2, "x"), 1);
  EXPECT_EQ(oslo_.show(3), "none");
}

TEST_F(StandaloneRecoveryTest, ADocumentThatIsGoneIsRemovedEverywhere) {
  EXPECT_EQ(crash_during(TestSite::removing(1), true).happened, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.show(1), "none");
}

TEST_F(StandaloneRecoveryTest, ADocumentThatIsGoneIsBackWhereAnUpdateWins) {
  oslo_.set(1, "b", 7);
  EXPECT_EQ(crash_during(paris_.yielding(1), true).happened, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "b"), 7);
  EXPECT_EQ(paris_.number(1, "a"), 1);
}

TEST_F(StandaloneRecoveryTest, ARemoveThatDidNotHappenIsDropped) {
  EXPECT_EQ(crash_during(TestSite::removing(1), false).dropped, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "a"), 1);
}

TEST_F(StandaloneRecoveryTest, AReplacementIsJudgedByTheWholeDocument) {
  EXPECT_EQ(crash_during(TestSite::replacing(1, {{"b", number(5)}}), true).happened, 1u);
  EXPECT_EQ(crash_during(TestSite::replacing(1, {{"c", number(6)}}), false).dropped, 1u);
  expect_equal(1);
  EXPECT_EQ(oslo_.number(1, "b"), 5);
}

}  // namespace
}  // namespace outrigger
