// A site's memory on its own and in exchange with others, on a real outbox.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "replication/outbox/memory/memory_outbox.h"
#include "replication/recovery/first_start.h"
#include "replication/site/site_parts.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kTwo{"oslo", "paris"};

class ReplicaTest : public ::testing::Test {
 protected:
  TestSite paris_{"paris", kTwo, memory_outbox()};
  TestSite oslo_{"oslo", kTwo, memory_outbox()};
};

// The same on RocksDB, for what leans on it most.
class ReplicaOnDiskTest : public ::testing::Test {
 protected:
  TestSite paris_{"paris", kTwo, rocks_outbox()};
  TestSite oslo_{"oslo", kTwo, rocks_outbox()};
};

TEST_F(ReplicaTest, AWriteOfOneSiteShowsAtTheOther) {
  paris_.insert(1, {{"a", number(1)}});
  exchange(paris_, oslo_);
  EXPECT_EQ(oslo_.show(1), paris_.show(1));
  EXPECT_EQ(oslo_.number(1, "a"), 1);
}

TEST_F(ReplicaTest, EditsOfDifferentFieldsWhileCutBothStand) {
  paris_.insert(1, {{"a", number(1)}, {"b", number(1)}});
  exchange(paris_, oslo_);
  paris_.set(1, "a", 2);
  oslo_.set(1, "b", 3);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.number(1, "a"), 2);
  EXPECT_EQ(paris_.number(1, "b"), 3);
  EXPECT_EQ(oslo_.show(1), paris_.show(1));
  EXPECT_TRUE(paris_.ledger().empty());
}

TEST_F(ReplicaOnDiskTest, TheLoserOfTwoClashingEditsIsInBothLedgers) {
  paris_.insert(1, {{"a", number(1)}});
  exchange(paris_, oslo_);
  paris_.set(1, "a", 2);
  oslo_.clock.advance_ms(5);
  oslo_.set(1, "a", 3);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.number(1, "a"), 3);
  ASSERT_EQ(paris_.ledger().size(), 1u);
  ASSERT_EQ(oslo_.ledger().size(), 1u);
  const LedgerEntry entry = paris_.ledger().front();
  EXPECT_EQ(entry.kind, "set_set");
  EXPECT_EQ(entry.value, number(2));
  EXPECT_EQ(entry.winning, number(3));
  EXPECT_EQ(entry, oslo_.ledger().front());
  EXPECT_EQ(paris_.status().ledger_entries, 1u);
}

TEST_F(ReplicaTest, IncrementsAtBothSitesAddUp) {
  paris_.insert(1, {{"n", number(10)}});
  exchange(paris_, oslo_);
  for (int i = 0; i < 3; ++i) paris_.inc(1, "n", 1);
  oslo_.inc(1, "n", 100);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.number(1, "n"), 113);
  EXPECT_EQ(oslo_.number(1, "n"), 113);
}

TEST_F(ReplicaTest, ADeleteBeatsAConcurrentUpdateAndTheUpdateIsInTheLedger) {
  paris_.insert(1, {{"a", number(1)}});
  exchange(paris_, oslo_);
  paris_.remove(1);
  oslo_.set(1, "a", 2);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.show(1), "none");
  EXPECT_EQ(oslo_.show(1), "none");
  ASSERT_FALSE(oslo_.ledger().empty());
  EXPECT_EQ(oslo_.ledger().front().kind, "delete_update");
}

TEST_F(ReplicaOnDiskTest, StabilityLeavesNeitherRowsNorRecords) {
  paris_.insert(1, {{"a", number(1)}, {"n", number(0)}});
  exchange(paris_, oslo_);
  oslo_.inc(1, "n", 4);
  paris_.set(1, "a", 2);
  EXPECT_GT(paris_.status().rows, 0u);
  settle_down({&paris_, &oslo_});
  for (const TestSite* site : {&paris_, &oslo_}) {
    EXPECT_EQ(site->status().rows, 0u);
    EXPECT_EQ(site->status().outbox_records, 0u);
    EXPECT_EQ(site->number(1, "n"), 4);
  }
  EXPECT_GT(paris_.status().collected_rows, 0u);
}

TEST_F(ReplicaTest, NothingIsForgottenBeforeEveryMemberHasIt) {
  TestSite alone("paris", kTwo, memory_outbox());
  alone.insert(1, {{"a", number(1)}});
  settle_down({&alone});
  EXPECT_EQ(alone.status().rows, 1u);
  EXPECT_EQ(alone.status().outbox_records, 1u);
}

