// What the app reads: replies as mongod words and orders them, and commands it would refuse.
#include <gtest/gtest.h>

#include "proxy/capture/capture_testing.h"
#include "proxy/capture/reply.h"
#include "proxy/mongo/user_digest.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;
using testing::by_id;
using testing::doc;
using testing::op;
using testing::run_of;
using testing::send;
using testing::update_statement;

// The code parse_write refuses an insert with, 0 when it takes it.
int code_of(const testing::Fill& extra) {
  const std::string body = doc([&](Writer& w) {
    w.string("insert", "items").open_array("documents").document("0", Document(by_id(1))).close();
    w.string("$db", "shop");
    extra(w);
  });
  const std::string message = wire::build_op_msg(1, 0, 0, Document(body));
  const auto parsed = wire::parse_op_msg(message);
  const auto command = parse_write(*parsed, CommandKind::kInsert);
  return command ? 0 : command.error().code;
}

std::string answer(const testing::Sent& sent, const std::string& store_reply) {
  ReplyBuilder reply(sent.command);
  const Run run = run_of(sent.command);
  reply.add(run, read_run_reply(sent.command.kind, Document(store_reply)));
  return bson::to_json(Document(reply.finish()));
}

TEST(Sessions, WhatCannotBeCarriedOverIsRefused) {
  const auto lsid = [](Writer& w, size_t bytes) {
    w.open_document("lsid").binary("id", 4, std::string(bytes, 'x')).close();
  };
  EXPECT_EQ(code_of([&](Writer& w) { lsid(w, 16); }), 0);
  EXPECT_NE(code_of([&](Writer& w) { lsid(w, 3); }), 0);
  EXPECT_NE(code_of([](Writer& w) { w.string("lsid", "x"); }), 0);
  EXPECT_NE(code_of([](Writer& w) { w.int64("txnNumber", 1); }), 0);
  EXPECT_NE(code_of([&](Writer& w) {
              lsid(w, 16);
              w.int32("txnNumber", 1);
            }),
            0);
  EXPECT_NE(code_of([](Writer& w) { w.int32("writeConcern", 1); }), 0);
}

TEST(Sessions, StatementIdsAreOneForEach) {
  EXPECT_EQ(code_of([](Writer& w) { w.open_array("stmtIds").int32("0", 4).close(); }), 0);
  EXPECT_NE(code_of([](Writer& w) { w.open_array("stmtIds").int32("0", 4).int32("1", 5).close(); }),
            0);
}

TEST(Answers, AWriteConcernErrorCitesWhatTheAppAskedFor) {
  const auto sent = send(CommandKind::kInsert, {by_id(1)},
                         [](Writer& w) { w.open_document("writeConcern").int32("w", 2).close(); });
  const std::string store_reply = doc([](Writer& w) {
    w.int32("n", 1).open_document("writeConcernError").int32("code", 64).open_document("errInfo");
    w.open_document("writeConcern").int32("w", 2).boolean("j", true).int32("wtimeout", 0);
    w.close().close().close().real("ok", 1.0);
  });
  const std::string said = answer(*sent, store_reply);
  EXPECT_NE(said.find(R"({"w": 2, "wtimeout": 0})"), std::string::npos) << said;
}

TEST(Answers, WithoutAcknowledgementNothingIsCounted) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "a", 1))},
                         [](Writer& w) { w.open_document("writeConcern").int32("w", 0).close(); });
  const std::string store_reply =
      doc([](Writer& w) { w.int32("n", 1).int32("nModified", 1).real("ok", 1.0); });
  EXPECT_EQ(answer(*sent, store_reply), R"({"n": 0, "nModified": 0, "ok": 1.0})");
}

TEST(Answers, RetriedStatementsStandInFrontOfWhatWasUpserted) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "a", 1))});
  const std::string store_reply = doc([](Writer& w) {
    w.int32("n", 1).open_array("retriedStmtIds").int32("0", 0).close();
    w.open_array("upserted").open_document("0").int32("index", 0).int32("_id", 1).close().close();
    w.int32("nModified", 0).real("ok", 1.0);
  });
  EXPECT_EQ(answer(*sent, store_reply), bson::to_json(Document(store_reply)));
}

