// Compressed messages: each compressor there and back, and every lie about what is in them.
#include "proxy/mongo/wire/op_compressed.h"

#include <gtest/gtest.h>

#include <cstring>

#include "proxy/mongo/wire/op_msg.h"

namespace outrigger::wire {
namespace {

constexpr Compressor kAll[] = {Compressor::kSnappy, Compressor::kZlib, Compressor::kZstd};

std::string text_message(size_t text_bytes) {
  bson::Writer body;
  body.int32("ping", 1).string("text", std::string(text_bytes, 'x')).string("$db", "admin");
  const std::string bytes = body.finish();
  return build_op_msg(7, 3, 0, bson::Document(bytes));
}

void put_int32(std::string& message, size_t at, int32_t v) {
  std::memcpy(message.data() + at, &v, sizeof v);
}

// Nothing: it was refused, and the connection is to be closed.
std::optional<std::string> expanded(const std::string& message,
                                    size_t bytes_max = kMessageBytesMax) {
  const auto parsed = parse_op_compressed(message, bytes_max);
  if (!parsed) {
    EXPECT_TRUE(parsed.error().close_connection) << parsed.error().message;
    return std::nullopt;
  }
  EXPECT_LE(parsed->message_bytes, bytes_max);
  auto out = expand(*parsed);
  if (!out) {
    EXPECT_TRUE(out.error().close_connection) << out.error().message;
    return std::nullopt;
  }
  return std::move(*out);
}

class Compressed : public ::testing::TestWithParam<Compressor> {
 protected:
  [[nodiscard]] std::string made(size_t text_bytes = 500) const {
    return compress(text_message(text_bytes), GetParam()).value();
  }
};
INSTANTIATE_TEST_SUITE_P(All, Compressed, ::testing::ValuesIn(kAll),
                         [](const auto& each) { return std::string(name_of(each.param)); });

TEST_P(Compressed, ComesOutAsItWentIn) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{500}, size_t{1'000'000}}) {
    const std::string message = text_message(bytes);
    const auto packed = compress(message, GetParam());
    ASSERT_TRUE(packed);
    EXPECT_EQ(read_header(*packed)->message_length, static_cast<int32_t>(packed->size()));
    EXPECT_EQ(read_header(*packed)->request_id, 7);
    EXPECT_EQ(read_header(*packed)->response_to, 3);
    EXPECT_EQ(expanded(*packed), message);
    if (bytes > 1000) {
      EXPECT_LT(packed->size(), message.size() / 10);
    }
  }
}

TEST_P(Compressed, WhatWouldKeepOthersWaitingStaysPlain) {
  const std::string message = text_message(packed_bytes_max(GetParam()));
  EXPECT_FALSE(compress(message, GetParam()));
}

TEST_P(Compressed, AMessageOfNoBytesIsWhole) {
  std::string empty;
  append_header(empty, {16, 1, 0, OpCode::kMsg});
  EXPECT_EQ(expanded(compress(empty, GetParam()).value()), empty);
}

TEST_P(Compressed, ALengthThatIsNotThatOfTheBytesIsRefused) {
  const auto bytes = static_cast<int32_t>(text_message(500).size() - kHeaderBytes);
  for (const int32_t claimed : {INT32_MIN, -1, 0, 1, 15, bytes - 1, bytes + 1, 2 * bytes,
                                47'999'984, 47'999'985, 48'000'000, INT32_MAX}) {
    std::string message = made();
    put_int32(message, kHeaderBytes + 4, claimed);
    EXPECT_FALSE(expanded(message)) << claimed;
  }
}

TEST_P(Compressed, AStrangersMessageIsBoundedByWhatComesOutOfIt) {
  const std::string bomb = made(1'000'000);
  EXPECT_LT(bomb.size(), limits::kStrangerMessageBytesMax);
  EXPECT_FALSE(expanded(bomb, limits::kStrangerMessageBytesMax));
  EXPECT_TRUE(expanded(bomb));
  const size_t exactly = text_message(500).size();
  EXPECT_TRUE(expanded(made(), exactly));
  EXPECT_FALSE(expanded(made(), exactly - 1));
}

TEST_P(Compressed, WhatIsCutOffIsRefused) {
  const std::string message = made();
  for (size_t bytes = 0; bytes < message.size(); ++bytes) {
    EXPECT_FALSE(expanded(message.substr(0, bytes))) << bytes;
  }
}

TEST_P(Compressed, AFlippedBitNeverComesOutLongerOrShorter) {
  const std::string message = made(60);
  const size_t bytes = text_message(60).size();
  for (size_t bit = 8 * kCompressedHeadBytes; bit < 8 * message.size(); ++bit) {
    std::string flipped = message;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const auto out = expanded(flipped);
    if (out) {
      EXPECT_EQ(out->size(), bytes) << bit;
    }
  }
}

TEST_P(Compressed, TwiceIsRefused) {
  std::string message = made();
  put_int32(message, kHeaderBytes, static_cast<int32_t>(OpCode::kCompressed));
  EXPECT_FALSE(expanded(message));
}

TEST(OpCompressed, OtherCompressorsAreRefused) {
  for (int number = 0; number < 256; ++number) {
    std::string message = compress(text_message(20), Compressor::kZlib).value();
    message[kCompressedHeadBytes - 1] = static_cast<char>(number);
    EXPECT_EQ(expanded(message).has_value(), number == 2) << number;
  }
}

TEST(OpCompressed, AMessageThatMightBecomeTooLongStaysAsItIs) {
  std::string message(kMessageBytesMax, 'x');
  message.replace(0, kHeaderBytes, "");
  std::string whole;
  append_header(whole, {static_cast<int32_t>(kMessageBytesMax), 1, 0, OpCode::kMsg});
  whole += message;
  for (const Compressor each : kAll) EXPECT_FALSE(compress(whole, each));
}

TEST(OpCompressed, SecretsAndGreetingsStayPlain) {
  const auto is_packed = [](const char* command) {
    bson::Writer body;
    const std::string bytes = body.int32(command, 1).string("$db", "admin").finish();
    const std::string message = build_op_msg(1, 0, 0, bson::Document(bytes));
    return compress_command(message, Compressor::kZstd).has_value();
  };
  for (const char* command : {"hello", "isMaster", "ismaster", "saslStart", "saslContinue",
                              "authenticate", "createUser", "updateUser"}) {
    EXPECT_FALSE(is_packed(command)) << command;
  }
  for (const char* command : {"find", "insert", "ping"}) EXPECT_TRUE(is_packed(command));
}

TEST(OpCompressed, AreNamedAsDriversNameThem) {
  for (const Compressor each : kAll) EXPECT_EQ(compressor_named(name_of(each)), each);
  for (const char* other : {"", "noop", "ZLIB", "lz4"}) EXPECT_FALSE(compressor_named(other));
}

}  // namespace
}  // namespace outrigger::wire
