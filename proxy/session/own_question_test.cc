// What is asked of documents that come with the question, for each command that may ask.
#include "proxy/session/own_question.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;
using ::testing::ElementsAre;

class OwnQuestionTest : public ::testing::Test {
 protected:
  // Of a command's body without $db.
  OwnQuestion ask(Writer& command) {
    body_ = command.string("$db", "outrigger").finish();
    message_ = wire::build_op_msg(1, 0, 0, Document(body_));
    parsed_ = wire::parse_op_msg(message_).value();
    return own_question(parsed_).value_or(OwnQuestion());
  }
  static std::vector<std::string> text(const std::vector<std::string>& stages) {
    std::vector<std::string> out;
    for (const std::string& stage : stages) out.push_back(bson::to_json(Document(stage)));
    return out;
  }

  std::string body_;
  std::string message_;
  wire::OpMsg parsed_;
};

TEST_F(OwnQuestionTest, AFindIsAMatchASortACutAndAProjection) {
  Writer find;
  find.string("find", "conflicts").open_document("filter").string("state", "open").close();
  find.open_document("sort").int32("time", -1).close().int32("skip", 2).real("limit", 3);
  find.open_document("projection").int32("lost", 1).close();
  const OwnQuestion question = ask(find);
  EXPECT_EQ(question.collection, "conflicts");
  EXPECT_THAT(text(question.matches), ElementsAre(R"({"$match": {"state": "open"}})"));
  EXPECT_THAT(text(question.rest), ElementsAre(R"({"$sort": {"time": -1}})", R"({"$skip": 2})",
                                               R"({"$limit": 3})", R"({"$project": {"lost": 1}})"));
  EXPECT_FALSE(question.enough);
}

TEST_F(OwnQuestionTest, WithoutASortTheFirstOnesAreEnough) {
  Writer find;
  find.string("find", "conflicts").int32("skip", 2).int32("limit", -3);
  EXPECT_EQ(ask(find).enough, 5u);
  Writer all;
  all.string("find", "conflicts").int32("limit", 0);
  EXPECT_FALSE(ask(all).enough);
}

TEST_F(OwnQuestionTest, OfAPipelineTheMatchesInFrontLookAtEachDocumentByItself) {
  Writer aggregate;
  aggregate.string("aggregate", "conflicts").open_array("pipeline");
  aggregate.open_document("0").open_document("$match").int32("a", 1).close().close();
  aggregate.open_document("1").int32("$limit", 7).close();
  aggregate.open_document("2").open_document("$match").int32("b", 1).close().close();
  aggregate.close();
  const OwnQuestion question = ask(aggregate);
  EXPECT_THAT(text(question.matches), ElementsAre(R"({"$match": {"a": 1}})"));
  EXPECT_THAT(text(question.rest), ElementsAre(R"({"$limit": 7})", R"({"$match": {"b": 1}})"));
  EXPECT_EQ(question.enough, 7u);
}

TEST_F(OwnQuestionTest, WhatIsNoStageIsLeftToMongod) {
  Writer aggregate;
  aggregate.string("aggregate", "conflicts").open_array("pipeline").int32("0", 1);
  aggregate.string("1", "x").null("2").close();
  const OwnQuestion question = ask(aggregate);
  EXPECT_TRUE(question.rest.empty());
  EXPECT_EQ(why_not_own(parsed_), "");
}

TEST_F(OwnQuestionTest, ALimitThatIsNoPlainNumberIsForMongodToCountWith) {
  Writer find;
  find.string("find", "conflicts").real("limit", std::numeric_limits<double>::quiet_NaN());
  const OwnQuestion question = ask(find);
  EXPECT_EQ(question.rest.size(), 1u);
  EXPECT_FALSE(question.enough);
}

TEST_F(OwnQuestionTest, ADistinctGoesIntoEveryArrayOnThePath) {
  Writer distinct;
  distinct.string("distinct", "status").string("key", "peers.site");
  EXPECT_THAT(
      text(ask(distinct).rest),
      ElementsAre(R"({"$unwind": {"path": "$peers", "preserveNullAndEmptyArrays": true}})",
                  R"({"$unwind": {"path": "$peers.site", "preserveNullAndEmptyArrays": true}})",
                  R"({"$match": {"peers.site": {"$exists": true}}})",
                  R"({"$group": {"_id": "$peers.site"}})"));
}

TEST_F(OwnQuestionTest, WhatIsNotHadIsNamed) {
  Writer watch;
  watch.string("aggregate", "conflicts").open_array("pipeline").open_document("0");
  watch.open_document("$changeStream").close().close().close();
  ask(watch);
  EXPECT_EQ(why_not_own(parsed_), "$changeStream");
  Writer find;
  find.string("find", "conflicts").boolean("returnKey", false).boolean("showRecordId", true);
  ask(find);
  EXPECT_EQ(why_not_own(parsed_), "showRecordId");
}

TEST_F(OwnQuestionTest, ACountOfNothingIsZero) {
  Writer count;
  count.string("count", "conflicts").open_document("query").close();
  const OwnQuestion question = ask(count);
  EXPECT_TRUE(question.matches.empty());
  Writer reply;
  reply.open_document("cursor").open_array("firstBatch").close().int64("id", 0).close();
  reply.real("ok", 1);
  const std::string bytes = reply.finish();
  EXPECT_EQ(bson::to_json(Document(own_answer(question, Document(bytes)))),
            R"({"n": 0, "ok": 1.0})");
}

TEST_F(OwnQuestionTest, ADocumentsFieldsAreNoExpressions) {
  Writer find;
  find.string("find", "conflicts").int32("maxTimeMS", 50);
  const OwnQuestion question = ask(find);
  const std::string document = Writer().string("lost", "$path").finish();
  const std::string command = own_aggregation(parsed_, {document}, question.rest);
  EXPECT_EQ(bson::to_json(Document(command)),
            R"({"aggregate": 1, "pipeline": [{"$documents": [{"$literal": {"lost": "$path"}}]}], )"
            R"("cursor": {"batchSize": 2147483647}, "maxTimeMS": 50, "$db": "outrigger"})");
}

}  // namespace
}  // namespace outrigger
