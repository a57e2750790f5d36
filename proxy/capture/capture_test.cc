// The pure half of the capture: commands, statements, update shapes, runs, replies, the mask.
#include <gtest/gtest.h>

#include "proxy/capture/capture_testing.h"
#include "proxy/capture/reply.h"
#include "proxy/mongo/commands.h"
#include "proxy/mongo/hello.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;
using testing::by_id;
using testing::doc;
using testing::key_of;
using testing::op;
using testing::run_of;
using testing::send;
using testing::update_statement;
using Form = UpdateShape::Form;

UpdateShape shape_of(const std::string& update, bool array_filters = false) {
  static std::vector<std::unique_ptr<std::string>> kept;  // shapes borrow
  kept.push_back(std::make_unique<std::string>(update));
  return read_update_shape({bson::Type::kDocument, *kept.back()}, array_filters);
}

std::string reply_body(
    int32_t n, int32_t modified, const testing::Fill& extra = [](Writer&) {}) {
  return doc([&](Writer& w) {
    w.int32("n", n);
    extra(w);
    w.int32("nModified", modified).real("ok", 1.0);
  });
}

std::vector<DocumentChange> changes(const Run& run, const std::string& reply,
                                    const Images& before = {}, const Images& after = {},
                                    bool keep_equal = true) {
  return changes_of_run(run, read_run_reply(run.command->kind, Document(reply)), before, after,
                        keep_equal);
}

// ---- commands

TEST(Commands, WritesAreCapturedUnderEverySpelling) {
  EXPECT_EQ(command_info("insert").kind, CommandKind::kInsert);
  EXPECT_EQ(command_info("findandmodify").kind, CommandKind::kFindAndModify);
  EXPECT_EQ(command_info("findAndModify").kind, CommandKind::kFindAndModify);
}

TEST(Commands, WhatMayWriteUncapturedIsRefusedWithAReason) {
  for (const char* name : {"bulkWrite", "applyOps", "convertToCapped", "cloneCollectionAsCapped"}) {
    EXPECT_EQ(command_info(name).kind, CommandKind::kRefused) << name;
    EXPECT_FALSE(command_info(name).why.empty()) << name;
  }
}

TEST(Commands, AnUnlistedNameIsUnknownAndCaseCounts) {
  EXPECT_EQ(command_info("Insert").kind, CommandKind::kUnknown);
  EXPECT_EQ(command_info("godinsert").kind, CommandKind::kUnknown);
  EXPECT_EQ(command_info("").kind, CommandKind::kUnknown);
}

// ---- hello

TEST(Hello, ASetIsShownUnderTheAdvertisedAddressOnly) {
  const std::string reply = doc([](Writer& w) {
    w.open_array("hosts").string("0", "10.0.0.1:27017").close();
    w.string("setName", "rs0").string("me", "10.0.0.1:27017").string("primary", "10.0.0.1:27017");
    w.int32("maxWireVersion", 25).int32("maxMessageSizeBytes", 48'000'000);
    w.open_document("topologyVersion").int64("counter", 6).close();
  });
  const std::string masked = mask_hello_reply(Document(reply), {"shop:27117", {}});
  EXPECT_EQ(bson::to_json(Document(masked)).find("10.0.0.1"), std::string::npos);
  EXPECT_EQ(Document(masked).find("me")->as_string(), "shop:27117");
  EXPECT_TRUE(Document(masked).has("topologyVersion"));
  EXPECT_EQ(Document(masked).find("maxWireVersion")->as_int32(), kWireVersionMax);
  EXPECT_LT(Document(masked).find("maxMessageSizeBytes")->as_int32(), 48'000'000);
}

TEST(Hello, AStandaloneStaysAStandalone) {
  const std::string reply = doc([](Writer& w) { w.boolean("isWritablePrimary", true); });
  const std::string masked = mask_hello_reply(Document(reply), {"shop:27117", {}});
  EXPECT_FALSE(Document(masked).has("setName"));
  EXPECT_FALSE(Document(masked).has("me"));
  EXPECT_FALSE(Document(masked).has("hosts"));
}

// ---- statements

TEST(Statements, ABodyArrayAndASequenceSayTheSame) {
  const std::string body = doc([](Writer& w) {
    w.string("insert", "items").open_array("documents").document("0", Document(by_id(1))).close();
    w.string("$db", "shop");
  });
  const std::string message = wire::build_op_msg(1, 0, 0, Document(body));
  const auto parsed = wire::parse_op_msg(message);
  const auto in_body = parse_write(*parsed, CommandKind::kInsert);
  const auto in_sequence = send(CommandKind::kInsert, {by_id(1)});
  ASSERT_TRUE(in_body);
  EXPECT_EQ(in_body->ns, "shop.items");
  EXPECT_EQ(in_body->statements[0].raw.bytes(), in_sequence->command.statements[0].raw.bytes());
}