TEST(Runs, AFindAndModifyWithoutAQueryIsNarrowedAllTheSame) {
  const std::string body = doc([](Writer& w) {
    w.string("findAndModify", "items").document("update", Document(op("$set", "a", 1)));
    w.string("$db", "shop");
  });
  const std::string message = wire::build_op_msg(1, 0, 0, Document(body));
  const auto parsed = wire::parse_op_msg(message);
  const auto command = parse_write(*parsed, CommandKind::kFindAndModify);
  ASSERT_TRUE(command);
  auto run = run_of(*command);
  run.items.front().filter = by_id(1);
  const std::string sent = build_run_message(run, {}, 1);
  const auto read = wire::parse_op_msg(sent);
  ASSERT_TRUE(read);
  const auto query = read->body.find("query");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->bytes, by_id(1));
}

TEST(Runs, TheDocumentsOfOneStatementStopAtTheFirstError) {
  const std::string statement = doc([](Writer& w) {
    w.document("q", Document(doc())).document("u", Document(op("$inc", "a", 1)));
    w.boolean("multi", true);
  });
  const auto sent =
      send(CommandKind::kUpdate, {statement}, [](Writer& w) { w.boolean("ordered", false); });
  auto run = run_of(sent->command);
  EXPECT_FALSE(run.stops_at_error());  // by its _id: others may follow in the run
  run.items.push_back(run.items.front());
  EXPECT_TRUE(run.stops_at_error());
  const std::string message = build_run_message(run, {}, 1);
  const auto read = wire::parse_op_msg(message);
  EXPECT_FALSE(read->body.has("ordered"));
}

TEST(Runs, AreAnsweredAsAskedOrOnceJournaled) {
  const auto sent =
      send(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "a", 1))}, [](Writer& w) {
        w.open_document("writeConcern").string("w", "majority").boolean("j", false).close();
      });
  const auto concern = [&](RunConcern asked) {
    auto run = run_of(sent->command);
    run.concern = asked;
    const std::string message = build_run_message(run, {}, 1);
    return bson::to_json(wire::parse_op_msg(message)->body.find("writeConcern")->as_document());
  };
  EXPECT_EQ(concern(RunConcern::kAsAsked), R"({"w": "majority", "j": false})");
  EXPECT_EQ(concern(RunConcern::kJournaled), R"({"w": "majority", "j": true})");
}

TEST(Runs, OnASetTheJournalIsWaitedForUnlessTheAppCountsMembers) {
  const auto concern = [](const testing::Fill& fill, FoundAgain found = FoundAgain::kJournaled) {
    const auto sent = send(CommandKind::kInsert, {by_id(1)}, [&](Writer& w) {
      w.open_document("writeConcern");
      fill(w);
      w.close();
    });
    return concern_of(sent->command, found);
  };
  const auto none = send(CommandKind::kInsert, {by_id(1)});
  EXPECT_EQ(concern_of(none->command, FoundAgain::kJournaled), RunConcern::kJournaled);
  EXPECT_EQ(concern_of(none->command, FoundAgain::kNever), RunConcern::kAsAsked);
  const auto majority = [](Writer& w) { w.string("w", "majority"); };
  EXPECT_EQ(concern(majority), RunConcern::kJournaled);
  EXPECT_EQ(concern(majority, FoundAgain::kNever), RunConcern::kAsAsked);
  EXPECT_EQ(concern([](Writer&) {}), RunConcern::kJournaled);
  EXPECT_EQ(concern([](Writer& w) { w.int64("w", 1); }), RunConcern::kAsAsked);
  EXPECT_EQ(concern([](Writer& w) { w.int32("w", 0); }), RunConcern::kAsAsked);
  EXPECT_EQ(concern([](Writer& w) { w.int64("w", 1).boolean("j", true); }), RunConcern::kJournaled);
}

