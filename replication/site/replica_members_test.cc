// What members say to each other, and what may be believed of it: whatever a site has said it still
// says after a power cut, and no member's word about another makes records disappear.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/link/handshake.h"
#include "replication/outbox/memory/memory_outbox.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// What `from` would say if `to` dialled it now: why not to exchange records.
std::string refusal(const TestSite& from, const TestSite& to) {
  link::Hello ours;
  link::Hello theirs;
  ours.site = from.replica->hello();
  theirs.site = to.replica->hello();
  const auto no = link::check_hello(ours, theirs, {});
  return no ? no->text : "";
}

// The process dies and everything goes that no sync has covered.
void cut_power(TestSite& site) {
  const auto disk = std::static_pointer_cast<outbox::MemoryOutbox>(site.outbox);
  site.kill();
  disk->lose_unsynced();
  site.open();
  ASSERT_TRUE(site.recover().has_value());
}

class TwoMembersTest : public ::testing::Test {
 protected:
  void write_nothing(TestSite& site) {
    site.drop(site.begin(TestSite::removing(99)));
    site.flush();
  }
  void expect_link() {
    EXPECT_EQ(refusal(paris_, oslo_), "");
    EXPECT_EQ(refusal(oslo_, paris_), "");
  }

  const std::vector<std::string> names_{"oslo", "paris"};
  TestSite paris_{"paris", names_, memory_outbox()};
  TestSite oslo_{"oslo", names_, memory_outbox()};
};

TEST_F(TwoMembersTest, ASiteWhoseLastWriteChangedNothingIsStillItselfAfterARestart) {
  paris_.insert(1, {{"a", number(1)}});
  write_nothing(paris_);
  settle_down({&paris_, &oslo_});
  paris_.restart();
  expect_link();
  oslo_.restart();
  expect_link();
}

TEST_F(TwoMembersTest, ASiteThatOnlyWroteNothingIsStillItselfAfterAPowerCut) {
  write_nothing(paris_);
  settle_down({&paris_, &oslo_});
  cut_power(paris_);
  expect_link();
  cut_power(oslo_);
  expect_link();
}

TEST_F(TwoMembersTest, APowerCutAtEitherEndTakesBackNothingThatWasReported) {
  for (int i = 0; i < 12; ++i) {
    TestSite& writer = i % 2 == 0 ? paris_ : oslo_;
    TestSite& reader = i % 2 == 0 ? oslo_ : paris_;
    // Not flushed: what was not synced by itself must not be in what is said.
    auto pending = writer.begin(TestSite::inserting(i, {{"a", number(i)}}));
    writer.store(*pending);
    if (i % 3 == 2) {
      writer.mongod.remove(kTestNs, number(i));
      writer.drop(std::move(pending));
    } else {
      writer.settle(std::move(pending));
    }
    if (i % 4 != 3) writer.flush();
    pull(writer, reader);
    reader.collect();
    writer.collect();
    const SiteHello said_by_writer = writer.replica->hello();
    const SiteHello said_by_reader = reader.replica->hello();
    cut_power(i % 5 < 2 ? writer : reader);
    EXPECT_TRUE(writer.replica->applied().includes(said_by_writer.applied)) << i;
    EXPECT_TRUE(reader.replica->applied().includes(said_by_reader.applied)) << i;
    EXPECT_EQ(refusal(writer, reader), "") << i;
    EXPECT_EQ(refusal(reader, writer), "") << i;
  }
  settle_down({&paris_, &oslo_});
  for (int i = 0; i < 12; ++i) EXPECT_EQ(paris_.show(i), oslo_.show(i));
  EXPECT_EQ(paris_.replica->applied(), oslo_.replica->applied());
}

