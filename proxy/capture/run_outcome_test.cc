// What mongod ran for an earlier attempt of the driver, and the replies that say so.
#include <gtest/gtest.h>

#include "proxy/capture/capture_testing.h"
#include "proxy/capture/reply.h"

namespace outrigger::testing {
namespace {

using bson::Document;
using bson::Writer;

std::string reply_body(int32_t n, std::initializer_list<int32_t> retried) {
  return doc([&](Writer& w) {
    w.int32("n", n).int32("nModified", n).open_array("retriedStmtIds");
    size_t at = 0;
    for (const int32_t id : retried) w.int32(bson::index_name(at++), id);
    w.close().real("ok", 1.0);
  });
}

std::vector<DocumentChange> changes(const Run& run, const std::string& reply, const Images& after) {
  return changes_of_run(run, read_run_reply(run.command->kind, bson::Document(reply)), {}, after,
                        true);
}

std::string counted(int32_t n) {
  return doc([&](Writer& w) { w.int32("_id", 1).int32("n", n); });
}

// The documents of one statement, each found by its filter, which goes out with each of them.
outrigger::Run run_with_filters(const WriteCommand& command) {
  outrigger::Run run = run_of(command);
  for (RunItem& item : run.items) item.narrows_further = true;
  return run;
}

std::string with_state(int32_t id, int32_t state) {
  return doc([&](Writer& w) { w.int32("_id", id).int32("state", state); });
}

std::string delete_statement(int32_t id) {
  return doc([&](Writer& w) { w.document("q", Document(by_id(id))).int32("limit", 1); });
}

TEST(Missed, OnlyDocumentsThatAreGoneAreRecordedAsDeleted) {
  const auto sent = send(CommandKind::kDelete, {delete_statement(1), delete_statement(2)});
  const outrigger::Run run = run_with_filters(sent->command);
  EXPECT_TRUE(needs_unplanned_after_images(
      run, read_run_reply(CommandKind::kDelete, Document(reply_body(1, {})))));
  const auto deleted = changes(run, reply_body(1, {}), {{key_of(2), with_state(2, 5)}});
  ASSERT_EQ(deleted.size(), 1u);
  EXPECT_EQ(deleted[0].id, bson::make_int32(1));
}

TEST(Deleted, WhereUpdatesWinWithTheDocumentAsItWas) {
  const auto sent = send(CommandKind::kDelete, {delete_statement(1), delete_statement(2)});
  ReplicateRule rule;
  rule.deletes = DeletePolicy::kUpdateWins;
  outrigger::Run run = run_of(sent->command);
  run.rules = MergeRules(rule);
  run.items[0].was = with_state(1, 5);
  const auto deleted = changes(run, reply_body(1, {}), {});
  ASSERT_EQ(deleted.size(), 1u);  // the other one was not there
  EXPECT_EQ(deleted[0].id, bson::make_int32(1));
  EXPECT_EQ(deleted[0].removal, Removal::kUpdateWins);
  EXPECT_EQ(deleted[0].document, with_state(1, 5));
  const Prepare prepare = build_prepare(run, {});
  ASSERT_EQ(prepare.documents.size(), 2u);
  EXPECT_EQ(prepare.documents[0].removal, Removal::kUpdateWins);
  EXPECT_EQ(prepare.documents[0].document, with_state(1, 5));
  EXPECT_EQ(prepare.documents[1].what, PreparedDocument::What::kUpdate);  // of nothing
  EXPECT_TRUE(prepare.documents[1].paths.empty() && !prepare.documents[1].whole);
}

TEST(Missed, WhatCanBeNoIdIsNotRecordedAsDeleted) {
  const auto sent = send(CommandKind::kDelete, {delete_statement(1), delete_statement(2)});
  outrigger::Run run = run_of(sent->command);
  run.items[1].id = bson::make_document(doc([](Writer& w) { w.int32("$a", 1); }));
  const auto deleted = changes(run, reply_body(1, {}), {});
  ASSERT_EQ(deleted.size(), 1u);
  EXPECT_EQ(deleted[0].id, bson::make_int32(1));
}

TEST(Missed, NothingIsAskedWhenAllMatchedOrNone) {
  const auto sent = send(CommandKind::kDelete, {delete_statement(1), delete_statement(2)});
  const outrigger::Run run = run_with_filters(sent->command);
  for (const int32_t n : {0, 2}) {
    const std::string body = reply_body(n, {});
    EXPECT_FALSE(
        needs_unplanned_after_images(run, read_run_reply(CommandKind::kDelete, Document(body))));
    EXPECT_EQ(changes(run, body, {}).size(), static_cast<size_t>(n));
  }
}

TEST(Missed, AnAssignmentIsRecordedOnlyWhereItStands) {
  const auto sent =
      send(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "state", 1)),
                                  update_statement(by_id(2), op("$set", "state", 1))});
  const outrigger::Run run = run_with_filters(sent->command);
  EXPECT_TRUE(needs_unplanned_after_images(
      run, read_run_reply(CommandKind::kUpdate, Document(reply_body(1, {})))));
  const auto assigned = changes(run, reply_body(1, {}),
                                {{key_of(1), with_state(1, 1)}, {key_of(2), with_state(2, 5)}});
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(assigned[0].id, bson::make_int32(1));
}

