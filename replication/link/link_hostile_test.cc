#include <gtest/gtest.h>

#include "replication/link/link.h"
#include "replication/link/link_testing.h"

namespace outrigger::link {
namespace {

using namespace testing;  // NOLINT: the verbs of this folder's tests

constexpr uint8_t kUnknownType = 77;

class HostileLinkTest : public LinkTest {};

TEST_F(HostileLinkTest, AFlippedBitAnywhereEndsTheLinkAndNothingWrongComesOut) {
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

TEST_F(HostileLinkTest, ADamagedFrameIsNamedAsSuchAtBothEnds) {
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

TEST_F(HostileLinkTest, SendingBeyondTheWindowIsNotTolerated) {
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

TEST_F(HostileLinkTest, CreditForWhatWasNeverSentEndsTheLink) {
  establish();
  EXPECT_NE(paris_says_to(frame(MessageType::kCredit, encode_varint(1))).find("credit"),
            std::string::npos);
}

TEST_F(HostileLinkTest, AnythingBeforeAHelloEndsTheLink) {
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

TEST_F(HostileLinkTest, ABatchBeforeTheWelcomeEndsTheLink) {
  open();
  move(oslo_, paris_);
  EXPECT_NE(paris_says_to(frame(MessageType::kBatch, "\x01")).find("before a welcome"),
            std::string::npos);
}

TEST_F(HostileLinkTest, ASecondHelloEndsTheLink) {
  establish();
  EXPECT_NE(
      paris_says_to(frame(MessageType::kHello, encode_hello(oslo_.hello))).find("on an open link"),
      std::string::npos);
}

TEST_F(HostileLinkTest, UnknownMessagesAreSkippedAndUnknownFlagsAreNot) {
  establish();
  EXPECT_EQ(paris_says_to(frame(static_cast<MessageType>(kUnknownType), "later", 0xff)), "nothing");
  EXPECT_NE(paris_says_to(frame(MessageType::kPing, encode_time(1), 0x02)).find("flags 2"),
            std::string::npos);
}

TEST_F(HostileLinkTest, BombsAndLyingSizesEndTheLink) {
  std::string packed = BlockPacker().pack(std::string(1000, 'a'));
  for (uint64_t declared : {uint64_t{0}, uint64_t{999}, uint64_t{1001}, uint64_t{0x7fffffff},
                            uint64_t{0xffffffff}, UINT64_MAX}) {
    establish();
    paris_.events.clear();
    std::string payload = encode_varint(declared) + packed;
    EXPECT_NE(paris_says_to(frame(MessageType::kBatch, payload)), "nothing") << declared;
  }
}

TEST_F(HostileLinkTest, ABatchThatNeverEndsStopsAtTheLargestBatch) {
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

TEST_F(HostileLinkTest, SegmentsThatDoNotDecodeEndTheLink) {
  establish();
  std::string payload = encode_varint(1000) + BlockPacker().pack(std::string(1000, 'a'));
  EXPECT_NE(paris_says_to(frame(MessageType::kBatch, payload)), "nothing");
  EXPECT_TRUE(paris_.all<Batch>().empty());
}

TEST_F(HostileLinkTest, AHelloThatDripsInForeverIsCutOff) {
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

TEST_F(HostileLinkTest, APeerThatAsksAndNeverReadsCannotFillOurMemory) {
  establish();
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += frame(MessageType::kPing, encode_time(1));
  for (int i = 0; i < 200; ++i) paris_.receive(pings, now_);
  EXPECT_LT(paris_.link->output_bytes(), 2u * 1024 * 1024);
}

}  // namespace
}  // namespace outrigger::link
