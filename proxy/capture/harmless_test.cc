// Commands sent so that nothing can be written, and what their answers mean.
#include "proxy/capture/harmless.h"

#include <gtest/gtest.h>

#include "proxy/capture/capture_testing.h"

namespace outrigger::testing {
namespace {

using bson::Document;
using bson::Writer;

std::string refusal(int32_t code, std::string_view text) {
  return doc([&](Writer& w) { w.real("ok", 0.0).string("errmsg", text).int32("code", code); });
}

TEST(Harmless, TheGuardStandsInPlaceOfTheAppsOwn) {
  const auto sent = send(CommandKind::kInsert, {by_id(1), by_id(2)}, [](Writer& w) {
    w.boolean("ordered", false).string("collectionUUID", "mine").boolean("apiStrict", true);
  });
  const auto fields_of = [&](Told told) {
    const std::string message = guarded_command(sent->parsed, Uuid{}, 9, told);
    const auto parsed = wire::parse_op_msg(message);
    std::string names;
    for (const bson::Element& field : parsed->body) names.append(field.name).append(" ");
    EXPECT_EQ(parsed->sequences.size(), 1u);
    return names;
  };
  EXPECT_EQ(fields_of(Told::kAll), "insert $db ordered collectionUUID ");
  // Ordered, mongod stops at the first error.
  EXPECT_EQ(fields_of(Told::kFirst), "insert $db collectionUUID ");
}

// A time series does not mind the guard.
TEST(Harmless, NothingIsInsertedIntoATimeSeries) {
  const auto sent = send(CommandKind::kInsert, {by_id(1), by_id(2)});
  const std::string message = guarded_command(sent->parsed, Uuid{}, 9, Told::kAll);
  const auto parsed = wire::parse_op_msg(message);
  ASSERT_EQ(parsed->sequences.size(), 1u);
  ASSERT_EQ(parsed->sequences[0].documents.size(), 2u);
  for (const Document& each : parsed->sequences[0].documents) EXPECT_TRUE(each.empty());
  const std::string met = doc([](Writer& w) {
    w.int32("n", 0).open_array("writeErrors").open_document("0").int32("index", 0);
    w.int32("code", 2).close().close().real("ok", 1.0);
  });
  EXPECT_TRUE(met_the_guard(CommandKind::kInsert, Document(met)));
  EXPECT_FALSE(met_the_guard(CommandKind::kUpdate, Document(met)));
}

TEST(Harmless, ACommandThatMetTheGuardWouldHaveRun) {
  const std::string whole = refusal(361, "collection UUID does not match");
  EXPECT_TRUE(met_the_guard(CommandKind::kInsert, Document(whole)));
  const std::string other = refusal(9, "what is this");
  EXPECT_FALSE(met_the_guard(CommandKind::kInsert, Document(other)));
  const std::string in_part = doc([](Writer& w) {
    w.int32("n", 0).open_array("writeErrors").open_document("0").int32("index", 0);
    w.int32("code", 361).close().close().real("ok", 1.0);
  });
  EXPECT_TRUE(met_the_guard(CommandKind::kInsert, Document(in_part)));
}

TEST(Harmless, AnUnknownFieldIsTheGuardOnlyWhenItIsNamed) {
  const std::string ours =
      refusal(40415, "BSON field 'insert.collectionUUID' is an unknown field.");
  const std::string theirs = refusal(40415, "BSON field 'insert.frob' is an unknown field.");
  EXPECT_TRUE(is_of_the_guard(Document(ours)));
  EXPECT_FALSE(is_of_the_guard(Document(theirs)));
}

TEST(Harmless, ARefusalShowsTheCommandAsTheAppSentIt) {
  const std::string shown = refusal(
      13,
      "not authorized to execute { insert: \"a\", collectionUUID: UUID(\"00\"), $db: \"shop\" }");
  const std::string text(Document(without_guard(Document(shown))).find("errmsg")->as_string());
  EXPECT_EQ(text, "not authorized to execute { insert: \"a\", $db: \"shop\" }");
}

TEST(Harmless, OnlyTheStatementInQuestionIsExplained) {
  const auto sent = send(CommandKind::kUpdate,
                         {update_statement(by_id(1), op("$set", "a", 1)),
                          update_statement(by_id(2), op("$set", "a", 2))},
                         [](Writer& w) { w.string("comment", "mine").int32("maxTimeMS", 5); });
  const std::string message = explaining_command(sent->command, sent->command.statements[1], 9);
  const auto parsed = wire::parse_op_msg(message);
  const Document explained = parsed->body.find("explain")->as_document();
  EXPECT_FALSE(explained.has("comment"));
  EXPECT_FALSE(explained.has("maxTimeMS"));
  EXPECT_EQ(bson::to_json(explained.find("updates")->as_document()),
            R"({"0": {"q": {"_id": 2}, "u": {"$set": {"a": 2}}}})");
}

}  // namespace
}  // namespace outrigger::testing