TEST(Missed, WhereNobodyCanTellWhatIsThereIsRecorded) {
  const auto sent =
      send(CommandKind::kUpdate, {update_statement(by_id(1), op("$inc", "state", 1)),
                                  update_statement(by_id(2), op("$inc", "state", 1))});
  const auto found = changes(run_with_filters(sent->command), reply_body(1, {}),
                             {{key_of(1), with_state(1, 1)}, {key_of(2), with_state(2, 5)}});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1].changes[0].kind, Operation::kAssign);
  EXPECT_EQ(found[1].changes[0].value, bson::make_int32(5));
}

TEST(Retried, AnIncrementIsRecordedOnceOnly) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$inc", "n", 5))});
  outrigger::Run run = run_of(sent->command);
  // Without a record of the first attempt: what is there now, never the increment again.
  const auto adopted = changes(run, reply_body(1, {0}), {{key_of(1), counted(7)}});
  ASSERT_EQ(adopted.size(), 1u);
  EXPECT_EQ(adopted[0].changes[0].kind, Operation::kAssign);
  EXPECT_EQ(adopted[0].changes[0].value, bson::make_int32(7));
  run.items[0].recorded = true;
  EXPECT_TRUE(changes(run, reply_body(1, {0}), {{key_of(1), counted(7)}}).empty());
}

std::string with_list(const std::vector<int32_t>& items) {
  return doc([&](Writer& w) {
    w.int32("_id", 1).open_array("l");
    size_t at = 0;
    for (const int32_t item : items) w.int32(bson::index_name(at++), item);
    w.close();
  });
}

// What a statement with this update did to `l`.
PathChange edited(const std::string& update, const Images& before, const Images& after) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), update)});
  const outrigger::Run run = run_of(sent->command);
  const std::string reply = reply_body(1, {});
  const auto found = changes_of_run(run, read_run_reply(CommandKind::kUpdate, Document(reply)),
                                    before, after, true);
  return found.at(0).changes.at(0);
}

TEST(Edited, APushTellsWhatWasThereBefore) {
  const PathChange push = edited(op("$push", "l", 3), {}, {{key_of(1), with_list({1, 2, 3})}});
  EXPECT_EQ(push.kind, Operation::kEdit);
  const std::string before = with_list({1, 2});
  EXPECT_EQ(push.base->view(), *Document(before).find("l"));
}

TEST(Edited, AFirstPushTellsWhetherThereWasAnArrayIfTheImageDoes) {
  const Images after{{key_of(1), with_list({3})}};
  const PathChange unseen = edited(op("$push", "l", 3), {}, after);
  EXPECT_TRUE(unseen.base_may_be_missing);
  EXPECT_TRUE(unseen.base->view().as_document().empty());
  const PathChange empty = edited(op("$push", "l", 3), {{key_of(1), with_list({})}}, after);
  EXPECT_FALSE(empty.base_may_be_missing);
  EXPECT_TRUE(empty.base.has_value());
  const PathChange missing = edited(op("$push", "l", 3), {{key_of(1), by_id(1)}}, after);
  EXPECT_FALSE(missing.base_may_be_missing);
  EXPECT_TRUE(missing.base_known);
  EXPECT_FALSE(missing.base.has_value());
}