TEST_F(ReplicaTest, AWriteInFlightHoldsBackLaterRecords) {
  auto slow = paris_.begin(TestSite::inserting(1, {}));
  paris_.insert(2, {{"a", number(1)}});
  pull(paris_, oslo_);
  EXPECT_EQ(oslo_.show(2), "none");
  EXPECT_EQ(paris_.status().open_writes, 1u);
  paris_.store(*slow);
  paris_.settle(std::move(slow));
  paris_.flush();
  pull(paris_, oslo_);
  EXPECT_NE(oslo_.show(1), "none");
  EXPECT_NE(oslo_.show(2), "none");
}

TEST_F(ReplicaTest, ADroppedStampLeavesNoGapAndLetsStabilityMove) {
  paris_.insert(1, {});
  paris_.drop(paris_.begin(TestSite::removing(9)));
  paris_.flush();
  settle_down({&paris_, &oslo_});
  EXPECT_EQ(oslo_.replica->applied(), paris_.replica->applied());
  EXPECT_EQ(paris_.status().rows, 0u);
}

TEST_F(ReplicaOnDiskTest, SegmentsAreBoundedAndPiecesFitTogether) {
  const Link link(paris_, oslo_);
  for (int i = 0; i < 40; ++i) paris_.insert(i, {{"text", bson::make_string("0123456789")}});
  size_t pieces = 0;
  while (oslo_.replica->applied() != paris_.replica->applied()) {
    auto segments = read_segments(*paris_.replica, oslo_.replica->applied(), 400);
    ASSERT_TRUE(segments.has_value());
    ASSERT_LT(segments->front().records.size(), 10u);
    ASSERT_TRUE(oslo_.replica->offer(std::move(*segments), run_of(paris_)).has_value());
    oslo_.apply_all();
    ASSERT_LT(++pieces, 50u);
  }
  EXPECT_GT(pieces, 4u);
  EXPECT_EQ(oslo_.mongod.size(), 40u);
}

TEST_F(ReplicaTest, ADuplicateSegmentChangesNothing) {
  const Link link(paris_, oslo_);
  paris_.insert(1, {{"n", number(0)}});
  exchange(paris_, oslo_);
  const VersionVector before = oslo_.replica->applied();
  paris_.inc(1, "n", 5);
  auto segments = read_segments(*paris_.replica, before, 1u << 20);
  ASSERT_TRUE(segments.has_value());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(oslo_.replica->offer(*segments, run_of(paris_)).has_value());
    oslo_.apply_all();
  }
  EXPECT_EQ(oslo_.number(1, "n"), 5);
  EXPECT_EQ(oslo_.status().duplicate_records, 2u);
}

TEST_F(ReplicaTest, AGapIsRefused) {
  const Link link(paris_, oslo_);
  paris_.insert(1, {});
  paris_.insert(2, {});
  auto segments = read_segments(*paris_.replica, {}, 1u << 20);
  ASSERT_TRUE(segments.has_value());
  segments->front().after = segments->front().records.front().hlc;
  segments->front().records.erase(segments->front().records.begin());
  const Status refused = oslo_.replica->offer(std::move(*segments), run_of(paris_));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
}

TEST_F(ReplicaTest, StampsOfOurOwnThatWeNeverIssuedAreRefused) {
  paris_.insert(1, {});
  auto segments = read_segments(*paris_.replica, {}, 1u << 20);
  ASSERT_TRUE(segments.has_value());
  segments->front().through += 1000;
  const Status refused = paris_.replica->offer(std::move(*segments), run_of(paris_));
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message(), HasSubstr("two copies"));
}

TEST_F(ReplicaTest, APeerBelowTheFloorIsRefusedWithTheOriginsName) {
  paris_.insert(1, {});
  settle_down({&paris_, &oslo_});
  const auto segments = read_segments(*paris_.replica, {}, 1u << 20);
  ASSERT_FALSE(segments.has_value());
  EXPECT_EQ(segments.error().code, ErrorCode::kRefused);
  EXPECT_EQ(segments.error().object, to_text(paris_.replica->hello().floor.entries()[0].first));
}

