#include "replication/link/link.h"

#include <gtest/gtest.h>

#include "replication/link/link_testing.h"

namespace outrigger::link {
namespace {

using namespace testing;  // NOLINT: the verbs of this folder's tests

TEST_F(LinkTest, BothEndsLearnWhoTheOtherIs) {
  paris_.hello.site.applied.raise(kOslo, 5);
  establish();
  ASSERT_EQ(oslo_.all<Established>().size(), 1u);
  ASSERT_EQ(paris_.all<Established>().size(), 1u);
  EXPECT_EQ(oslo_.all<Established>()[0].peer.site, "paris");
  EXPECT_EQ(oslo_.all<Established>()[0].peer.applied.get(kOslo), 5u);
  EXPECT_EQ(paris_.all<Established>()[0].peer.site, "oslo");
  EXPECT_EQ(paris_.all<Established>()[0].version, kVersionMax);
}

TEST_F(LinkTest, TheAcceptingSideKeepsItsVectorFromThoseItRefuses) {
  paris_.hello.site.members = {"paris", "rome"};
  open();
  move(oslo_, paris_);
  std::string answer = paris_.link->take_output();
  FrameReader reader;
  reader.push(answer);
  Result<std::optional<Frame>> first = reader.next();
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->type, static_cast<uint8_t>(MessageType::kRefuse));
  Result<std::optional<Frame>> second = reader.next();
  EXPECT_TRUE(second && !*second);
}

TEST_F(LinkTest, ARefusalReachesBothEndsWithTheSameWords) {
  paris_.hello.site.members = {"oslo", "paris", "rome"};
  open();
  exchange();
  ASSERT_EQ(oslo_.all<Refused>().size(), 1u);
  ASSERT_EQ(paris_.all<Refused>().size(), 1u);
  EXPECT_EQ(oslo_.all<Refused>()[0].text, paris_.all<Refused>()[0].text);
  EXPECT_EQ(oslo_.all<Refused>()[0].code, RefuseCode::kMembers);
  EXPECT_TRUE(oslo_.all<Refused>()[0].by_peer);
  EXPECT_FALSE(paris_.all<Refused>()[0].by_peer);
  EXPECT_TRUE(oslo_.link->ended() && paris_.link->ended());
}

TEST_F(LinkTest, TheDiallingSideRefusesToo) {
  oslo_.expected.dialled_site = "rome";
  open();
  exchange();
  ASSERT_EQ(paris_.all<Refused>().size(), 1u);
  EXPECT_EQ(paris_.all<Refused>()[0].code, RefuseCode::kWrongSite);
  EXPECT_TRUE(paris_.all<Established>().empty());
}

TEST_F(LinkTest, ThePeersClaimsAreComparedWithWhatWeHaveThen) {
  open();
  // Between dialling and the answer oslo applies more, and paris hears of it another way.
  oslo_.hello.site.applied.raise(kOslo, 50);
  paris_.hello.site.stable.raise(kOslo, 50);
  paris_.hello.site.applied.raise(kOslo, 50);
  exchange();
  EXPECT_TRUE(oslo_.link->established());
}

TEST_F(LinkTest, BatchesArriveWholeAndInOrderInWhateverPieces) {
  for (size_t piece_max : {1, 7, 1000}) {
    oslo_.events.clear();
    paris_.events.clear();
    open();
    exchange(piece_max);
    for (Hlc hlc = 1; hlc <= 20; ++hlc) send(oslo_, hlc, noise(1, hlc * 300));
    send(paris_, 99, "the other way");
    exchange(piece_max);
    std::vector<Batch> batches = paris_.all<Batch>();
    ASSERT_EQ(batches.size(), 20u);
    for (Hlc hlc = 1; hlc <= 20; ++hlc) {
      EXPECT_EQ(batches[hlc - 1].segments, segments_of(kOslo, hlc, noise(1, hlc * 300)));
    }
    EXPECT_EQ(oslo_.all<Batch>().size(), 1u);
  }
}

TEST_F(LinkTest, ABatchLargerThanABlockGoesInSeveralFrames) {
  establish();
  std::string text = noise(2, 3 * kBlockBytesMax + 17);
  size_t bytes = send(oslo_, 1, text);
  exchange(100'000);
  ASSERT_EQ(paris_.all<Batch>().size(), 1u);
  EXPECT_EQ(paris_.all<Batch>()[0].segments, segments_of(kOslo, 1, text));
  EXPECT_EQ(paris_.all<Batch>()[0].bytes, bytes);
}

TEST_F(LinkTest, RepeatedFieldsCostLittleOnTheLine) {
  establish();
  send(oslo_, 1, noise(3, 400));
  size_t first = oslo_.link->output_bytes();
  (void)oslo_.link->take_output();
  send(oslo_, 2, noise(3, 400));
  EXPECT_LT(oslo_.link->output_bytes(), first / 4);
}

TEST_F(LinkTest, AWindowFullOfBatchesWaitsForCredit) {
  paris_.options.window_bytes = 3000;
  establish();
  size_t first = send(oslo_, 1, noise(1, 1400));
  EXPECT_TRUE(oslo_.link->can_send(1400));
  EXPECT_FALSE(oslo_.link->can_send(2000));
  send(oslo_, 2, noise(2, 1700));  // larger than what is left: held inside
  EXPECT_FALSE(oslo_.link->can_send(1));
  exchange();
  ASSERT_EQ(paris_.all<Batch>().size(), 1u);
  paris_.link->grant(first);
  exchange();
  EXPECT_EQ(paris_.all<Batch>().size(), 2u);
  EXPECT_FALSE(paris_.link->ended());
}

TEST_F(LinkTest, OneBatchLargerThanTheWindowGoesAlone) {
  paris_.options.window_bytes = 1000;
  establish();
  size_t bytes = send(oslo_, 1, noise(1, 5000));
  EXPECT_FALSE(oslo_.link->can_send(1));
  exchange();
  ASSERT_EQ(paris_.all<Batch>().size(), 1u);
  paris_.link->grant(bytes);
  exchange();
  EXPECT_TRUE(oslo_.link->can_send(1));
  EXPECT_EQ(oslo_.link->bytes_in_flight(), 0u);
}

TEST_F(LinkTest, NothingIsReadAfterTheEnd) {
  establish();
  paris_.link->close(ByeCode::kShutdown, "stopping");
  send(oslo_, 1, "late");
  move(oslo_, paris_);
  EXPECT_TRUE(paris_.all<Batch>().empty());
  move(paris_, oslo_);
  ASSERT_EQ(oslo_.all<Closed>().size(), 1u);
  EXPECT_EQ(oslo_.all<Closed>()[0].text, "stopping");
  EXPECT_EQ(oslo_.all<Closed>()[0].code, ByeCode::kShutdown);
  EXPECT_FALSE(oslo_.link->can_send(1));
}

TEST_F(LinkTest, HeartbeatsKeepAQuietLinkOpenAndMeasureIt) {
  establish();
  pass(60'000);
  EXPECT_TRUE(oslo_.link->established() && paris_.link->established());
  EXPECT_NEAR(static_cast<double>(oslo_.all<HeartbeatDue>().size()), 60, 2);
  EXPECT_EQ(oslo_.link->rtt_ms(), 0);
}

TEST_F(LinkTest, SilenceEndsTheLinkAtBothEndsWithinTheBound) {
  establish();
  pass(4500, true);
  EXPECT_FALSE(oslo_.link->ended());
  pass(1000, true);
  ASSERT_EQ(oslo_.all<Closed>().size(), 1u);
  ASSERT_EQ(paris_.all<Closed>().size(), 1u);
  EXPECT_NE(oslo_.all<Closed>()[0].text.find("nothing heard from paris for 5 s"),
            std::string::npos);
}

TEST_F(LinkTest, HearingButNotBeingHeardEndsTheLinkAtTheOtherEnd) {
  establish();
  for (int step = 0; step < 24; ++step) {
    now_ += 250;
    oslo_.tick(now_);
    paris_.tick(now_);
    (void)oslo_.link->take_output();  // lost: only paris -> oslo works
    move(paris_, oslo_);
  }
  EXPECT_TRUE(paris_.link->ended());
  ASSERT_EQ(oslo_.all<Closed>().size(), 1u);
  EXPECT_TRUE(oslo_.all<Closed>()[0].by_peer);
}

TEST_F(LinkTest, AProcessThatStoodStillHearsItsPeerOutBeforeItJudges) {
  establish();
  now_ += 60'000;
  paris_.tick(now_);
  EXPECT_TRUE(paris_.link->established());
  pass(3000, true);
  EXPECT_TRUE(paris_.link->ended());
}

TEST_F(LinkTest, ReportsArriveAsTheyWereSent) {
  establish();
  Report report;
  report.site = site_id(1);
  report.epoch = 7;
  report.serial = 3;
  report.vector.raise(kOslo, 44);
  oslo_.link->send_reports({report});
  exchange(3);
  ASSERT_EQ(paris_.all<ReportsHeard>().size(), 1u);
  EXPECT_EQ(paris_.all<ReportsHeard>()[0].reports, std::vector<Report>{report});
}

TEST_F(LinkTest, RandomTrafficWithRandomCreditArrivesCompletely) {
  paris_.options.window_bytes = 20'000;
  establish();
  Hlc sent = 0;
  size_t granted = 0;
  while (sent < 500) {
    if (oslo_.link->can_send(3000)) send(oslo_, ++sent, noise(7, random_() % 4000));
    if (random_() % 3 == 0) move(oslo_, paris_, 900);
    if (random_() % 3 == 0) move(paris_, oslo_, 5);
    std::vector<Batch> batches = paris_.all<Batch>();
    if (granted < batches.size() && random_() % 2 == 0) {
      paris_.link->grant(batches[granted++].bytes);
    }
    ASSERT_LE(oslo_.link->bytes_in_flight(), 20'000u);
  }
  for (size_t i = granted; i < 500; ++i) {
    exchange();
    paris_.link->grant(paris_.all<Batch>()[i].bytes);
  }
  exchange();
  EXPECT_EQ(paris_.all<Batch>().size(), 500u);
  EXPECT_EQ(oslo_.link->bytes_in_flight(), 0u);
}

}  // namespace
}  // namespace outrigger::link