TEST(Edited, WhatIsPulledIsToldByTheDocumentBefore) {
  const Images after{{key_of(1), with_list({2})}};
  const std::string before = with_list({1, 2, 1});
  const PathChange pull = edited(op("$pull", "l", 1), {{key_of(1), before}}, after);
  EXPECT_EQ(pull.kind, Operation::kEdit);
  EXPECT_EQ(pull.edit, ArrayEdit::kMoves);
  EXPECT_EQ(pull.base->view(), *Document(before).find("l"));
  EXPECT_EQ(edited(op("$pull", "l", 1), {}, after).kind, Operation::kAssign);
  EXPECT_EQ(edited(op("$addToSet", "l", 2), {{key_of(1), before}}, after).edit,
            ArrayEdit::kAddsSet);
  EXPECT_EQ(edited(op("$set", "l.0", 2), {{key_of(1), before}}, after).edit, ArrayEdit::kInPlace);
}

// What an update did to `c.7`, where `c` is a document.
PathChange done_to_a_number_of(const std::string& update, const Fill& before, const Fill& after) {
  const auto document = [](const Fill& fill) {
    return doc([&](Writer& w) {
      w.int32("_id", 1).open_document("c");
      if (fill) fill(w);
      w.close();
    });
  };
  return edited(update, {{key_of(1), document(before)}}, {{key_of(1), document(after)}});
}

TEST(Edited, ANameOfDigitsIsAFieldsWhereNoArrayIsOnTheWay) {
  const auto number = [](int32_t n) { return [n](Writer& w) { w.int32("7", n); }; };
  const PathChange more = done_to_a_number_of(op("$inc", "c.7", 2), number(3), number(5));
  EXPECT_EQ(more.kind, Operation::kIncrement);
  EXPECT_EQ(more.value, bson::make_int32(2));
  EXPECT_EQ(more.base, bson::make_int32(3));
  const PathChange first = done_to_a_number_of(op("$inc", "c.7", 2), nullptr, number(2));
  EXPECT_EQ(first.kind, Operation::kIncrement);
  EXPECT_TRUE(first.base_known && !first.base);
  const auto list = [](int32_t n) {
    return [n](Writer& w) { w.open_array("7").int32("0", n).close(); };
  };
  EXPECT_EQ(done_to_a_number_of(op("$set", "c.7", 2), list(1), number(2)).kind, Operation::kAssign);
  EXPECT_EQ(done_to_a_number_of(op("$addToSet", "c.7", 1), nullptr, list(1)).edit,
            ArrayEdit::kAddsSet);
  EXPECT_EQ(done_to_a_number_of(op("$push", "c.7", 1), nullptr, list(1)).edit, ArrayEdit::kMoves);
}

TEST(Edited, APrepareTellsAnIncrementOfANameOfDigits) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$inc", "c.7", 2))});
  const Prepare prepare = build_prepare(run_of(sent->command), RunSession());
  const PreparedPath& counted = prepare.documents.at(0).paths.at(0);
  EXPECT_EQ(counted.kind, Operation::kIncrement);
  EXPECT_EQ(counted.value, bson::make_int32(2));
}

TEST(Edited, ANameOfDigitsIsAPositionWhereAnArrayIsOnTheWay) {
  const Images before{{key_of(1), with_list({1, 2})}};
  const PathChange more = edited(op("$inc", "l.0", 4), before, {{key_of(1), with_list({5, 2})}});
  EXPECT_EQ(more.kind, Operation::kEdit);
  EXPECT_EQ(more.edit, ArrayEdit::kInPlace);
  EXPECT_EQ(more.path, Path{"l"});
}

std::string with_items(int32_t first, int32_t second) {
  return doc([&](Writer& w) {
    w.int32("_id", 1).open_array("l");
    w.open_document("0").int32("n", first).close();
    w.open_document("1").int32("n", second).close().close();
  });
}

// What one operator named in the elements of `l`.
ElementPart named_by(const std::string& update) {
  const Images before{{key_of(1), with_items(1, 2)}};
  const PathChange change = edited(update, before, {{key_of(1), with_items(1, 5)}});
  EXPECT_EQ(change.parts.size(), 1u);
  return change.parts.at(0);
}