class ThreeMembersTest : public ::testing::Test {
 protected:
  // `from` tells oslo that paris has nothing but what oslo has, far into the future.
  void promise_for_paris(const TestSite& from) {
    const Origin paris = run_of(paris_);
    const Hlc has = oslo_.replica->applied().at(paris);
    const Hlc far = hlc_from_ms(oslo_.clock.wall_ms() + 50'000);
    ASSERT_TRUE(oslo_.replica->offer({Segment{paris, has, far, {}}}, run_of(from)).has_value());
    oslo_.apply_all();
  }
  // A record that rome made up in paris's name, following what oslo has.
  Segment forged_by_rome(int id) {
    const Origin paris = run_of(paris_);
    TestSite maker("paris", names_, memory_outbox());
    maker.insert(id, {{"forged", number(1)}});
    auto made = read_segments(*maker.replica, {}, 1u << 20);
    Segment segment = made->front();
    segment.origin = paris;
    segment.after = oslo_.replica->applied().at(paris);
    Record& record = segment.records.front();
    record.origin = paris;
    record.hlc = segment.through = std::max(record.hlc, segment.after + 5);
    record.deps = VersionVector();
    record.deps.raise(paris, record.hlc - 1);
    return segment;
  }

  // Paris and rome see each other by way of oslo only.
  void exchange_as_chain() {
    for (int round = 0; round < 8; ++round) {
      for (TestSite* end : {&paris_, &rome_}) exchange(*end, oslo_);
      for (TestSite* site : {&paris_, &oslo_, &rome_}) site->collect();
    }
  }

  const std::vector<std::string> names_{"oslo", "paris", "rome"};
  TestSite paris_{"paris", names_, memory_outbox()};
  TestSite oslo_{"oslo", names_, memory_outbox()};
  TestSite rome_{"rome", names_, memory_outbox()};
};

TEST_F(ThreeMembersTest, AnEmptyStretchInALinkedSitesNameCountsForNothing) {
  const Link to_paris(paris_, oslo_);
  const Link to_rome(rome_, oslo_);
  promise_for_paris(rome_);
  paris_.insert(1, {{"a", number(1)}});
  pull(paris_, oslo_);
  EXPECT_EQ(oslo_.number(1, "a"), 1);
  EXPECT_EQ(oslo_.status().duplicate_records, 0u);
  EXPECT_THAT(oslo_.status().alarms, IsEmpty());
}

TEST_F(ThreeMembersTest, HearsayOfASiteWithoutALinkSwallowsNoRecord) {
  paris_.insert(1, {{"a", number(1)}});
  pull(paris_, oslo_);
  promise_for_paris(rome_);
  paris_.insert(2, {{"a", number(2)}});
  pull(paris_, rome_);
  pull(rome_, oslo_);
  EXPECT_EQ(oslo_.number(2, "a"), 2);
  EXPECT_EQ(oslo_.status().duplicate_records, 0u);
}

TEST_F(ThreeMembersTest, AReportInALinkedSitesNameCountsForNothing) {
  oslo_.insert(1, {{"a", number(1)}});
  pull(oslo_, rome_);
  const Link to_paris(paris_, oslo_);
  const Link to_rome(rome_, oslo_);
  Report forged = paris_.replica->report();
  forged.serial += 1'000'000'000;
  forged.vector = oslo_.replica->applied();
  oslo_.replica->hear(forged, run_of(rome_));
  for (const Report& report : rome_.replica->reports()) {
    oslo_.replica->hear(report, run_of(rome_));
  }
  for (int i = 0; i < 3; ++i) oslo_.collect();
  EXPECT_EQ(oslo_.status().outbox_records, 1u) << "paris does not have it";
  pull(oslo_, paris_);
  EXPECT_EQ(paris_.number(1, "a"), 1);
  oslo_.replica->hear(paris_.replica->report(), run_of(paris_));
  for (int i = 0; i < 3; ++i) oslo_.collect();
  EXPECT_EQ(oslo_.status().outbox_records, 0u) << "its own word still counts";
}

TEST_F(ThreeMembersTest, ALinkedSitesOwnWordReplacesHearsay) {
  Report forged = paris_.replica->report();
  forged.serial = UINT64_MAX;
  oslo_.replica->hear(forged, run_of(rome_));
  oslo_.insert(1, {});
  pull(oslo_, paris_);
  const Link to_paris(paris_, oslo_);
  oslo_.replica->hear(paris_.replica->report(), run_of(paris_));
  for (const PeerProgress& peer : oslo_.status().peers) {
    if (peer.site != "paris") continue;
    EXPECT_EQ(peer.acked, paris_.replica->applied());
  }
}

TEST_F(ThreeMembersTest, TwoHistoriesUnderOneNameRaiseAnAlarmAndAreNoDuplicates) {
  paris_.insert(1, {{"a", number(1)}});
  pull(paris_, oslo_);
  const VersionVector before = oslo_.replica->applied();
  ASSERT_TRUE(oslo_.replica->offer({forged_by_rome(7)}, run_of(rome_)).has_value());
  oslo_.apply_all();
  paris_.insert(2, {{"a", number(2)}});
  // As paris would send it to a site that has what it said before the forgery.
  auto segments = read_segments(*paris_.replica, before, 1u << 20);
  ASSERT_TRUE(segments.has_value());
  ASSERT_TRUE(oslo_.replica->offer(*segments, run_of(paris_)).has_value());
  oslo_.apply_all();
  EXPECT_EQ(oslo_.status().duplicate_records, 0u);
  ASSERT_THAT(oslo_.status().alarms, SizeIs(1));
  EXPECT_THAT(oslo_.status().alarms.front(), HasSubstr("do not follow"));
  rome_.insert(3, {{"a", number(3)}});
  pull(rome_, oslo_);
  EXPECT_EQ(oslo_.number(3, "a"), 3) << "other streams go on";
}

TEST_F(ThreeMembersTest, ASiteThatDeniesARecordUnderItsNameRaisesAnAlarm) {
  ASSERT_TRUE(oslo_.replica->offer({forged_by_rome(7)}, run_of(rome_)).has_value());
  oslo_.apply_all();
  const Link to_paris(paris_, oslo_);
  const Hlc far = hlc_from_ms(oslo_.clock.wall_ms() + 50'000);
  ASSERT_TRUE(oslo_.replica->offer({Segment{run_of(paris_), 0, far, {}}}, run_of(paris_)));
  EXPECT_THAT(oslo_.status().alarms, SizeIs(1));
}

TEST_F(ThreeMembersTest, TheSameRecordsByTwoRoutesAreDuplicatesWithoutAnAlarm) {
  for (int i = 0; i < 6; ++i) paris_.insert(i, {{"a", number(i)}});
  pull(paris_, rome_);
  pull(rome_, oslo_);
  // Paris does not know yet that oslo has them.
  for (const size_t bytes : {size_t{1}, size_t{200}, size_t{1} << 20}) {
    auto segments = read_segments(*paris_.replica, {}, bytes);
    ASSERT_TRUE(oslo_.replica->offer(*segments, run_of(paris_)).has_value());
  }
  oslo_.apply_all();
  EXPECT_THAT(oslo_.status().alarms, IsEmpty());
  EXPECT_GT(oslo_.status().duplicate_records, 6u);
  paris_.insert(9, {{"a", number(9)}});
  pull(paris_, oslo_);
  EXPECT_EQ(oslo_.number(9, "a"), 9);
}

TEST_F(ThreeMembersTest, PromisesOfOthersDoNotWaitForTheEndOfLargeRecords) {
  oslo_.insert(1, {});
  pull(oslo_, paris_);
  pull(paris_, rome_);
  oslo_.drop(oslo_.begin(TestSite::removing(50)));
  oslo_.flush();
  pull(oslo_, paris_);
  for (const int id : {2, 3}) {
    paris_.insert(id, {{"text", bson::make_string(std::string(300'000, 'x'))}});
  }
  VersionVector has = rome_.replica->applied();
  VersionVector told = has;
  std::vector<std::pair<size_t, bool>> batches;
  for (int i = 0; i < 3; ++i) {
    const auto batch = paris_.replica->read_batch(has, 1u << 20, told);
    ASSERT_TRUE(batch.has_value());
    batches.emplace_back(batch->records, batch->more);
    has.raise(batch->records_through);
    told.raise(batch->told_through);
  }
  EXPECT_THAT(batches,
              ElementsAre(std::pair(0u, true), std::pair(1u, false), std::pair(1u, false)));
  EXPECT_TRUE(told.includes(paris_.replica->applied()));
}

TEST_F(ThreeMembersTest, AChainSettlesByHearsayAlone) {
  paris_.insert(1, {{"n", number(0)}});
  exchange_as_chain();
  rome_.inc(1, "n", 2);
  paris_.inc(1, "n", 3);
  paris_.drop(paris_.begin(TestSite::removing(50)));
  paris_.flush();
  exchange_as_chain();
  for (const TestSite* site : {&paris_, &oslo_, &rome_}) {
    EXPECT_EQ(site->number(1, "n"), 5);
    EXPECT_EQ(site->status().rows, 0u) << site->name;
    EXPECT_EQ(site->status().outbox_records, 0u) << site->name;
  }
}

}  // namespace
}  // namespace outrigger