TEST(Runs, OfSeveralMembersOnlyAMajorityIsSureToBeFoundAgain) {
  const auto concern = [](const testing::Fill& fill) {
    const auto sent = send(CommandKind::kInsert, {by_id(1)}, [&](Writer& w) {
      w.open_document("writeConcern");
      fill(w);
      w.close();
    });
    return concern_of(sent->command, FoundAgain::kByMajority);
  };
  EXPECT_EQ(concern([](Writer& w) { w.string("w", "majority"); }), RunConcern::kJournaled);
  EXPECT_EQ(concern([](Writer& w) { w.int32("w", 1).boolean("j", true); }), RunConcern::kAsAsked);
  EXPECT_EQ(concern([](Writer& w) { w.int32("w", 3); }), RunConcern::kAsAsked);
  EXPECT_EQ(concern([](Writer& w) { w.string("w", "east"); }), RunConcern::kAsAsked);
  EXPECT_EQ(concern([](Writer&) {}), RunConcern::kAsAsked);
  const auto none = send(CommandKind::kInsert, {by_id(1)});
  EXPECT_EQ(concern_of(none->command, FoundAgain::kByMajority), RunConcern::kAsAsked);
}

// The store's message as it is, or what is put together?
Answer::Kind kind_of_answer(const testing::Sent& sent, const Run& run, const std::string& said,
                            const std::function<void(ReplyBuilder&)>& then) {
  ReplyBuilder one(sent.command);
  one.add(run, read_run_reply(sent.command.kind, Document(said)), "the message");
  ReplyBuilder all(sent.command);
  all.absorb(std::move(one));
  if (then) then(all);
  return all.answer().kind;
}

TEST(Answers, TheStoresMessagePassesWhereItAnswersTheWholeCommand) {
  const std::string set = update_statement(by_id(1), op("$set", "a", 1));
  const std::string other = update_statement(by_id(2), op("$set", "a", 1));
  const std::string said = doc([](Writer& w) { w.int32("n", 1).real("ok", 1.0); });
  const auto kind = [&](const testing::Sent& sent, size_t items,
                        const std::function<void(ReplyBuilder&)>& then = nullptr) {
    outrigger::Run run = run_of(sent.command);
    run.items.resize(items);
    return kind_of_answer(sent, run, said, then);
  };
  const auto one = send(CommandKind::kUpdate, {set});
  EXPECT_EQ(kind(*one, 1), Answer::Kind::kMessage);
  EXPECT_EQ(kind(*one, 1, [](ReplyBuilder& all) { all.fail("no"); }), Answer::Kind::kBody);
  const auto two = send(CommandKind::kUpdate, {set, other});
  EXPECT_EQ(kind(*two, 2), Answer::Kind::kMessage);
  EXPECT_EQ(kind(*two, 1), Answer::Kind::kBody);
  const auto unacknowledged = send(CommandKind::kUpdate, {set}, [](Writer& w) {
    w.open_document("writeConcern").int32("w", 0).close();
  });
  EXPECT_EQ(kind(*unacknowledged, 1), Answer::Kind::kBody);
}

TEST(Answers, WhatIsRefusedInOneIsTheStoresOrOurs) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "a", 1))});
  const outrigger::Run run = run_of(sent->command);
  const std::string said = doc([](Writer& w) { w.real("ok", 0).int32("code", 9); });
  const auto is_stores = [&](const std::function<void(ReplyBuilder&)>& then) {
    ReplyBuilder one(sent->command);
    one.add(run, read_run_reply(sent->command.kind, Document(said)), "the message");
    ReplyBuilder next(sent->command);
    then(next);
    one.absorb(std::move(next));
    return one.answer().is_stores;
  };
  EXPECT_TRUE(is_stores([](ReplyBuilder&) {}));
  EXPECT_FALSE(is_stores([](ReplyBuilder& next) { next.fail("no"); }));
  EXPECT_FALSE(is_stores([](ReplyBuilder& next) { next.add_error(0, 112, "no"); }));
  EXPECT_FALSE(Answer::body("no").is_stores);
}