TEST(Edited, WhatIsNamedInElementsIsTold) {
  const bson::OwnedValue three = bson::make_int32(3);
  EXPECT_EQ(named_by(op("$inc", "l.1.n", 3)), (ElementPart{1, {"n"}, three}));
  EXPECT_EQ(named_by(op("$inc", "l.$.n", 3)), (ElementPart{std::nullopt, {"n"}, three}));
  EXPECT_EQ(named_by(op("$set", "l.$[x].n", 5)), (ElementPart{std::nullopt, {"n"}, {}}));
  EXPECT_EQ(named_by(op("$set", "l.1", 5)), (ElementPart{1, {}, {}}));
  EXPECT_EQ(named_by(op("$unset", "l.1.a.b", 1)), (ElementPart{1, {"a", "b"}, {}}));
  EXPECT_EQ(named_by(op("$inc", "l.1.a.$[].n", 3)), (ElementPart{1, {"a"}, {}}));
  EXPECT_EQ(named_by(op("$push", "l.1.a", 3)), (ElementPart{1, {"a"}, {}}));
}

TEST(Edited, AFieldThatCannotBeInAnArrayIsNotTakenFromIt) {
  const std::string update = op("$unset", "l.x", 1);
  const auto shape = read_update_shape({bson::Type::kDocument, update}, false);
  const std::string now = with_list({1});
  EXPECT_TRUE(changes_from_image(shape, Document(now), Document(now)).empty());
}

TEST(Edited, APullFromNoArrayTakesNoneAway) {
  const std::string update = doc([](Writer& w) {
    w.open_document("$pull").int32("l", 1).close().open_document("$mul").int32("n", 2).close();
  });
  const auto shape = read_update_shape({bson::Type::kDocument, update}, false);
  const std::string now = by_id(1);
  const auto touched = [&](const std::optional<Document>& before) {
    return changes_from_image(shape, Document(now), before).size();
  };
  EXPECT_EQ(touched(std::nullopt), 2u);
  EXPECT_EQ(touched(Document(now)), 1u);
  const std::string before = with_list({1});
  EXPECT_EQ(touched(Document(before)), 2u);
}

TEST(Edited, APipelineTellsWhatBecameOfItsArrays) {
  const std::string before = with_list({1, 2});
  const std::string after = with_list({1, 2, 3});
  const auto found = changes_from_diff(Document(before), Document(after));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].kind, Operation::kEdit);
  EXPECT_EQ(found[0].edit, ArrayEdit::kComputed);
  EXPECT_EQ(found[0].base->view(), *Document(before).find("l"));
}

TEST(Edited, OnlyWhatTheRequestDoesNotTellAsksForTheDocumentBefore) {
  const auto asks = [](const std::string& update) {
    return read_update_shape({bson::Type::kDocument, update}, false).edits_unknown();
  };
  EXPECT_FALSE(asks(op("$push", "l", 1)));
  EXPECT_FALSE(asks(op("$mul", "n", 2)));
  for (const char* name : {"$addToSet", "$pull", "$pop"}) EXPECT_TRUE(asks(op(name, "l", 1)));
  for (const char* path : {"l.0", "l.$", "l.$[].x"}) EXPECT_TRUE(asks(op("$set", path, 1)));
  const auto pushing = [](const Fill& modifiers) {
    return doc([&](Writer& w) {
      w.open_document("$push").open_document("l").open_array("$each").int32("0", 1).close();
      modifiers(w);
      w.close().close();
    });
  };
  EXPECT_FALSE(asks(pushing([](Writer&) {})));
  EXPECT_TRUE(asks(pushing([](Writer& w) { w.int32("$position", 0); })));
  EXPECT_TRUE(asks(pushing([](Writer& w) { w.int32("$slice", -3); })));
}

TEST(Retried, AnInsertWithoutARecordTakesTheDocumentAsItIs) {
  const auto sent = send(CommandKind::kInsert, {by_id(1), by_id(2), by_id(3)});
  const auto adopted =
      changes(run_of(sent->command), reply_body(3, {0, 1}), {{key_of(1), counted(7)}});
  ASSERT_EQ(adopted.size(), 3u);
  EXPECT_EQ(adopted[0].kind, DocumentChange::Kind::kReplace);
  EXPECT_EQ(adopted[0].document, counted(7));
  EXPECT_EQ(adopted[1].kind, DocumentChange::Kind::kRemove);
  EXPECT_EQ(adopted[2].kind, DocumentChange::Kind::kInsert);
}

