#include "proxy/mongo/wire/op_msg.h"

#include <gtest/gtest.h>

#include <random>

#include "proxy/mongo/wire/error_reply.h"
#include "replication/bson/crc32c.h"

namespace outrigger::wire {
namespace {

using bson::Writer;

std::string int32_bytes(int32_t v) { return bson::make_int32(v).bytes; }

std::string document(int32_t id) { return Writer().int32("_id", id).finish(); }

std::string body_section(const std::string& body) { return std::string(1, '\0') + body; }

std::string sequence_section(const std::string& identifier, const std::string& documents) {
  const auto size = static_cast<int32_t>(4 + identifier.size() + 1 + documents.size());
  return "\1" + int32_bytes(size) + identifier + std::string(1, '\0') + documents;
}

std::string message(uint32_t flags, const std::string& rest, OpCode op_code = OpCode::kMsg) {
  std::string out;
  append_header(out, {0, 7, 8, op_code});
  out += int32_bytes(static_cast<int32_t>(flags)) + rest;
  patch_length(out);
  return out;
}

std::string insert_body() { return Writer().string("insert", "c").string("$db", "shop").finish(); }

TEST(OpMsg, ReadsBodyAndSequences) {
  const std::string bytes =
      message(kExhaustAllowed, body_section(insert_body()) +
                                   sequence_section("documents", document(1) + document(2)) +
                                   sequence_section("more", ""));
  const auto parsed = parse_op_msg(bytes);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(parsed->header.request_id, 7);
  EXPECT_EQ(parsed->command_name(), "insert");
  EXPECT_EQ(parsed->database(), "shop");
  EXPECT_TRUE(parsed->exhaust_allowed());
  EXPECT_FALSE(parsed->more_to_come());
  EXPECT_FALSE(parsed->sequences_first);
  ASSERT_EQ(parsed->sequences.size(), 2u);
  EXPECT_EQ(parsed->sequences[0].bytes, document(1) + document(2));
  ASSERT_EQ(parsed->sequence("documents")->documents.size(), 2u);
  EXPECT_EQ(parsed->sequence("documents")->documents[1].bytes(), document(2));
  EXPECT_TRUE(parsed->sequence("more")->documents.empty());
  EXPECT_EQ(parsed->sequence("absent"), nullptr);
}

TEST(OpMsg, TakesSequencesInFrontOfTheBody) {
  const auto bytes =
      message(0, sequence_section("documents", document(1)) + body_section(insert_body()));
  const auto parsed = parse_op_msg(bytes);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_TRUE(parsed->sequences_first);
  EXPECT_EQ(parsed->command_name(), "insert");
  EXPECT_EQ(parsed->sequence("documents")->documents.size(), 1u);
}

TEST(OpMsg, RefusesWithMongodsCodes) {
  const std::string body = body_section(insert_body());
  const std::string one = document(1);
  const auto seq = [&](const char* name) { return sequence_section(name, one); };
  const std::string nested =
      Writer().open_document("x").int32("y", 1).close().string("$db", "a").finish();
  std::string deep;
  for (int i = 0; i <= 201; ++i) deep = Writer().document("a", bson::Document(deep)).finish();
  const struct {
    const char* what;
    std::string bytes;
    int code;
    bool closes;
  } kCases[] = {
      {"unknown low flag", message(4, body), 223, true},
      {"unknown flag bit 15", message(1 << 15, body), 223, true},
      {"two bodies", message(0, body + body), 40430, false},
      {"duplicate sequence", message(0, body + seq("a") + seq("a")), 40431, false},
      {"kind 7", message(0, body + "\7"), 40432, false},
      {"kind 2", message(0, body + "\2" + one), 13, false},
      {"field in both", message(0, body + seq("insert")), 40433, false},
      {"field in both, sequence first", message(0, seq("insert") + body), 40433, false},
      {"dotted field in both", message(0, body_section(nested) + seq("x.y")), 40433, false},
      {"no body", message(0, seq("a")), 40587, false},
      {"no sections", message(0, ""), 40587, false},
      {"three sequences", message(0, body + seq("a") + seq("b") + seq("c")), 233, true},
      {"checksum wrong", message(1, body + "abcd"), 288, true},
      {"no room for a checksum", message(1, "abc"), 15, false},
      {"document cut", message(0, body.substr(0, body.size() - 1)), 22, false},
      {"document damaged", message(0, body_section(std::string("\7\0\0\0\x55\0\0", 7))), 22, false},
      {"length 4", message(0, body_section(int32_bytes(4) + "x")), 22, false},
      {"length negative", message(0, body_section(int32_bytes(-5) + "x")), 22, false},
      {"sequence too long", message(0, body + "\1" + int32_bytes(255) + "a"), 15, false},
      {"sequence length 3", message(0, body + "\1" + int32_bytes(3) + "a"), 15, false},
      {"sequence length negative", message(0, body + "\1" + int32_bytes(-1) + "a"), 15, false},
      {"sequence length cut", message(0, body + "\1\6"), 15, false},
      {"identifier without end", message(0, body + "\1" + int32_bytes(5) + "a"), 15, false},
      {"document over the sequence's end",
       message(0, "\1" + int32_bytes(10) + std::string("a\0", 2) + one + body), 22, false},
      {"nested too deeply", message(0, body_section(deep)), 15, false},
      {"no flags", message(0, "").substr(0, 16), 17, true},
      {"another opcode", message(0, body, OpCode::kQuery), 17, true},
      {"shorter than its header says", message(0, body).substr(0, 30), 17, true},
      {"empty", "", 17, true},
  };
  for (const auto& c : kCases) {
    const auto parsed = parse_op_msg(c.bytes);
    ASSERT_FALSE(parsed.has_value()) << c.what;
    EXPECT_EQ(parsed.error().code, c.code) << c.what << ": " << parsed.error().message;
    EXPECT_EQ(parsed.error().close_connection, c.closes) << c.what;
  }
}

TEST(OpMsg, IgnoresUnknownHighFlags) {
  EXPECT_TRUE(parse_op_msg(message(1u << 31 | 1u << 17, body_section(insert_body()))).has_value());
}

TEST(OpMsg, ANameWithADotIsNoPath) {  // as seen on mongod: {"x.y": 1} does not collide with x.y
  const std::string body = Writer().int32("ping", 1).int32("x.y", 1).finish();
  EXPECT_TRUE(parse_op_msg(message(0, body_section(body) + sequence_section("x.y", document(1))))
                  .has_value());
}

TEST(OpMsg, RefusesDocumentsAboveMongodsInternalLimit) {
  const auto body_of = [](size_t bytes) {
    const std::string empty = Writer().binary("b", 0, "").finish();
    return body_section(Writer().binary("b", 0, std::string(bytes - empty.size(), 'x')).finish());
  };
  EXPECT_TRUE(parse_op_msg(message(0, body_of(bson::kDocumentBytesMax))).has_value());
  const std::string larger = message(0, body_of(bson::kDocumentBytesMax + 1));
  EXPECT_EQ(parse_op_msg(larger).error().code, 10334);
}

TEST(OpMsg, AcceptsAGoodChecksumAndNoChangedByteOrBit) {
  const std::string documents = document(1);
  const std::string body = insert_body();
  const std::string bytes =
      build_op_msg(1, 2, kChecksumPresent, bson::Document(body), {{"documents", documents}});
  ASSERT_TRUE(parse_op_msg(bytes).has_value());
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (at >= 16 && at < 20) continue;  // the flag that announces the checksum is among these
    for (const int bit : {1, 0x10, 0x80}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ bit);
      EXPECT_FALSE(parse_op_msg(damaged).has_value()) << at;
    }
  }
}

