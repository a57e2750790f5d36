#include "proxy/mongo/wire/framer.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "config/limits.h"
#include "proxy/mongo/wire/op_msg.h"

namespace outrigger::wire {
namespace {

std::string with_length(int32_t length, size_t bytes) {
  std::string message;
  append_header(message, {length, 1, 2, OpCode::kMsg});
  message.resize(bytes, 'x');
  return message;
}

std::string message_of(size_t bytes) { return with_length(static_cast<int32_t>(bytes), bytes); }

// Feeds pieces and collects what comes out; `relay` streams instead of gathering.
struct Feeder {
  Framer framer;
  bool relay = false;
  std::vector<std::string> messages;
  std::optional<WireError> error;

  void feed(Bytes piece) {
    while (!piece.empty() && !error) {
      if (framer.relay_left() > 0) {
        messages.back() += framer.relay(piece);
        continue;
      }
      const auto step = relay ? framer.next_header(piece) : framer.next(piece);
      if (step.kind == Framer::Kind::kError) error = step.error;
      if (step.kind == Framer::Kind::kMessage) messages.emplace_back(step.message);
      if (step.kind == Framer::Kind::kHeader) messages.emplace_back(framer.relay(piece));
      if (step.kind == Framer::Kind::kNeedMore) {
        EXPECT_TRUE(piece.empty());
        EXPECT_GT(step.bytes_needed, 0u);
      }
    }
  }
};

struct Stream {
  std::vector<std::string> messages = {message_of(16), message_of(17), message_of(100),
                                       message_of(16), message_of(40)};
  std::string bytes;
  Stream() {
    for (const auto& message : messages) bytes += message;
  }
};

TEST(Framer, GivesTheSameMessagesForEverySplit) {
  const Stream stream;
  for (const bool relay : {false, true}) {
    for (size_t first = 0; first <= stream.bytes.size(); ++first) {
      for (size_t second = first; second <= stream.bytes.size(); second += 7) {
        Feeder feeder;
        feeder.relay = relay;
        feeder.feed(Bytes(stream.bytes).substr(0, first));
        feeder.feed(Bytes(stream.bytes).substr(first, second - first));
        feeder.feed(Bytes(stream.bytes).substr(second));
        ASSERT_EQ(feeder.messages, stream.messages) << first << " " << second;
        EXPECT_TRUE(feeder.framer.between_messages());
      }
    }
  }
}

TEST(Framer, GivesTheSameMessagesForEveryPieceSize) {
  const Stream stream;
  for (const bool relay : {false, true}) {
    for (size_t size = 1; size <= stream.bytes.size(); ++size) {
      Feeder feeder;
      feeder.relay = relay;
      for (size_t at = 0; at < stream.bytes.size(); at += size) {
        feeder.feed(Bytes(stream.bytes).substr(at, size));
      }
      ASSERT_EQ(feeder.messages, stream.messages) << size;
    }
  }
}

TEST(Framer, MixesWholeAndStreamedMessages) {
  const Stream stream;
  Framer framer;
  Bytes input = stream.bytes;
  for (size_t i = 0; i < stream.messages.size(); ++i) {
    const auto head = framer.next_header(input);
    ASSERT_EQ(head.kind, Framer::Kind::kHeader);
    ASSERT_EQ(framer.next_header(input).header, head.header);  // asking again changes nothing
    EXPECT_EQ(head.header.message_length, static_cast<int32_t>(stream.messages[i].size()));
    if (i % 2 == 0) {
      EXPECT_EQ(framer.next(input).message, stream.messages[i]);
    } else {
      EXPECT_EQ(framer.relay(input), stream.messages[i]);
      EXPECT_EQ(framer.relay_left(), 0u);
    }
  }
  EXPECT_TRUE(input.empty());
}

TEST(Framer, DoesNotCopyAMessageThatLiesWhole) {
  const std::string bytes = message_of(1000) + "tail";
  Framer framer;
  Bytes input = bytes;
  EXPECT_EQ(framer.next(input).message.data(), bytes.data());
  EXPECT_EQ(input, "tail");
}

// Gathers a message of this length in two pieces.
Framer::Step gather(Framer& framer, size_t bytes) {
  const std::string message = message_of(bytes);
  Bytes input = Bytes(message).substr(0, bytes / 2);
  EXPECT_EQ(framer.next(input).kind, Framer::Kind::kNeedMore);
  input = Bytes(message).substr(bytes / 2);
  const auto step = framer.next(input);
  EXPECT_EQ(step.kind, Framer::Kind::kMessage);
  EXPECT_EQ(step.message, message);
  return step;
}

TEST(Framer, HoldsNothingOfALargeMessageThatWasReleased) {
  Framer framer;
  (void)gather(framer, 1'000'000);
  EXPECT_GE(framer.capacity(), 1'000'000u);
  framer.release();
  EXPECT_LE(framer.capacity(), limits::kKeptBufferBytesMax);
}

TEST(Framer, HandsOverWhatItGathered) {
  Framer framer;
  const auto step = gather(framer, 1'000'000);
  const char* const at = step.message.data();
  const std::string taken = framer.take(step);
  EXPECT_EQ(taken.data(), at);
  EXPECT_EQ(taken, message_of(1'000'000));
  EXPECT_LE(framer.capacity(), limits::kKeptBufferBytesMax);
  (void)gather(framer, 1'000);  // goes on
}

TEST(Framer, TellsHowManyBytesAreMissing) {
  const std::string bytes = message_of(100);
  Framer framer;
  Bytes input = Bytes(bytes).substr(0, 10);
  EXPECT_EQ(framer.next(input).bytes_needed, 6u);
  input = Bytes(bytes).substr(10, 20);
  EXPECT_EQ(framer.next(input).bytes_needed, 70u);
  EXPECT_EQ(framer.buffered_bytes(), 30u);
  EXPECT_FALSE(framer.between_messages());
}

TEST(Framer, JudgesLengthsByTheHeaderAlone) {
  const struct {
    int32_t length;
    bool legal;
  } kCases[] = {{INT32_MIN, false}, {-1, false},        {0, false},          {15, false},
                {16, true},         {48'000'000, true}, {48'000'001, false}, {INT32_MAX, false}};
  for (const auto& c : kCases) {
    const std::string header = with_length(c.length, kHeaderBytes);
    Framer framer;
    Bytes input = header;
    const auto step = framer.next_header(input);
    EXPECT_EQ(step.kind == Framer::Kind::kHeader, c.legal) << c.length;
    if (c.legal) continue;
    EXPECT_EQ(step.kind, Framer::Kind::kError);
    EXPECT_EQ(step.error.code, 17);
    EXPECT_TRUE(step.error.close_connection);
    Bytes more = header;
    EXPECT_EQ(framer.next(more).kind, Framer::Kind::kError) << "an error is final";
  }
}

TEST(Framer, AnErrorIsFinalEvenBeforeALegalMessage) {
  const std::string bytes = with_length(0, 16) + message_of(20);
  Feeder feeder;
  feeder.feed(bytes);
  EXPECT_TRUE(feeder.error.has_value());
  Bytes legal = Bytes(bytes).substr(16);
  EXPECT_EQ(feeder.framer.next(legal).kind, Framer::Kind::kError);
  EXPECT_TRUE(feeder.messages.empty());
}

TEST(Framer, TakesTheLargestMessageInPieces) {
  const std::string bytes = message_of(kMessageBytesMax);
  Feeder feeder;
  for (size_t at = 0; at < bytes.size(); at += 65536) feeder.feed(Bytes(bytes).substr(at, 65536));
  ASSERT_EQ(feeder.messages.size(), 1u);
  EXPECT_EQ(feeder.messages[0], bytes);
}

TEST(Framer, LimitCanBeLoweredAndRaised) {
  const std::string bytes = message_of(100);
  Framer small(99);
  Bytes input = bytes;
  EXPECT_EQ(small.next(input).kind, Framer::Kind::kError);
  Framer raised(99);
  raised.set_message_bytes_max(100);
  input = bytes;
  EXPECT_EQ(raised.next(input).kind, Framer::Kind::kMessage);
}

TEST(Framer, FlippedBytesNeverYieldMessagesOfAnotherLengthThanTheirHeader) {
  const Stream stream;
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = stream.bytes;
    bytes[random() % bytes.size()] = static_cast<char>(random());
    Feeder feeder;
    feeder.relay = round % 2 == 0;
    const size_t size = 1 + random() % 60;
    for (size_t at = 0; at < bytes.size(); at += size) feeder.feed(Bytes(bytes).substr(at, size));
    if (feeder.framer.relay_left() > 0) feeder.messages.pop_back();
    for (const std::string& message : feeder.messages) {
      EXPECT_EQ(read_header(message)->message_length, static_cast<int32_t>(message.size()));
    }
  }
}

TEST(Header, PatchesFieldsInPlace) {
  std::string message = message_of(20);
  patch_request_id(message, 77);
  patch_response_to(message, 88);
  message += "more";
  patch_length(message);
  EXPECT_EQ(*read_header(message), (MsgHeader{24, 77, 88, OpCode::kMsg}));
  EXPECT_FALSE(read_header(Bytes(message).substr(0, 15)).has_value());
}

}  // namespace
}  // namespace outrigger::wire
