#include <gtest/gtest.h>

#include <random>

#include "proxy/mongo/wire/op_query.h"
#include "proxy/mongo/wire/op_reply.h"

namespace outrigger::wire {
namespace {

using bson::Document;
using bson::Writer;

std::string query(const std::string& ns, const std::string& rest, int32_t number_to_return = -1) {
  std::string out;
  append_header(out, {0, 3, 0, OpCode::kQuery});
  out += bson::make_int32(4).bytes + ns + std::string(1, '\0') + bson::make_int32(0).bytes +
         bson::make_int32(number_to_return).bytes + rest;
  patch_length(out);
  return out;
}

std::string command(const char* name) { return Writer().int32(name, 1).finish(); }

// The code `bytes` is refused with, 0 when it may pass.
int refusal(const std::string& bytes) {
  const auto parsed = parse_op_query(bytes);
  if (!parsed) return parsed.error().code;
  const auto refused = refuse_op_query(*parsed);
  return refused ? refused->code : 0;
}

TEST(OpQuery, ReadsACommand) {
  const std::string bytes = query("admin.$cmd", command("isMaster"));
  const auto parsed = parse_op_query(bytes);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->header.request_id, 3);
  EXPECT_EQ(parsed->flags, 4);
  EXPECT_EQ(parsed->database, "admin");
  EXPECT_TRUE(parsed->is_command);
  EXPECT_FALSE(parsed->wrapped);
  EXPECT_EQ(parsed->command_name(), "isMaster");
  EXPECT_EQ(parsed->number_to_return, -1);
}

TEST(OpQuery, UnwrapsDollarQuery) {
  const std::string inner = command("hello");
  const std::string wrapped = Writer()
                                  .document("$query", Document(inner))
                                  .open_document("$readPreference")
                                  .string("mode", "primary")
                                  .close()
                                  .finish();
  const std::string bytes = query("test.$cmd", wrapped);
  const auto parsed = parse_op_query(bytes);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_TRUE(parsed->wrapped);
  EXPECT_EQ(parsed->command.bytes(), inner);
  EXPECT_TRUE(parsed->wrapper.has("$readPreference"));
  EXPECT_EQ(refusal(query("test.$cmd", Writer().document("query", Document(inner)).finish())), 0);
}

TEST(OpQuery, LetsOnlyTheHandshakePass) {
  for (const char* name : {"hello", "isMaster", "ismaster", "_isSelf", "authenticate", "buildInfo",
                           "buildinfo", "saslStart", "saslContinue"}) {
    EXPECT_EQ(refusal(query("admin.$cmd", command(name))), 0) << name;
  }
  for (const char* name : {"insert", "update", "delete", "ping", "HELLO", "Hello", "hell", "helloo",
                           "getLastError", "find", ""}) {
    EXPECT_EQ(refusal(query("admin.$cmd", command(name))), 352) << name;
  }
  // A write cannot hide behind an allowed name, nor inside a wrapper.
  EXPECT_EQ(refusal(query("a.$cmd", Writer().string("insert", "c").int32("hello", 1).finish())),
            352);
  const std::string hidden = command("insert");
  EXPECT_EQ(refusal(query("a.$cmd", Writer().document("$query", Document(hidden)).finish())), 352);
}

TEST(OpQuery, RefusesWithMongodsCodes) {
  const std::string hello = command("hello");
  EXPECT_EQ(refusal(query("test.foo", hello)), 5739101);
  EXPECT_EQ(refusal(query("nodot", hello)), 5739101);
  EXPECT_EQ(refusal(query("admin.$cmd.sys.inprog", hello)), 5739101);
  EXPECT_EQ(refusal(query("admin.$cmd", hello, 0)), 16979);
  EXPECT_EQ(refusal(query("admin.$cmd", hello, 2)), 16979);
  EXPECT_EQ(refusal(query("admin.$cmd", hello, 1)), 0);
  EXPECT_EQ(refusal(query("admin.$cmd", Writer().int32("hello", 1).string("$db", "a").finish())),
            40621);
  EXPECT_EQ(refusal(query("admin.$cmd", hello + hello)), 0);  // fields to return
  EXPECT_EQ(refusal(query("admin.$cmd", hello + "zz")), 22);
  EXPECT_EQ(refusal(query("admin.$cmd", hello + hello + hello)), 22);
  EXPECT_EQ(refusal(query("admin.$cmd", "")), 22);
  std::string damaged = hello;
  damaged[4] = 0x55;
  EXPECT_EQ(refusal(query("admin.$cmd", damaged)), 22);
  EXPECT_EQ(refusal(""), 17);
  EXPECT_EQ(refusal(query("admin.$cmd", hello).substr(0, 20)), 17);
}

TEST(OpQuery, RefusalNamesTheCommand) {
  const std::string bytes = query("admin.$cmd", command("insert"));
  const auto refused = refuse_op_query(*parse_op_query(bytes));
  EXPECT_EQ(refused->message.substr(0, 44), "Unsupported OP_QUERY command: insert. The cl");
  EXPECT_FALSE(refused->close_connection);
}

TEST(OpQuery, BuildsWhatItParses) {
  const std::string hello = command("hello");
  const std::string bytes = build_op_query(9, "admin", Document(hello));
  const auto parsed = parse_op_query(bytes);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->full_collection_name, "admin.$cmd");
  EXPECT_EQ(parsed->command.bytes(), hello);
  EXPECT_FALSE(refuse_op_query(*parsed).has_value());
}

TEST(OpReply, BuildsMongodsShape) {
  const std::string body = command("ok");
  const std::string bytes = build_op_reply(1, 9, Document(body));
  EXPECT_EQ(Bytes(bytes).substr(16, 20), Bytes("\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0", 20));
  const auto parsed = parse_op_reply(bytes);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->header, (MsgHeader{static_cast<int32_t>(bytes.size()), 1, 9, OpCode::kReply}));
  EXPECT_EQ(parsed->flags, kReplyAwaitCapable);
  EXPECT_EQ(parsed->cursor_id, 0);
  ASSERT_EQ(parsed->documents.size(), 1u);
  EXPECT_EQ(parsed->documents[0].bytes(), body);
}

TEST(OpReply, RefusesCountsAndLengthsThatDoNotFit) {
  const std::string body = command("ok");
  std::string bytes = build_op_reply(1, 9, Document(body));
  bytes[32] = 2;
  EXPECT_EQ(parse_op_reply(bytes).error().code, 17);
  bytes[32] = 1;
  bytes[36] = static_cast<char>(bytes[36] + 1);
  EXPECT_EQ(parse_op_reply(bytes).error().code, 22);
  EXPECT_EQ(parse_op_reply(bytes.substr(0, 30)).error().code, 17);
}

TEST(Legacy, FlippedAndCutBytesNeverCrash) {
  const std::string hello = command("hello");
  std::mt19937 random(3);
  for (const bool reply : {false, true}) {
    const std::string bytes =
        reply ? build_op_reply(1, 9, Document(hello)) : build_op_query(9, "admin", Document(hello));
    for (int round = 0; round < 10000; ++round) {
      std::string damaged = bytes;
      damaged[16 + random() % (bytes.size() - 16)] = static_cast<char>(random());
      damaged.resize(16 + random() % (damaged.size() - 15));
      patch_length(damaged);
      (void)parse_op_query(damaged);
      (void)parse_op_reply(damaged);
    }
  }
}

}  // namespace
}  // namespace outrigger::wire