TEST(Answers, WhatWasCountedByDocumentsIsPutTogether) {
  const std::string many = doc([](Writer& w) {
    w.document("q", Document(by_id(1))).open_document("u").open_document("$set").int32("a", 1);
    w.close().close().boolean("multi", true);
  });
  const auto sent = send(CommandKind::kUpdate, {many});
  const std::string said = doc([](Writer& w) { w.int32("n", 1).real("ok", 1.0); });
  outrigger::Run run = run_of(sent->command);
  EXPECT_EQ(kind_of_answer(*sent, run, said, nullptr), Answer::Kind::kBody);
  run.probe = true;  // matched nothing, as the app's own would have
  EXPECT_EQ(kind_of_answer(*sent, run, said, nullptr), Answer::Kind::kMessage);
}

TEST(Answers, OfWhatIsHalfDoneNobodyIsAskedToSendAllAgain) {
  const auto labels_after = [](int32_t n, const testing::Fill& session) {
    const auto sent =
        send(CommandKind::kUpdate, {update_statement(by_id(1), op("$inc", "a", 1))}, session);
    ReplyBuilder reply(sent->command);
    const std::string done =
        doc([&](Writer& w) { w.int32("n", n).int32("nModified", n).real("ok", 1.0); });
    reply.add(run_of(sent->command), read_run_reply(CommandKind::kUpdate, Document(done)));
    reply.fail(wire::overloaded_body("the outbox is full"));
    return Document(reply.finish()).has("errorLabels");
  };
  EXPECT_TRUE(labels_after(0, [](Writer&) {}));
  EXPECT_FALSE(labels_after(1, [](Writer&) {}));
  EXPECT_TRUE(labels_after(1, [](Writer& w) {
    w.open_document("lsid").binary("id", 4, std::string(16, 'x')).close().int64("txnNumber", 1);
  }));
}

TEST(Answers, OnlyTheStoreKnowsTheDocumentOfAFindAndModifyThatWasSettledAfterACrash) {
  WriteCommand command;
  command.kind = CommandKind::kFindAndModify;
  command.statements.emplace_back();
  ReplyBuilder reply(command);
  const std::string counted = doc([](Writer& w) { w.int64("n", 1).int64("nModified", 1); });
  EXPECT_FALSE(reply.add_remembered(Document(counted), 0));
  const std::string whole = doc([](Writer& w) { w.open_document("reply").real("ok", 1).close(); });
  EXPECT_TRUE(reply.add_remembered(Document(whole), 0));
}

TEST(Answers, AConcernThatAnElectionCutShortMayBeAskedForAgainByItsNumber) {
  const std::string said = doc([](Writer& w) {
    w.int32("n", 1).int32("nModified", 1).open_document("writeConcernError").int32("code", 11602);
    w.close().open_array("errorLabels").string("0", "RetryableWriteError").close().real("ok", 1);
  });
  const auto has_labels = [&](const testing::Fill& session) {
    const auto sent =
        send(CommandKind::kUpdate, {update_statement(by_id(1), op("$inc", "a", 1))}, session);
    ReplyBuilder part(sent->command);
    part.add(run_of(sent->command), read_run_reply(CommandKind::kUpdate, Document(said)));
    ReplyBuilder reply(sent->command);
    reply.absorb(std::move(part));
    return Document(reply.finish()).has("errorLabels");
  };
  EXPECT_TRUE(has_labels([](Writer& w) {
    w.open_document("lsid").binary("id", 4, std::string(16, 'x')).close().int64("txnNumber", 1);
  }));
  EXPECT_FALSE(has_labels([](Writer&) {})) << "it was said of the sidecar's own number";
}

TEST(Answers, ThatAFailedCommandMayBeSentAgainIsToldToWhoNumberedIt) {
  const std::string said = doc([](Writer& w) {
    w.open_array("errorLabels").string("0", "RetryableWriteError").string("1", "Other").close();
    w.real("ok", 0).int32("code", 91);
  });
  const auto labels = [&](const testing::Fill& session) {
    const auto sent =
        send(CommandKind::kUpdate, {update_statement(by_id(1), op("$inc", "a", 1))}, session);
    ReplyBuilder reply(sent->command);
    reply.add(run_of(sent->command), read_run_reply(CommandKind::kUpdate, Document(said)));
    const std::string answer = reply.finish();
    return bson::to_json(Document(answer).find("errorLabels")->as_document());
  };
  EXPECT_EQ(labels([](Writer& w) {
              w.open_document("lsid").binary("id", 4, std::string(16, 'x')).close();
              w.int64("txnNumber", 1);
            }),
            R"({"0": "RetryableWriteError", "1": "Other"})");
  EXPECT_EQ(labels([](Writer&) {}), R"({"0": "Other"})") << "of the sidecar's own number";
}