TEST(Statements, MalformedCommandsGetMongodsCodes) {
  const auto code_of = [](const testing::Fill& fill, CommandKind kind) {
    const std::string message = wire::build_op_msg(1, 0, 0, Document(doc(fill)));
    const auto parsed = wire::parse_op_msg(message);
    const auto command = parse_write(*parsed, kind);
    return command ? 0 : command.error().code;
  };
  EXPECT_EQ(
      code_of([](Writer& w) { w.string("insert", "x").string("$db", "d"); }, CommandKind::kInsert),
      40414);
  EXPECT_EQ(code_of(
                [](Writer& w) {
                  w.string("insert", "x").open_array("documents").close().string("$db", "d");
                },
                CommandKind::kInsert),
            16);
  EXPECT_EQ(
      code_of([](Writer& w) { w.int32("insert", 1).string("$db", "d"); }, CommandKind::kInsert),
      73);
  EXPECT_EQ(code_of(
                [](Writer& w) {
                  w.string("findAndModify", "x").boolean("remove", true);
                  w.open_document("update").close().string("$db", "d");
                },
                CommandKind::kFindAndModify),
            9);
}

TEST(Statements, RetriesAreNumberedAsTheAppNumbersThem) {
  const auto sent = send(CommandKind::kInsert, {by_id(1), by_id(2)}, [](Writer& w) {
    w.open_array("stmtIds").int32("0", 4).int32("1", 9).close();
  });
  EXPECT_EQ(sent->command.statements[0].stmt_id, 4);
  EXPECT_EQ(sent->command.statements[1].stmt_id, 9);
}

// ---- shapes

TEST(UpdateShape, PlainSetsUnsetsAndIncrementsAreLiteral) {
  EXPECT_EQ(shape_of(op("$set", "a.b", 1)).form, Form::kLiteral);
  EXPECT_EQ(shape_of(op("$unset", "a", 1)).form, Form::kLiteral);
  EXPECT_EQ(shape_of(op("$inc", "a.n", 1)).form, Form::kLiteral);
}

TEST(UpdateShape, PositionsAndResultsNeedTheDocumentAfterwards) {
  for (const char* path : {"a.3", "a.$", "a.$[]", "a.$[x].b"}) {
    EXPECT_EQ(shape_of(op("$set", path, 1)).form, Form::kPostImage) << path;
  }
  for (const char* name : {"$push", "$addToSet", "$pull", "$pop", "$min", "$max", "$mul", "$bit"}) {
    EXPECT_EQ(shape_of(op(name, "a", 1)).form, Form::kPostImage) << name;
  }
  // Whether a nested field that is not there was unset depends on what holds it.
  EXPECT_EQ(shape_of(op("$unset", "a.b", 1)).form, Form::kPostImage);
}

TEST(UpdateShape, AReplacementAndAPipelineAreToldApart) {
  EXPECT_EQ(shape_of(by_id(1)).form, Form::kReplacement);
  EXPECT_EQ(shape_of(doc()).form, Form::kReplacement);
  const std::string stages = doc();
  EXPECT_EQ(read_update_shape({bson::Type::kArray, stages}, false).form, Form::kDiff);
}

TEST(UpdateShape, AnImageGivesTheWholeArrayAndSkipsWhatIsNotThere) {
  UpdateShape shape;
  shape.touched = {{"tags", "3"}, {"gone"}, {"no", "such"}};
  shape.edits[{"tags", "3"}].has_digits = true;
  const std::string after = doc([](Writer& w) { w.open_array("tags").int32("0", 1).close(); });
  const auto found = changes_from_image(shape, Document(after));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].path, Path{"tags"});
  EXPECT_EQ(found[0].value.type, bson::Type::kArray);
  EXPECT_EQ(found[1].kind, Operation::kUnset);
}

TEST(UpdateShape, ADiffNamesTheDeepestFieldsThatChanged) {
  const auto document = [](int32_t x, bool extra) {
    return doc([&](Writer& w) {
      w.open_document("c").int32("x", x).int32("y", 2).close();
      if (extra) w.int32("z", 1);
    });
  };
  const std::string before = document(1, true);
  const std::string after = document(5, false);
  const auto found = changes_from_diff(Document(before), Document(after));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].path, (Path{"c", "x"}));
  EXPECT_EQ(found[1].path, Path{"z"});
  EXPECT_EQ(found[1].kind, Operation::kUnset);
}

