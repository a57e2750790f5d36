// Our own questions to mongod: what is asked for, and what is taken from the answers.
#include "proxy/capture/reads.h"

#include <gtest/gtest.h>

#include "proxy/capture/capture_testing.h"

namespace outrigger::testing {
namespace {

using bson::Document;
using bson::Writer;

std::string batch(int64_t cursor, const std::vector<std::string>& documents) {
  return doc([&](Writer& w) {
    w.open_document("cursor").open_array("firstBatch");
    size_t at = 0;
    for (const std::string& one : documents) w.document(bson::index_name(at++), Document(one));
    w.close().int64("id", cursor).string("ns", "shop.items").close().real("ok", 1.0);
  });
}

TEST(Reads, BeforeAnIncrementOnlyTheValueItAddsToIsAskedFor) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$inc", "a.n", 1))});
  outrigger::Run run = run_of(sent->command);
  run.items.front().needs_before = run.items.front().needs_after = true;
  const auto projection = [&](Taken taken) {
    const std::string find = build_images_find(sent->command, items_needing(run, taken), taken);
    const auto found = Document(find).find("projection");
    return found ? bson::to_json(found->as_document()) : std::string("all");
  };
  EXPECT_EQ(projection(Taken::kBefore), R"({"_id": 1, "a.n": 1})");
  EXPECT_EQ(projection(Taken::kAfter), "all");
}

TEST(Reads, AmongDocumentsThatWereFoundTheOrderSaysNothing) {
  const auto statement = doc([](Writer& w) {
    w.open_document("q").int32("a", 1).close().open_document("u").int32("b", 2).close();
    w.open_document("sort").int32("a", 1).close();
  });
  const auto sent = send(CommandKind::kUpdate, {statement});
  Statement sorted = sent->command.statements.front();
  sorted.sort = Document(statement).find("sort");
  const std::vector<bson::OwnedValue> among = {bson::make_int32(7)};
  const std::string first = build_ids_find(sent->command, sorted, 1, nullptr);
  const std::string still = build_ids_find(sent->command, sorted, 0, &among);
  EXPECT_TRUE(Document(first).has("sort"));
  EXPECT_EQ(Document(first).find("limit")->as_int64(), 1);
  EXPECT_FALSE(Document(still).has("sort"));
  EXPECT_FALSE(Document(still).has("limit"));
  EXPECT_EQ(bson::to_json(Document(still).find("filter")->as_document()),
            R"({"$and": [{"_id": {"$in": [7]}}, {"a": 1}]})");
}

TEST(Reads, ABatchShowsItsDocumentsAndTheCursorThatIsLeft) {
  std::vector<std::string> seen;
  const Visit visit = [&](const Document& document) { seen.emplace_back(document.bytes()); };
  const std::string reply = batch(99, {by_id(1), by_id(2)});
  EXPECT_EQ(show_batch(Document(reply), visit), 99);
  EXPECT_EQ(seen, (std::vector<std::string>{by_id(1), by_id(2)}));
}

TEST(Reads, AnErrorGivesNoImages) {
  Images images;
  const std::string error = doc([](Writer& w) { w.real("ok", 0.0).int32("code", 13); });
  EXPECT_FALSE(take_images(wire::build_op_msg(1, 0, 0, Document(error)), images));
  const std::string found = batch(0, {by_id(1)});
  EXPECT_TRUE(take_images(wire::build_op_msg(1, 0, 0, Document(found)), images));
  EXPECT_EQ(images, (Images{{key_of(1), by_id(1)}}));
}

TEST(Reads, AFindAndModifyThatProjectsNothingAnswersWithAnImage) {
  const auto shown = [](const Fill& fill) {
    const auto sent = find_and_modify([&](Writer& w) {
      w.document("query", Document(by_id(1))).document("update", Document(op("$inc", "n", 1)));
      fill(w);
    });
    return image_in_answer(sent->command);
  };
  EXPECT_EQ(shown([](Writer&) {}), Taken::kBefore);
  EXPECT_EQ(shown([](Writer& w) { w.boolean("new", true); }), Taken::kAfter);
  const auto projects = [](Writer& w) { w.open_document("fields").int32("n", 1).close(); };
  EXPECT_EQ(shown(projects), std::nullopt);
  const auto update = send(CommandKind::kUpdate, {update_statement(by_id(1), by_id(1))});
  EXPECT_EQ(image_in_answer(update->command), std::nullopt);
  Images images;
  take_answered_image(Document(doc([](Writer& w) { w.null("value"); })), images);
  EXPECT_TRUE(images.empty());
  take_answered_image(Document(doc([](Writer& w) { w.document("value", Document(by_id(1))); })),
                      images);
  EXPECT_EQ(images, (Images{{key_of(1), by_id(1)}}));
}

TEST(Reads, ImagesThatDoNotFitAreLeftForTheNextRunButNeverTheFirst) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$push", "a", 1)),
                                                update_statement(by_id(2), op("$push", "a", 1)),
                                                update_statement(by_id(3), op("$push", "a", 1))});
  outrigger::Run run = run_of(sent->command);
  for (RunItem& item : run.items) item.needs_after = true;
  EXPECT_EQ(fitting_items(run, {{key_of(2), 100}, {key_of(3), 100}}), 3u);
  EXPECT_EQ(fitting_items(run, {{key_of(2), 100}, {key_of(3), kRunImagesBytesMax}}), 2u);
  EXPECT_EQ(fitting_items(run, {{key_of(1), 100}, {key_of(2), kRunImagesBytesMax + 1}}), 1u);
}

}  // namespace
}  // namespace outrigger::testing