TEST(Answers, AFindAndModifyThatIsAskedForAgainHearsOfTheConcernAsItStandsThen) {
  WriteCommand command;
  command.kind = CommandKind::kFindAndModify;
  command.statements.emplace_back();
  const std::string said = doc([](Writer& w) {
    w.open_document("value").int32("_id", 1).close();
    w.open_document("lastErrorObject").int32("n", 1).close();
    w.open_document("writeConcernError").int32("code", 91).close().real("ok", 1);
    w.open_array("errorLabels").string("0", "RetryableWriteError").close();
  });
  const std::string known =
      remember(run_of(command), read_run_reply(CommandKind::kFindAndModify, Document(said)), 0);
  const auto told_again = [&](const std::string& now) {
    ReplyBuilder reply(command);
    reply.add_tail(read_run_reply(CommandKind::kUpdate, Document(now)));
    EXPECT_TRUE(reply.add_remembered(Document(known), 0));
    const std::string answer = reply.finish();
    EXPECT_FALSE(Document(answer).has("errorLabels"));
    return Document(answer).has("writeConcernError");
  };
  EXPECT_FALSE(told_again(doc([](Writer& w) { w.real("ok", 1); })));
  EXPECT_TRUE(told_again(doc([](Writer& w) {
    w.open_document("writeConcernError").int32("code", 64).close().real("ok", 1);
  })));
}

TEST(Answers, OfSeveralUpsertsItIsRememberedWhichInserted) {
  const auto upsert = [](int32_t id) {
    return update_statement(by_id(id), op("$set", "a", 1), true);
  };
  const auto sent = send(CommandKind::kUpdate, {upsert(1), upsert(2), upsert(3)});
  const std::string said = doc([](Writer& w) {
    w.int32("n", 3).int32("nModified", 1).open_array("upserted");
    w.open_document("0").int32("index", 0).int32("_id", 1).close();
    w.open_document("1").int32("index", 2).int32("_id", 3).close().close().real("ok", 1);
  });
  const std::string known =
      remember(run_of(sent->command), read_run_reply(CommandKind::kUpdate, Document(said)), 0);
  ReplyBuilder reply(sent->command);
  EXPECT_TRUE(reply.add_remembered(Document(known), 0));
  const std::string again = reply.finish();
  const std::string told = bson::to_json(*Document(again).find("upserted"));
  EXPECT_EQ(told, R"([{"index": 0, "_id": 1}, {"index": 2, "_id": 3}])");
  // The first was refused.
  const std::string later =
      remember(run_of(sent->command), read_run_reply(CommandKind::kUpdate, Document(said)), 1);
  ReplyBuilder second(sent->command);
  EXPECT_TRUE(second.add_remembered(Document(later), 1));
  const std::string rest = second.finish();
  EXPECT_EQ(bson::to_json(*Document(rest).find("upserted")), R"([{"index": 2, "_id": 3}])");
}

TEST(UserDigest, IsTheOneMongodKeepsSessionsApartBy) {
  const auto hex_of = [](const std::string& status) {
    std::string out;
    for (const char byte : digest_of_user(Document(status)).substr(0, 8)) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      out += kDigits[static_cast<uint8_t>(byte) >> 4];
      out += kDigits[static_cast<uint8_t>(byte) & 15];
    }
    return out;
  };
  const std::string nobody = doc([](Writer& w) {
    w.open_document("authInfo").open_array("authenticatedUsers").close().close();
  });
  const std::string ada = doc([](Writer& w) {
    w.open_document("authInfo").open_array("authenticatedUsers").open_document("0");
    w.string("user", "ada").string("db", "admin").close().close().close();
  });
  EXPECT_EQ(hex_of(nobody), "e3b0c44298fc1c14");
  EXPECT_EQ(hex_of(ada), "e62f458370562a14");
}

}  // namespace
}  // namespace outrigger
