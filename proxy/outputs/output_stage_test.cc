#include "proxy/outputs/output_stage.h"

#include <gtest/gtest.h>

#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;
using Matched = OutputStage::Matched;

// A command that ends with {stage: said}.
struct Sent {
  Sent(const char* stage, const Document& said) {
    Writer out;
    out.string("aggregate", "sales").open_array("pipeline");
    out.open_document("0").open_document("$match").close().close();
    out.open_document("1").document(stage, said).close().close();
    out.open_document("cursor").close();
    out.open_document("writeConcern").int32("w", 1).close().string("$db", "shop");
    message = wire::build_op_msg(1, 0, 0, Document(out.finish()));
    parsed = *wire::parse_op_msg(message);
  }
  std::string message;
  wire::OpMsg parsed;
};

std::string text(const std::string& bson) { return bson::to_json(Document(bson)); }

TEST(output_stage, says_where_it_writes_and_how) {
  const std::string into = Writer().string("db", "reports").string("coll", "sums").finish();
  Writer merge;
  merge.document("into", Document(into)).open_array("on").string("0", "a").string("1", "b").close();
  merge.string("whenMatched", "keepExisting").string("whenNotMatched", "insert");
  const Sent sent("$merge", Document(merge.finish()));
  const auto stage = output_stage_of(sent.parsed);
  ASSERT_TRUE(stage);
  EXPECT_EQ(stage->ns(), "reports.sums");
  EXPECT_EQ(stage->on, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(stage->matched, Matched::kKeepExisting);
  const Sent out("$out", Document(into));
  EXPECT_EQ(output_stage_of(out.parsed)->kind, OutputStage::Kind::kOut);
}

TEST(output_stage, the_read_is_the_pipeline_without_it) {
  const std::string into = Writer().string("into", "sums").finish();
  const Sent sent("$merge", Document(into));
  const auto stage = output_stage_of(sent.parsed);
  EXPECT_EQ(text(output_read_command(sent.parsed, *stage)),
            R"({"aggregate": "sales", "pipeline": [{"$match": {}}], "cursor": {}, "$db": "shop"})");
  EXPECT_EQ(text(output_check_command(sent.parsed)),
            R"({"explain": {"aggregate": "sales", "pipeline": [{"$match": {}}, )"
            R"({"$merge": {"into": "sums"}}], "cursor": {}}, "verbosity": "queryPlanner", )"
            R"("$db": "shop"})");
}

TEST(output_stage, a_document_without_an_id_gets_one_where_it_is_found_by_it) {
  OutputStage stage;
  const std::string shown = Writer().int32("a", 1).finish();
  OutputDocument document = output_document(stage, Document(shown), std::string(12, 'x'));
  EXPECT_TRUE(Document(document.document).has("_id"));
  EXPECT_FALSE(find_match_fields(stage, document));
  stage.on = {"a"};
  document = output_document(stage, Document(shown), std::string(12, 'x'));
  EXPECT_FALSE(Document(document.document).has("_id"));
  EXPECT_FALSE(find_match_fields(stage, document));
  EXPECT_EQ(text(document.on), R"({"a": 1})");
}

TEST(output_stage, what_finds_a_match_is_one_value_and_there) {
  OutputStage stage;
  stage.on = {"a.b"};
  const auto wrong = [&](const std::string& shown) {
    OutputDocument document = output_document(stage, Document(shown), std::string(12, 'x'));
    const auto error = find_match_fields(stage, document);
    return error ? error->code : 0;
  };
  EXPECT_EQ(wrong(Writer().open_document("a").int32("b", 1).close().finish()), 0);
  EXPECT_EQ(wrong(Writer().open_document("a").null("b").close().finish()), 51132);
  EXPECT_EQ(wrong(Writer().int32("a", 1).finish()), 51132);
  EXPECT_EQ(wrong(Writer().finish()), 51132);
  EXPECT_EQ(wrong(Writer().open_document("a").open_array("b").close().close().finish()), 51185);
  EXPECT_EQ(wrong(Writer().open_array("a").close().finish()), 51185);
}

TEST(output_stage, variables_of_a_pipeline_come_with_each_document) {
  OutputStage stage;
  stage.matched = Matched::kPipeline;
  stage.pipeline = bson::OwnedValue(bson::Type::kArray, Writer().finish());
  stage.let = bson::make_document(Writer().string("v", "$a").finish());
  const std::string shown = Writer()
                                .open_document("d")
                                .int32("_id", 1)
                                .close()
                                .open_document("c")
                                .int32("v", 7)
                                .close()
                                .finish();
  OutputDocument document = output_document(stage, Document(shown), std::string(12, 'x'));
  ASSERT_FALSE(find_match_fields(stage, document));
  EXPECT_EQ(text(output_update(stage, document)),
            R"({"q": {"_id": 1}, "u": [], "c": {"v": 7, "new": {"_id": 1}}, "upsert": false})");
}

}  // namespace
}  // namespace outrigger