TEST(OpMsg, ChecksumIsCrc32cOfAllButItself) {
  const std::string bytes = build_op_msg(1, 2, kChecksumPresent, bson::Document());
  const uint32_t sum = crc32c(Bytes(bytes).substr(0, bytes.size() - 4));
  EXPECT_EQ(bytes.substr(bytes.size() - 4), int32_bytes(static_cast<int32_t>(sum)));
}

TEST(OpMsg, BuildsWhatItParses) {
  const std::string documents = document(1) + document(2);
  const std::string body = insert_body();
  const std::string bytes = build_op_msg(5, 6, kMoreToCome, bson::Document(body),
                                         {{"documents", documents}, {"nsInfo", ""}});
  EXPECT_EQ(bytes, [&] {
    std::string expected =
        message(kMoreToCome, body_section(body) + sequence_section("documents", documents) +
                                 sequence_section("nsInfo", ""));
    patch_request_id(expected, 5);
    patch_response_to(expected, 6);
    return expected;
  }());
  EXPECT_TRUE(parse_op_msg(bytes)->more_to_come());
  EXPECT_EQ(peek_op_msg_flags(bytes), kMoreToCome);
  EXPECT_FALSE(peek_op_msg_flags(Bytes(bytes).substr(0, 19)).has_value());
}

TEST(OpMsg, TrustedParsingLooksAtLengthsOnly) {
  const std::string damaged = message(0, body_section(std::string("\7\0\0\0\x55\0\0", 7)));
  ASSERT_TRUE(parse_op_msg_trusted(damaged).has_value());
  EXPECT_EQ(parse_op_msg_trusted(damaged)->command_name(), "");
  EXPECT_FALSE(
      parse_op_msg_trusted(message(0, body_section(std::string("\7\0\0\0", 4)))).has_value());
}

TEST(OpMsg, FlippedAndCutBytesNeverCrash) {
  const std::string documents = document(1) + document(2);
  const std::string body = insert_body();
  const std::string bytes =
      build_op_msg(5, 6, 0, bson::Document(body), {{"documents", documents}, {"b", documents}});
  std::mt19937 random(2);
  size_t refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = bytes;
    for (unsigned i = random() % 3; i < 3; ++i) {
      damaged[16 + random() % (bytes.size() - 16)] = static_cast<char>(random());
    }
    damaged.resize(16 + random() % (damaged.size() - 15));
    patch_length(damaged);
    if (!parse_op_msg(damaged)) ++refused;
    (void)parse_op_msg_trusted(damaged);
  }
  EXPECT_GT(refused, 1000u);
}

TEST(ErrorReply, HasMongodsShape) {
  const std::string body = error_body(112, "try again", {"TransientTransactionError"});
  EXPECT_EQ(bson::to_json(bson::Document(body)),
            R"({"ok": 0.0, "errmsg": "try again", "code": 112, "codeName": "WriteConflict", )"
            R"("errorLabels": ["TransientTransactionError"]})");
  EXPECT_FALSE(bson::Document(error_body(2, "x")).has("errorLabels"));
}

TEST(ErrorReply, NamesCodes) {
  EXPECT_EQ(code_name(40430), "Location40430");
  EXPECT_EQ(code_name(11000), "DuplicateKey");
  EXPECT_EQ(code_name(352), "UnsupportedOpQueryCommand");
}

TEST(ErrorReply, OverloadCarriesBothLabels) {
  EXPECT_EQ(bson::to_json(bson::Document(overloaded_body("full"))),
            R"({"ok": 0.0, "errmsg": "full", "code": 462, )"
            R"("codeName": "IngressRequestRateLimitExceeded", )"
            R"("errorLabels": ["SystemOverloadedError", "RetryableError"]})");
}

}  // namespace
}  // namespace outrigger::wire