TEST(Retries, OnlyWhatChangedSomethingIsRemembered) {
  const std::string lsid(16, 'l');
  const auto sent = send(CommandKind::kInsert, {by_id(1), by_id(2), by_id(3)}, [&](Writer& w) {
    w.open_document("lsid").binary("id", 4, lsid).close().int64("txnNumber", 7);
  });
  const outrigger::Run run = run_of(sent->command);
  const auto entries = [&](const std::string& body) {
    return retry_entries(run, read_run_reply(CommandKind::kInsert, bson::Document(body)));
  };
  const auto inserted = [](
                            int32_t n, const Fill& extra = [](Writer&) {}) {
    return doc([&](Writer& w) {
      w.int32("n", n);
      extra(w);
      w.real("ok", 1.0);
    });
  };
  const auto error_at_1 = [](Writer& w) {
    w.open_array("writeErrors").open_document("0").int32("index", 1).int32("code", 11000);
    w.close().close();
  };
  EXPECT_EQ(entries(inserted(3)).size(), 3u);
  const auto some = entries(inserted(1, error_at_1));
  ASSERT_EQ(some.size(), 1u);  // ordered: the third was not tried
  EXPECT_EQ(some[0].key, retry_key("shop.items", lsid, 0, 7, 0));
  EXPECT_TRUE(entries(inserted(0)).empty());
}

TEST(InDoubt, AssignmentsAndWholeDocumentsShowWhetherTheyHappened) {
  const auto shows = [](CommandKind kind, const std::vector<std::string>& statements) {
    const auto sent = send(kind, statements);
    return shows_what_it_did(run_of(sent->command));
  };
  const auto replaced_by = [&](const Fill& fill) {
    return shows(CommandKind::kUpdate, {update_statement(by_id(1), doc(fill))});
  };
  const std::string set = update_statement(by_id(1), op("$set", "n", 5));
  EXPECT_TRUE(shows(CommandKind::kUpdate, {set, update_statement(by_id(2), op("$set", "m", 1))}));
  EXPECT_FALSE(shows(CommandKind::kUpdate, {update_statement(by_id(1), op("$unset", "n", 1))}));
  EXPECT_FALSE(replaced_by([](Writer& w) { w.open_document("$set").close(); }));
  EXPECT_FALSE(shows(CommandKind::kUpdate, {set, update_statement(by_id(2), op("$inc", "n", 5))}));
  EXPECT_FALSE(shows(CommandKind::kUpdate, {update_statement(by_id(1), op("$push", "n", 5))}));
  EXPECT_FALSE(shows(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "n", 5), true)}));
  EXPECT_FALSE(shows(CommandKind::kInsert, {by_id(1)}));
  EXPECT_TRUE(replaced_by([](Writer& w) { w.int32("n", 5); }));
  // mongod stores another time than this.
  EXPECT_FALSE(replaced_by([](Writer& w) { w.timestamp("t", 0, 0); }));
}

TEST(InDoubt, AFilterThatSaysMoreShowsNothingUnlessItWasSeenToMatch) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "n", 5))});
  outrigger::Run run = run_of(sent->command);
  run.items.front().narrows_further = true;
  EXPECT_FALSE(shows_what_it_did(run));
  run.items.front().was_found = true;
  EXPECT_TRUE(shows_what_it_did(run));
  run.items.front().opaque = true;
  EXPECT_FALSE(shows_what_it_did(run));
}

TEST(InDoubt, AFindAndModifyShowsWhatItAssignedAndWhatItRemoved) {
  const auto shows = [](const Fill& fill, bool upsert = false) {
    const auto sent = find_and_modify([&](Writer& w) {
      w.document("query", bson::Document(by_id(1)));
      fill(w);
      if (upsert) w.boolean("upsert", true);
    });
    return shows_what_it_did(run_of(sent->command));
  };
  const auto updates_by = [](std::string update) {
    return [update](Writer& w) { w.document("update", bson::Document(update)); };
  };
  EXPECT_TRUE(shows(updates_by(op("$set", "n", 5))));
  EXPECT_FALSE(shows(updates_by(op("$set", "n", 5)), true));
  EXPECT_FALSE(shows(updates_by(op("$inc", "n", 5))));
  EXPECT_TRUE(shows([](Writer& w) { w.boolean("remove", true); }));
}

}  // namespace
}  // namespace outrigger::testing
