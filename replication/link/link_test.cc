#include "replication/link/link.h"

#include <gtest/gtest.h>

#include <random>

#include "replication/link/bytes.h"
#include "replication/link/link_testing.h"

namespace outrigger::link {
namespace {

using testing::End;
using testing::hello_of;
using testing::record_of;
using testing::segments_of;
using testing::site_id;

constexpr uint8_t kUnknownType = 77;
const Origin kOslo{site_id(1), 7};

std::string noise(uint32_t seed, size_t size) {
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < size) text.push_back(static_cast<char>('a' + random() % 26));
  return text;
}

std::string frame(MessageType type, std::string_view payload, uint8_t flags = 0) {
  std::string bytes;
  write_frame(bytes, static_cast<uint8_t>(type), flags, payload);
  return bytes;
}

// oslo dials paris; bytes go across only when told to.
class LinkTest : public ::testing::Test {
 protected:
  LinkTest() {
    oslo_.hello = hello_of("oslo", 1);
    oslo_.expected.dialled_site = "paris";
    oslo_.options.dialled = true;
    paris_.hello = hello_of("paris", 2);
  }

  void open() {
    oslo_.open(now_);
    paris_.open(now_);
  }
  // Until both are quiet; each transfer is cut into pieces of at most `piece_max` bytes.
  void exchange(size_t piece_max = SIZE_MAX) {
    while (oslo_.link->has_output() || paris_.link->has_output()) {
      move(oslo_, paris_, piece_max);
      move(paris_, oslo_, piece_max);
    }
  }
  void move(End& from, End& to, size_t piece_max = SIZE_MAX) {
    std::string bytes = from.link->take_output();
    for (std::string_view left = bytes; !left.empty();) {
      size_t size = piece_max == SIZE_MAX ? left.size() : 1 + random_() % piece_max;
      size = std::min(size, left.size());
      to.receive(left.substr(0, size), now_);
      left.remove_prefix(size);
    }
  }
  void establish() {
    open();
    exchange();
    ASSERT_TRUE(oslo_.link->established() && paris_.link->established());
  }
  // Time passes in steps of 250 ms; bytes go across unless the line is cut.
  void pass(int64_t ms, bool cut = false) {
    for (int64_t step = 0; step < ms; step += 250) {
      now_ += 250;
      oslo_.tick(now_);
      paris_.tick(now_);
      if (!cut) exchange();
    }
  }
  size_t send(End& from, Hlc hlc, const std::string& text) {
    Result<size_t> sent = from.link->send_batch(segments_of(kOslo, hlc, text));
    EXPECT_TRUE(sent.has_value());
    return sent.value_or(0);
  }
  // What a hostile oslo sends to paris on an open link, and what paris says of it.
  std::string paris_says_to(const std::string& bytes) {
    paris_.receive(bytes, now_);
    std::vector<Closed> closed = paris_.all<Closed>();
    return closed.empty() ? "nothing" : closed[0].text;
  }

  int64_t now_ = 1'000'000;
  std::mt19937 random_{42};
  End oslo_;
  End paris_;
};

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

TEST_F(LinkTest, AFlippedBitAnywhereEndsTheLinkAndNothingWrongComesOut) {
  open();
  exchange();
  send(oslo_, 1, "some text");
  const std::string bytes = oslo_.link->take_output();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    End paris;
    paris.hello = paris_.hello;
    oslo_.open(now_);
    paris.open(now_);
    paris.receive(oslo_.link->take_output(), now_);
    oslo_.receive(paris.link->take_output(), now_);
    paris.receive(oslo_.link->take_output(), now_);
    ASSERT_TRUE(paris.link->established());
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    // A longer length waits for more bytes: let it have them.
    if (bit < 32) damaged.append(kFrameLengthMax, '\0');
    paris.receive(damaged, now_);
    EXPECT_TRUE(paris.all<Batch>().empty()) << "bit " << bit;
    EXPECT_TRUE(paris.link->ended()) << "bit " << bit;
  }
}

