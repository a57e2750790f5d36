#include "proxy/peer/peer.h"

#include <gtest/gtest.h>

#include <random>

#include "proxy/peer/peer_testing.h"

namespace outrigger {
namespace {

using testing::PeerWorld;

// oslo and paris, both dialling, unless a test says otherwise.
class PeerTest : public ::testing::Test {
 protected:
  static std::string noise(size_t size) {
    static std::mt19937 random(5);
    std::string text;
    while (text.size() < size) text.push_back(static_cast<char>('a' + random() % 26));
    return text;
  }
  void connect() {
    world_.start_all();
    ASSERT_TRUE(world_.comes_true([&] { return world_.is_open("oslo", "paris"); }));
  }
  bool arrive(size_t records) {
    return world_.comes_true([&] { return paris_.records() >= records; });
  }

  PeerWorld world_{{"oslo", "paris"}};
  testing::FakeExchange& oslo_ = world_.at("oslo");
  testing::FakeExchange& paris_ = world_.at("paris");
};

TEST_F(PeerTest, WhatOneSiteWroteBeforeAndAfterReachesTheOther) {
  world_.no_address("paris", "oslo");  // a second link, closed again, would repeat some
  oslo_.write("before");
  connect();
  ASSERT_TRUE(arrive(1));
  oslo_.write("after");
  paris_.write("and back");
  EXPECT_TRUE(world_.comes_true([&] { return paris_.records() == 3 && oslo_.records() == 3; }));
  EXPECT_EQ(paris_.duplicates, 0u);
  EXPECT_EQ(oslo_.applied(), paris_.applied());
}

TEST_F(PeerTest, ALongBacklogArrivesInManyBatches) {
  for (int i = 0; i < 2000; ++i) oslo_.write(std::string(1000, 'x'));
  connect();
  EXPECT_TRUE(arrive(2000));
  EXPECT_EQ(paris_.duplicates, 0u);
  EXPECT_TRUE(world_.comes_true(
      [&] { return world_.status("oslo", "paris").counters.records_out == 2000; }));
}

// It counts only from us: it would never be told again.
TEST_F(PeerTest, WhatAPeerHasHeardOthersPromiseForUsIsStillTold) {
  const Origin oslo{oslo_.self.site_id, oslo_.self.epoch};
  const Origin third{link::testing::site_id(9), 7};
  oslo_.write("one");
  connect();
  ASSERT_TRUE(arrive(1));
  paris_.hearsay = Segment{oslo, oslo_.applied().at(oslo), 50, {}};
  paris_.write("two");
  ASSERT_TRUE(world_.comes_true([&] { return oslo_.records() == 2; }));
  paris_.hearsay = Segment{third, 0, 60, {}};
  paris_.write("three");
  EXPECT_TRUE(world_.comes_true([&] { return oslo_.told_last.at(third) == 60; }));
  EXPECT_LT(oslo_.told_last.at(oslo), 50u);
}

TEST_F(PeerTest, ReportsFollowProgressWithoutWaitingForAHeartbeat) {
  world_.options("oslo").tuning.heartbeat_ms = 60'000;
  world_.options("oslo").tuning.silence_ms = 300'000;
  world_.options("paris").tuning = world_.options("oslo").tuning;
  connect();
  oslo_.write("one");
  EXPECT_TRUE(world_.comes_true(
      [&] { return oslo_.heard[paris_.self.site_id].vector.includes(oslo_.applied()); }));
}

TEST_F(PeerTest, WhatWasLetGoAfterAReportByAnotherLinkIsNotMissed) {
  world_.no_address("paris", "oslo");
  oslo_.write("known to all");
  Report report;  // of paris, come by a third site
  report.site = paris_.self.site_id;
  report.epoch = paris_.self.epoch;
  report.serial = 1;
  report.vector = oslo_.floor = oslo_.applied();
  oslo_.heard[report.site] = report;
  paris_.knows(report.vector);
  paris_.hello_applied = VersionVector();  // said before that
  oslo_.write("new");
  connect();
  EXPECT_TRUE(arrive(1));
}

TEST_F(PeerTest, AnIdlePairDoesNotReadItsOutboxAllTheTime) {
  connect();
  world_.let_pass(50);
  size_t reads = oslo_.reads;
  world_.let_pass(200);
  EXPECT_LE(oslo_.reads - reads, 200u / 40 + 2) << "about one a heartbeat";
}

TEST_F(PeerTest, ASiteIsNotToldItsOwnReports) {
  connect();
  world_.let_pass(100);
  EXPECT_EQ(oslo_.own_reports_heard, 0u);
  EXPECT_EQ(paris_.own_reports_heard, 0u);
}

TEST_F(PeerTest, AFullInboxHoldsAtMostOneWindowAndLosesNothing) {
  world_.options("paris").tuning.window_bytes = 100'000;
  world_.options("oslo").tuning.batch_bytes = 10'000;
  paris_.set_full(true);
  for (int i = 0; i < 1000; ++i) oslo_.write(std::string(1000, 'x'));
  connect();
  ASSERT_TRUE(world_.comes_true(
      [&] { return world_.status("paris", "oslo").counters.held_bytes > 70'000; }));
  world_.let_pass(600);  // longer than the silence that would end a link that is not read
  EXPECT_TRUE(world_.is_open("oslo", "paris"));
  EXPECT_EQ(world_.status("oslo", "paris").links, 1u);
  EXPECT_LE(world_.status("paris", "oslo").counters.held_bytes, 100'000u);
  EXPECT_EQ(paris_.records(), 0u);
  EXPECT_LT(world_.status("oslo", "paris").counters.records_out, 150u);

  paris_.set_full(false);
  EXPECT_TRUE(arrive(1000));
  EXPECT_EQ(paris_.duplicates, 0u);
}

TEST_F(PeerTest, ALineThatTakesNothingBoundsWhatIsInMemory) {
  world_.options("oslo").tuning.batch_bytes = 10'000;
  connect();
  world_.stall("oslo", "paris");
  for (int i = 0; i < 2000; ++i) oslo_.write(noise(1000));
  world_.let_pass(100);
  // One batch is being written; the rest stays in the outbox.
  EXPECT_LT(world_.status("oslo", "paris").counters.records_out, 1000u);
}

TEST_F(PeerTest, AStalledLineIsNoticedAndReplaced) {
  connect();
  world_.stall("oslo", "paris");
  oslo_.write("after the line went dead");
  EXPECT_TRUE(arrive(1));
  EXPECT_NE(world_.status("oslo", "paris").last_error.find("nothing heard from paris for 0.4 s"),
            std::string::npos);
}

TEST_F(PeerTest, RecordsThatCannotBeTakenEndTheLinkAndBothEndsSayWhy) {
  paris_.offer_error = Error{ErrorCode::kRefused, "take segment", "of oslo", "it has a gap", ""};
  oslo_.write("one");
  world_.start_all();
  auto says = [&](const char* site, const char* peer, const char* text) {
    return world_.status(site, peer).last_error.find(text) != std::string::npos;
  };
  EXPECT_TRUE(world_.comes_true([&] {
    return says("paris", "oslo", "it has a gap") &&
           says("oslo", "paris", "paris says: take segment of oslo: it has a gap");
  }));
  paris_.offer_error.reset();
  EXPECT_TRUE(arrive(1));
}

TEST_F(PeerTest, AnOutboxThatCannotBeReadIsNamedAndTriedAgain) {
  oslo_.read_error = Error{ErrorCode::kCorrupt, "read outbox", "entry 7", "checksum", ""};
  oslo_.write("one");
  world_.start_all();
  EXPECT_TRUE(world_.comes_true([&] {
    return world_.status("oslo", "paris").last_error.find("read outbox entry 7") !=
           std::string::npos;
  }));
  oslo_.read_error.reset();
  EXPECT_TRUE(arrive(1));
}

TEST_F(PeerTest, TheReplicaLearnsWhoIsBehindASiteId) {
  connect();
  EXPECT_EQ(oslo_.introduced, std::set<std::string>{"paris"});
}

}  // namespace
}  // namespace outrigger