// A pipeline may give it another type, and then all of it travels.
TEST(UpdateShape, AnIdIsOneValue) {
  const auto document = [](double k) {
    return doc([&](Writer& w) { w.open_document("_id").real("k", k).close(); });
  };
  const std::string after = document(2);
  UpdateShape shape;
  shape.touched = {{"_id", "k"}};
  const std::string before = document(1);
  for (const auto& found : {changes_from_image(shape, Document(after)),
                            changes_from_diff(Document(before), Document(after))}) {
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].path, Path{"_id"});
    EXPECT_EQ(found[0].value.type, bson::Type::kDocument);
  }
}

// ---- runs

TEST(Runs, TheCommandCarriesTheSessionItIsPreparedUnder) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "a", 1))});
  const outrigger::Run run = run_of(sent->command);
  RunSession session;
  session.lsid[0] = 7;
  session.txn_number = 3;
  const std::string message = build_run_message(run, session, 99);
  const auto parsed = wire::parse_op_msg(message);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->body.find("txnNumber")->as_int64(), 3);
  EXPECT_EQ(build_prepare(run, session).session, session_token({session.lsid, 0, 3, {0}}));
}

TEST(Runs, UnacknowledgedWritesAreSentAcknowledged) {
  const auto sent = send(CommandKind::kInsert, {by_id(1)},
                         [](Writer& w) { w.open_document("writeConcern").int32("w", 0).close(); });
  const std::string message = build_run_message(run_of(sent->command), {}, 1);
  const auto parsed = wire::parse_op_msg(message);
  EXPECT_EQ(parsed->body.find("writeConcern")->as_document().find("w")->as_int32(), 1);
}

TEST(Runs, ThatAreToBeJournaledSayItThemselves) {
  const auto concern_of = [](const testing::Fill& concern) {
    const auto sent = send(CommandKind::kInsert, {by_id(1)}, concern);
    auto run = run_of(sent->command);
    run.concern = RunConcern::kJournaled;
    const std::string message = build_run_message(run, {}, 1);
    const auto parsed = wire::parse_op_msg(message);
    const auto found = parsed->body.find("writeConcern");
    return found ? bson::to_json(found->as_document()) : std::string("none");
  };
  EXPECT_EQ(concern_of([](Writer&) {}), R"({"j": true})");
  EXPECT_EQ(concern_of([](Writer& w) { w.open_document("writeConcern").close(); }),
            R"({"j": true})");
  EXPECT_EQ(concern_of([](Writer& w) {
              w.open_document("writeConcern").int32("w", 1).int32("wtimeout", 5).close();
            }),
            R"({"w": 1, "wtimeout": 5, "j": true})");
  EXPECT_EQ(concern_of(
                [](Writer& w) { w.open_document("writeConcern").string("w", "majority").close(); }),
            R"({"w": "majority", "j": true})");
  EXPECT_EQ(concern_of([](Writer& w) {
              w.open_document("writeConcern").boolean("j", true).int32("w", 1).close();
            }),
            R"({"j": true, "w": 1})");
  EXPECT_EQ(concern_of([](Writer& w) {
              w.open_document("writeConcern").string("w", "majority").boolean("j", false).close();
            }),
            R"({"w": "majority", "j": true})");
}

TEST(Runs, InsertsTheStoreRefusedAreNotChanges) {
  const auto sent = send(CommandKind::kInsert, {by_id(1), by_id(2), by_id(3)},
                         [](Writer& w) { w.boolean("ordered", false); });
  const std::string reply = reply_body(2, 0, [](Writer& w) {
    w.open_array("writeErrors").open_document("0").int32("index", 1).int32("code", 11000);
    w.close().close();
  });
  const auto found = changes(run_of(sent->command), reply);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1].id, bson::make_int32(3));
}

TEST(Runs, AnOrderedRunStopsAtItsFirstError) {
  const auto sent = send(CommandKind::kInsert, {by_id(1), by_id(2), by_id(3)});
  const std::string reply = reply_body(1, 0, [](Writer& w) {
    w.open_array("writeErrors").open_document("0").int32("index", 1).close().close();
  });
  EXPECT_EQ(changes(run_of(sent->command), reply).size(), 1u);
}

TEST(Runs, AnEqualSetIsAWriteUnlessThePolicySaysOtherwise) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "a", 1))});
  const outrigger::Run run = run_of(sent->command);
  EXPECT_EQ(changes(run, reply_body(1, 0)).size(), 1u);
  EXPECT_EQ(changes(run, reply_body(1, 0), {}, {}, false).size(), 0u);
  EXPECT_EQ(changes(run, reply_body(0, 0)).size(), 0u);
}