TEST_F(LinkTest, ADamagedFrameIsNamedAsSuchAtBothEnds) {
  establish();
  send(oslo_, 1, "some text");
  std::string bytes = oslo_.link->take_output();
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  EXPECT_NE(paris_says_to(bytes).find("CRC32C"), std::string::npos);
  exchange();
  ASSERT_EQ(oslo_.all<Closed>().size(), 1u);
  EXPECT_TRUE(oslo_.all<Closed>()[0].by_peer);
  EXPECT_NE(oslo_.all<Closed>()[0].text.find("CRC32C"), std::string::npos);
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

TEST_F(LinkTest, SendingBeyondTheWindowIsNotTolerated) {
  establish();
  Link generous(oslo_.options, now_);  // believes in a larger window than paris gave
  End paris;
  paris.hello = paris_.hello;
  paris.options.window_bytes = 1000;
  paris.open(now_);
  paris.receive(generous.take_output(), now_);
  (void)generous.receive(paris.link->take_output(), now_);
  paris.receive(generous.take_output(), now_);
  ASSERT_TRUE(paris.link->established());
  // The frames of a link with enough credit, as a hostile sender would make them.
  send(oslo_, 1, noise(1, 800));
  send(oslo_, 2, noise(2, 800));
  paris.receive(oslo_.link->take_output(), now_);
  EXPECT_EQ(paris.all<Batch>().size(), 1u);
  ASSERT_EQ(paris.all<Closed>().size(), 1u);
  EXPECT_NE(paris.all<Closed>()[0].text.find("under way"), std::string::npos);
}

TEST_F(LinkTest, CreditForWhatWasNeverSentEndsTheLink) {
  establish();
  EXPECT_NE(paris_says_to(frame(MessageType::kCredit, encode_varint(1))).find("credit"),
            std::string::npos);
}

TEST_F(LinkTest, AnythingBeforeAHelloEndsTheLink) {
  for (MessageType type : {MessageType::kWelcome, MessageType::kBatch, MessageType::kReports,
                           MessageType::kCredit, MessageType::kPing, MessageType::kPong}) {
    End paris;
    paris.hello = paris_.hello;
    paris.open(now_);
    paris.receive(frame(type, "\x01"), now_);
    ASSERT_EQ(paris.all<Closed>().size(), 1u);
    EXPECT_NE(paris.all<Closed>()[0].text.find("before a hello"), std::string::npos);
  }
}

TEST_F(LinkTest, ABatchBeforeTheWelcomeEndsTheLink) {
  open();
  move(oslo_, paris_);
  EXPECT_NE(paris_says_to(frame(MessageType::kBatch, "\x01")).find("before a welcome"),
            std::string::npos);
}

TEST_F(LinkTest, ASecondHelloEndsTheLink) {
  establish();
  EXPECT_NE(
      paris_says_to(frame(MessageType::kHello, encode_hello(oslo_.hello))).find("on an open link"),
      std::string::npos);
}

TEST_F(LinkTest, UnknownMessagesAreSkippedAndUnknownFlagsAreNot) {
  establish();
  EXPECT_EQ(paris_says_to(frame(static_cast<MessageType>(kUnknownType), "later", 0xff)), "nothing");
  EXPECT_NE(paris_says_to(frame(MessageType::kPing, encode_time(1), 0x02)).find("flags 2"),
            std::string::npos);
}

TEST_F(LinkTest, BombsAndLyingSizesEndTheLink) {
  std::string packed = BlockPacker().pack(std::string(1000, 'a'));
  for (uint64_t declared : {uint64_t{0}, uint64_t{999}, uint64_t{1001}, uint64_t{0x7fffffff},
                            uint64_t{0xffffffff}, UINT64_MAX}) {
    establish();
    paris_.events.clear();
    std::string payload = encode_varint(declared) + packed;
    EXPECT_NE(paris_says_to(frame(MessageType::kBatch, payload)), "nothing") << declared;
  }
}

TEST_F(LinkTest, ABatchThatNeverEndsStopsAtTheLargestBatch) {
  establish();
  BlockPacker packer;
  std::string block(kBlockBytesMax, '\0');
  size_t frames = 0;
  while (!paris_.link->ended() && frames <= kBatchBytesMax / kBlockBytesMax + 1) {
    std::string payload = encode_varint(block.size()) + packer.pack(block);
    paris_.receive(frame(MessageType::kBatch, payload, kFlagMore), now_);
    ++frames;
  }
  EXPECT_EQ(frames, kBatchBytesMax / kBlockBytesMax + 1);
}

TEST_F(LinkTest, SegmentsThatDoNotDecodeEndTheLink) {
  establish();
  std::string payload = encode_varint(1000) + BlockPacker().pack(std::string(1000, 'a'));
  EXPECT_NE(paris_says_to(frame(MessageType::kBatch, payload)), "nothing");
  EXPECT_TRUE(paris_.all<Batch>().empty());
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

TEST_F(LinkTest, AHelloThatDripsInForeverIsCutOff) {
  open();
  std::string hello = oslo_.link->take_output();
  for (size_t i = 0; i < 60 && !paris_.link->ended(); ++i) {
    now_ += 250;
    paris_.receive(hello.substr(i, 1), now_);
    paris_.tick(now_);
  }
  ASSERT_EQ(paris_.all<Closed>().size(), 1u);
  EXPECT_NE(paris_.all<Closed>()[0].text.find("hello within 10 s"), std::string::npos);
}

TEST_F(LinkTest, APeerThatAsksAndNeverReadsCannotFillOurMemory) {
  establish();
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += frame(MessageType::kPing, encode_time(1));
  for (int i = 0; i < 200; ++i) paris_.receive(pings, now_);
  EXPECT_LT(paris_.link->output_bytes(), 2u * 1024 * 1024);
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