TEST_F(ReplicaTest, AClockTooFarAheadIsHeldAndNamedUntilOursCatchesUp) {
  oslo_.clock.advance_ms(120'000);
  oslo_.insert(1, {});
  pull(oslo_, paris_);
  EXPECT_EQ(paris_.show(1), "none");
  ASSERT_EQ(paris_.status().held.size(), 1u);
  EXPECT_THAT(paris_.status().held.front(), HasSubstr("ahead"));
  paris_.insert(2, {});
  EXPECT_LT(hlc_ms(paris_.status().issued), oslo_.clock.wall_ms() - 60'000);
  paris_.clock.advance_ms(61'000);
  paris_.apply_all();
  EXPECT_NE(paris_.show(1), "none");
  EXPECT_TRUE(paris_.status().held.empty());
}

TEST_F(ReplicaTest, AFullInboxSaysSoButTakesOneStretchOfEachOrigin) {
  TestSite small("oslo", kTwo, memory_outbox());
  small.kill();
  small.replica_options.inbox_bytes_max = 1;
  small.open();
  const Link link(paris_, small);
  paris_.insert(1, {});
  auto first = read_segments(*paris_.replica, {}, 1u << 20);
  ASSERT_TRUE(small.replica->offer(*first, run_of(paris_)).has_value());
  paris_.insert(2, {});
  auto second = read_segments(*paris_.replica, {}, 1u << 20);
  const Status full = small.replica->offer(*second, run_of(paris_));
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, ErrorCode::kUnavailable);
  small.apply_all();
  EXPECT_TRUE(small.replica->offer(*second, run_of(paris_)).has_value());
}

TEST_F(ReplicaTest, ARecordWaitsForWhatItDependsOn) {
  const std::vector<std::string> three{"oslo", "paris", "rome"};
  TestSite paris("paris", three, memory_outbox());
  TestSite oslo("oslo", three, memory_outbox());
  TestSite rome("rome", three, memory_outbox());
  paris.insert(1, {{"a", number(1)}});
  pull(paris, oslo);
  oslo.set(1, "a", 2);
  const Link link(oslo, rome);
  auto all = read_segments(*oslo.replica, {}, 1u << 20);
  ASSERT_TRUE(all.has_value());
  ASSERT_EQ(all->size(), 2u);  // relayed: paris's and oslo's own
  const SiteId paris_id = paris.replica->hello().site_id;
  const size_t cause = (*all)[0].origin.site == paris_id ? 0 : 1;
  ASSERT_TRUE(rome.replica->offer({(*all)[1 - cause]}, run_of(oslo)).has_value());
  rome.apply_all();
  EXPECT_EQ(rome.show(1), "none");
  ASSERT_TRUE(rome.replica->offer({(*all)[cause]}, run_of(oslo)).has_value());
  rome.apply_all();
  EXPECT_EQ(rome.number(1, "a"), 2);
}

TEST_F(ReplicaOnDiskTest, ARestartTakesANewEpochAndLaterStamps) {
  paris_.insert(1, {});
  const uint64_t epoch = paris_.status().epoch;
  const Hlc issued = paris_.status().issued;
  paris_.clock.set_wall_ms(paris_.clock.wall_ms() - 3'600'000);
  paris_.restart();
  EXPECT_NE(paris_.status().epoch, epoch);
  paris_.insert(2, {});
  EXPECT_GT(paris_.status().issued, issued);
  exchange(paris_, oslo_);
  EXPECT_EQ(oslo_.mongod.size(), 2u);
}

TEST_F(ReplicaTest, QuickRestartsDoNotPushTheClockAway) {
  for (int i = 0; i < 20; ++i) {
    paris_.insert(i, {});
    paris_.restart();
  }
  paris_.insert(99, {});
  EXPECT_LT(hlc_ms(paris_.status().issued), paris_.clock.wall_ms() + 35'000);
}

TEST_F(ReplicaTest, WritesAreRefusedUntilRecoveryHasFinished) {
  paris_.kill();
  paris_.open();
  ASSERT_FALSE(paris_.replica->admit().has_value());
  EXPECT_EQ(paris_.replica->admit().error().code, ErrorCode::kUnavailable);
  ASSERT_TRUE(paris_.recover().has_value());
  EXPECT_TRUE(paris_.replica->admit().has_value());
}

TEST_F(ReplicaOnDiskTest, RetryEntriesAnswerAgainAndExpire) {
  auto pending = paris_.begin(TestSite::inserting(1, {}));
  paris_.store(*pending);
  ASSERT_TRUE(paris_.replica->settle(pending->write, {pending->change}, {{"key", "reply"}}));
  paris_.release(*pending);
  EXPECT_EQ(*paris_.replica->retry("key"), "reply");
  EXPECT_FALSE(paris_.replica->retry("other")->has_value());
  paris_.clock.advance_ms(31 * 60 * 1000);
  paris_.collect();
  EXPECT_EQ(*paris_.replica->retry("key"), "reply");
  paris_.clock.advance_ms(31 * 60 * 1000);
  paris_.collect();
  EXPECT_FALSE(paris_.replica->retry("key")->has_value());
}

TEST_F(ReplicaTest, PeersProgressIsInTheStatus) {
  ASSERT_EQ(paris_.status().peers.size(), 1u);
  EXPECT_EQ(paris_.status().peers[0].site, "oslo");
  EXPECT_EQ(paris_.status().peers[0].last_heard_ms, 0);
  exchange(paris_, oslo_);
  paris_.replica->introduce(oslo_.replica->hello());
  for (int i = 0; i < 5; ++i) paris_.insert(i, {});
  paris_.clock.advance_ms(2000);
  ReplicaStatus status = paris_.status();
  ASSERT_EQ(status.peers.size(), 1u);
  EXPECT_EQ(status.peers[0].site, "oslo");
  EXPECT_GE(status.peers[0].records_behind, 5u);
  EXPECT_GT(status.peers[0].bytes_behind, 100u);
  EXPECT_GE(status.peers[0].oldest_behind_ms, 2000);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.status().peers[0].records_behind, 0u);
}

TEST_F(ReplicaTest, WhatEveryMemberHasIsNotCountedAsMissingAgain) {
  paris_.replica->introduce(oslo_.replica->hello());
  for (int i = 0; i < 300; ++i) paris_.insert(i, {});
  exchange(paris_, oslo_);
  exchange(paris_, oslo_);
  paris_.collect();
  ASSERT_EQ(paris_.status().outbox_records, 0u);
  paris_.insert(300, {});
  EXPECT_GE(paris_.status().peers[0].records_behind, 1u);
  EXPECT_LE(paris_.status().peers[0].records_behind, LogMarks::kEvery);
}

TEST_F(ReplicaTest, StagedStepsAreWrittenTogether) {
  auto outbox = std::make_shared<outbox::MemoryOutbox>();
  TestSite site("paris", kTwo, [outbox] { return outbox; });
  Replica& replica = *site.replica;
  StagedWrites begun;
  auto first = replica.begin(Prepare(), begun);
  auto second = replica.begin(Prepare(), begun);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(outbox->size(outbox::Family::kPrepares), 0u);
  ASSERT_TRUE(replica.write(std::move(begun)));
  EXPECT_EQ(outbox->size(outbox::Family::kPrepares), 2u);
  StagedWrites settled;
  ASSERT_TRUE(replica.settle(*first, {TestSite::inserting(1, {})}, {}, settled));
  replica.drop(*second, {{"key", "reply"}}, settled);
  EXPECT_EQ(outbox->size(outbox::Family::kEntries), 0u);
  ASSERT_TRUE(replica.write(std::move(settled)));
  site.flush();
  EXPECT_EQ(outbox->size(outbox::Family::kPrepares), 0u);
  EXPECT_EQ(outbox->size(outbox::Family::kEntries), 1u);
  EXPECT_EQ(*replica.retry("key"), "reply");
  EXPECT_EQ(site.status().open_writes, 0u);
}

TEST_F(ReplicaTest, NothingIsPublishedOnceTheOutboxHasFailed) {
  auto outbox = std::make_shared<outbox::MemoryOutbox>();
  TestSite site("paris", kTwo, [outbox] { return outbox; });
  auto pending = site.begin(TestSite::inserting(1, {}));
  outbox->fail(ErrorCode::kNoSpace);
  EXPECT_FALSE(site.replica->settle(pending->write, {pending->change}, {}).has_value());
  site.release(*pending);
  EXPECT_FALSE(site.replica->admit().has_value());
  EXPECT_TRUE(site.status().outbox_failure.has_value());
  EXPECT_TRUE(read_segments(*site.replica, {}, 1000)->empty());
}

TEST_F(ReplicaTest, ANewDataDirOnAStoreWithDocumentsIsRefused) {
  outbox::MemoryOutbox outbox;
  MemoryStore store;
  const auto all = [](std::string_view) { return true; };
  EXPECT_TRUE(check_first_start(outbox, store, all).has_value());
  bson::Writer writer;
  store.put("shop.orders", writer.int32("_id", 1).finish());
  const Status refused = check_first_start(outbox, store, all);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
  EXPECT_THAT(refused.error().message(), HasSubstr("shop.orders (1 documents)"));
  EXPECT_TRUE(check_first_start(*paris_.outbox, store, all).has_value());
}

// Nobody waits for it, and until then the log has it in memory.
TEST_F(ReplicaTest, WhatIsForgottenIsOnDiskSoonThoughNobodyWrites) {
  paris_.insert(1, {{"a", number(1)}});
  exchange(paris_, oslo_);
  exchange(paris_, oslo_);
  paris_.flush();
  const auto& log = dynamic_cast<outbox::MemoryOutbox&>(*paris_.outbox);
  ASSERT_EQ(log.unsynced(), 0u);
  ASSERT_GT(log.usage().entries, 0u);
  paris_.replica->journaled(paris_.replica->answered());
  ASSERT_TRUE(paris_.replica->collect_step(1000).has_value());
  ASSERT_EQ(log.usage().entries, 0u);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (log.unsynced() > 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(log.unsynced(), 0u);
}

}  // namespace
}  // namespace outrigger