TEST(Runs, AnIncrementStartsFromTheImageBeforeIt) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$inc", "n", 2))});
  const std::string before = doc([](Writer& w) { w.int32("_id", 1).int32("n", 40); });
  const auto found = changes(run_of(sent->command), reply_body(1, 1), {{key_of(1), before}});
  ASSERT_EQ(found.size(), 1u);
  const PathChange& change = found[0].changes[0];
  EXPECT_EQ(change.kind, Operation::kIncrement);
  EXPECT_EQ(change.value, bson::make_int32(2));
  EXPECT_TRUE(change.base_known);
  EXPECT_EQ(*change.base, bson::make_int32(40));
}

TEST(Runs, AnUpsertThatInsertedIsANewDocument) {
  const auto sent =
      send(CommandKind::kUpdate, {update_statement(by_id(1), op("$inc", "n", 2), true)});
  const std::string reply = reply_body(1, 0, [](Writer& w) {
    w.open_array("upserted").open_document("0").int32("index", 0).int32("_id", 1).close().close();
  });
  const std::string after = doc([](Writer& w) { w.int32("_id", 1).int32("n", 2); });
  const auto found = changes(run_of(sent->command), reply, {}, {{key_of(1), after}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].kind, DocumentChange::Kind::kUpsert);
  ASSERT_EQ(found[0].changes.size(), 1u);
  EXPECT_FALSE(found[0].changes[0].base.has_value());
}

TEST(Runs, WhenSomeDidNotMatchTheImagesTellWhich) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "a", 1)),
                                                update_statement(by_id(2), op("$set", "a", 1))});
  const outrigger::Run run = run_of(sent->command);
  const std::string reply = reply_body(1, 1);
  EXPECT_TRUE(
      needs_unplanned_after_images(run, read_run_reply(CommandKind::kUpdate, Document(reply))));
  const auto found = changes(run, reply, {}, {{key_of(2), by_id(2)}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].id, bson::make_int32(2));
}

TEST(Runs, AnInsertedDocumentGetsItsIdInFront) {
  bool changed = false;
  const std::string without = doc([](Writer& w) { w.int32("a", 1); });
  const std::string made = complete_insert(Document(without), "abcdefghijkl", 5, 1, &changed);
  EXPECT_TRUE(changed);
  EXPECT_EQ(Document(made).first()->name, "_id");
  const std::string given = by_id(1);
  EXPECT_EQ(complete_insert(Document(given), "abcdefghijkl", 5, 1, &changed), given);
  EXPECT_FALSE(changed);
}

// ---- replies

TEST(Replies, SeveralRunsAddUpInTheAppsOwnIndexes) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "a", 1)),
                                                update_statement(by_id(2), op("$set", "a", 1))});
  ReplyBuilder builder(sent->command);
  outrigger::Run all = run_of(sent->command);
  outrigger::Run second = all;
  second.items.erase(second.items.begin());
  outrigger::Run first = all;
  first.items.pop_back();
  const std::string ok = reply_body(1, 1);
  const std::string error = reply_body(0, 0, [](Writer& w) {
    w.open_array("writeErrors").open_document("0").int32("index", 0).int32("code", 9);
    w.close().close();
  });
  builder.add(first, read_run_reply(CommandKind::kUpdate, Document(ok)));
  builder.add(second, read_run_reply(CommandKind::kUpdate, Document(error)));
  const std::string body = builder.finish();
  EXPECT_EQ(Document(body).find("n")->as_int32(), 1);
  const auto errors = Document(body).find("writeErrors")->as_document();
  EXPECT_EQ(errors.first()->value.as_document().find("index")->as_int32(), 1);
}

TEST(Replies, ARememberedRunAnswersARetryAlike) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "a", 1))});
  const outrigger::Run run = run_of(sent->command);
  const std::string ok = reply_body(1, 1);
  const std::string kept = remember(run, read_run_reply(CommandKind::kUpdate, Document(ok)), 0);
  ReplyBuilder builder(sent->command);
  EXPECT_TRUE(builder.add_remembered(Document(kept), 0));
  const std::string body = builder.finish();
  EXPECT_EQ(Document(body).find("n")->as_int32(), 1);
  EXPECT_EQ(Document(body).find("nModified")->as_int32(), 1);
  EXPECT_TRUE(Document(body).find("ok")->truthy());
}

}  // namespace
}  // namespace outrigger
