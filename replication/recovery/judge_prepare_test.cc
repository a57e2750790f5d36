// Single prepares in doubt: what the oplog or the store says they did.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/recovery/recovery.h"
#include "replication/store/session_token.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::ElementsAre;

class JudgePrepare : public ::testing::Test {
 protected:
  JudgePrepare() {
    bson::Writer writer;
    writer.int32("_id", 1).int32("a", 1).open_array("list").int32("0", 4).close();
    store_.put(kTestNs, writer.finish());
    prepare_.session = numbered(7);
    PreparedDocument& document = prepare_.documents.emplace_back();
    document.ns = kTestNs;
    document.id = number(1);
    document.whole = true;
  }
  static std::string numbered(int64_t txn_number) {
    SessionKey key;
    key.lsid.fill('s');
    key.txn_number = txn_number;
    key.stmt_ids = {0};
    return session_token(key);
  }
  OplogWrite update(const std::function<void(bson::Writer&)>& diff) {
    OplogWrite entry;
    entry.ns = kTestNs;
    entry.id = number(1);
    entry.lsid_id = std::string(16, 's');
    entry.txn_number = 7;
    entry.stmt_ids = {0};
    bson::Writer writer;
    writer.int32("$v", 2).open_document("diff");
    diff(writer);
    entry.o = writer.close().finish();
    return entry;
  }

  MemoryStore store_;
  Prepare prepare_;
};

TEST_F(JudgePrepare, AnUnknownUpdateTakesItsPathsFromTheOplogAndItsValuesFromTheStore) {
  const std::vector<OplogWrite> oplog{update([](bson::Writer& writer) {
    writer.open_document("u").int32("a", 99).close();
    writer.open_document("slist").boolean("a", true).int32("u0", 4).close();
    writer.open_document("d").boolean("gone", false).close();
  })};
  auto settled = judge_prepare(store_, prepare_, &oplog);
  ASSERT_TRUE(settled.has_value());
  ASSERT_EQ(settled->changes.size(), 1u);
  const auto& changes = settled->changes[0].changes;
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[0].path, Path{"a"});
  EXPECT_EQ(changes[0].value, number(1));
  EXPECT_EQ(changes[1].path, Path{"list"});
  EXPECT_EQ(changes[1].value.type, bson::Type::kArray);
  EXPECT_EQ(changes[2].kind, Operation::kUnset);
}

TEST_F(JudgePrepare, WhatIsToldWholeIsSoWhateverTheOplogSaysOfIt) {
  PreparedDocument& document = prepare_.documents[0];
  document.told_whole = true;
  document.paths = {{Operation::kIncrement, {"a"}, number(1)}};
  const std::vector<OplogWrite> oplog{
      update([](bson::Writer& diff) { diff.open_document("u").int32("a", 1).close(); })};
  for (const bool whole : {true, false}) {
    document.whole = whole;
    const auto settled = judge_prepare(store_, prepare_, &oplog);
    ASSERT_EQ(settled->changes.size(), 1u);
    EXPECT_EQ(settled->changes[0].kind, DocumentChange::Kind::kReplace);
    EXPECT_TRUE(bson::Document(settled->changes[0].document).has("list"));
    EXPECT_TRUE(settled->changes[0].changes.empty());
  }
  document.what = PreparedDocument::What::kUpsert;
  EXPECT_EQ(judge_prepare(store_, prepare_, &oplog)->changes.at(0).kind,
            DocumentChange::Kind::kReplace);
}

TEST_F(JudgePrepare, WhereNoOplogTellsWhatIsToldWholeHappenedIfTheDocumentHasChanged) {
  prepare_.session = numbered(-1);
  PreparedDocument& document = prepare_.documents[0];
  document.told_whole = true;
  document.document = *store_.read(kTestNs, std::span(&document.id, 1))->front();
  EXPECT_EQ(judge_prepare(store_, prepare_, nullptr)->how, SettledPrepare::How::kDropped);
  document.document = bson::Writer().int32("_id", 1).int32("a", 0).finish();
  const auto settled = judge_prepare(store_, prepare_, nullptr);
  ASSERT_EQ(settled->changes.size(), 1u);
  EXPECT_EQ(settled->changes[0].kind, DocumentChange::Kind::kReplace);
}

TEST_F(JudgePrepare, WhatAnUpsertAddedToAContainerThatItMadeIsAddedOnce) {
  bson::Writer writer;
  writer.int32("_id", 1).open_document("sub").int32("n", 3).int32("x", 5).close().int32("y", 1);
  store_.put(kTestNs, writer.finish());
  PreparedDocument& document = prepare_.documents[0];
  document.what = PreparedDocument::What::kUpsert;
  document.paths = {{Operation::kIncrement, {"sub", "n"}, number(3)},
                    {Operation::kAssign, {"sub", "x"}, number(5)},
                    {Operation::kUnknown, {"y"}, {}}};
  const std::vector<OplogWrite> oplog{update([](bson::Writer& diff) {
    diff.open_document("i").open_document("sub").int32("n", 3).int32("x", 5).close().close();
  })};
  const auto settled = judge_prepare(store_, prepare_, &oplog);
  const auto& changes = settled->changes.at(0).changes;
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].path, (Path{"sub", "n"}));
  EXPECT_EQ(changes[0].kind, Operation::kIncrement);
  EXPECT_EQ(changes[1].path, (Path{"sub", "x"}));
  EXPECT_EQ(changes[1].kind, Operation::kAssign);
}

TEST_F(JudgePrepare, EntriesOfOtherStatementsAreNotIts) {
  std::vector<OplogWrite> oplog{update([](bson::Writer&) {})};
  oplog[0].stmt_ids = {3};
  EXPECT_EQ(judge_prepare(store_, prepare_, &oplog)->how, SettledPrepare::How::kDropped);
  oplog[0].stmt_ids = {0};
  oplog[0].txn_number = 6;
  EXPECT_EQ(judge_prepare(store_, prepare_, &oplog)->how, SettledPrepare::How::kDropped);
  oplog[0].txn_number = 7;
  oplog[0].id = bson::make_double(1.0);
  EXPECT_EQ(judge_prepare(store_, prepare_, &oplog)->how, SettledPrepare::How::kHappened);
}

TEST_F(JudgePrepare, AWriteWithoutATransactionNumberIsInDoubtOnAReplicaSetToo) {
  prepare_.session = numbered(-1);
  const std::vector<OplogWrite> oplog;
  auto settled = judge_prepare(store_, prepare_, &oplog);
  EXPECT_EQ(settled->how, SettledPrepare::How::kAdopted);
  EXPECT_EQ(settled->changes[0].kind, DocumentChange::Kind::kReplace);
}

TEST_F(JudgePrepare, AnAssignmentHappenedIfItsDocumentShowsItAndOnlyThen) {
  prepare_.session = numbered(-1);
  PreparedDocument& document = prepare_.documents[0];
  document.whole = false;
  const auto judged = [&] { return judge_prepare(store_, prepare_, nullptr)->how; };
  document.paths = {{Operation::kAssign, {"a"}, number(1)}};
  EXPECT_EQ(judged(), SettledPrepare::How::kHappened);
  document.paths[0].value = number(2);
  EXPECT_EQ(judged(), SettledPrepare::How::kDropped);
  document.paths = {};  // {$set: {}}
  EXPECT_EQ(judged(), SettledPrepare::How::kDropped);
  document.paths = {{Operation::kAssign, {"a"}, number(1)}};
  document.id = number(2);  // no such document
  EXPECT_EQ(judged(), SettledPrepare::How::kDropped);
}

// A removal recorded there would give peers the containers that this store does not have.
TEST_F(JudgePrepare, APathWhoseContainerIsNotThereWasNotTouched) {
  bson::Writer writer;
  store_.put(kTestNs, writer.int32("_id", 1).int32("a", 1).open_document("b").close().finish());
  prepare_.session = numbered(-1);
  prepare_.documents[0].whole = false;
  prepare_.documents[0].paths = {{Operation::kUnknown, {"none", "x"}, {}},
                                 {Operation::kUnknown, {"none", "0", "0"}, {}},
                                 {Operation::kUnknown, {"a", "x"}, {}},
                                 {Operation::kUnknown, {"b", "x"}, {}}};
  const auto settled = judge_prepare(store_, prepare_, nullptr);
  ASSERT_EQ(settled->changes.size(), 1u);
  ASSERT_EQ(settled->changes[0].changes.size(), 1u);
  EXPECT_EQ(settled->changes[0].changes[0].path, (Path{"b", "x"}));
  EXPECT_EQ(settled->changes[0].changes[0].kind, Operation::kUnset);
}

TEST_F(JudgePrepare, ADocumentAsItWasBeforeTellsWhatWasDone) {
  prepare_.session = numbered(-1);
  PreparedDocument& document = prepare_.documents[0];
  const auto was = [](int a, bool has_b) {
    bson::Writer writer;
    writer.int32("_id", 1).int32("a", a);
    if (has_b) writer.int32("b", 1);
    return writer.open_array("list").int32("0", 4).close().finish();
  };
  document.document = was(1, false);
  EXPECT_EQ(judge_prepare(store_, prepare_, nullptr)->how, SettledPrepare::How::kDropped);
  document.document = was(2, true);
  const auto settled = judge_prepare(store_, prepare_, nullptr);
  EXPECT_EQ(settled->how, SettledPrepare::How::kHappened);
  ASSERT_EQ(settled->changes.size(), 1u);
  EXPECT_EQ(settled->changes[0].kind, DocumentChange::Kind::kUpdate);
  ASSERT_EQ(settled->changes[0].changes.size(), 2u);
  EXPECT_EQ(settled->changes[0].changes[0].path, Path{"a"});
  EXPECT_EQ(settled->changes[0].changes[0].value, number(1));
  EXPECT_EQ(settled->changes[0].changes[1].path, Path{"b"});
  EXPECT_EQ(settled->changes[0].changes[1].kind, Operation::kUnset);
}

TEST_F(JudgePrepare, AnIdIsOneValue) {
  bson::Writer writer;
  const std::string stored = writer.open_document("_id").int32("k", 1).close().finish();
  store_.put(kTestNs, stored);
  prepare_.session = numbered(-1);
  prepare_.documents[0].id = bson::OwnedValue(*bson::Document(stored).find("_id"));
  prepare_.documents[0].whole = false;
  prepare_.documents[0].paths = {{Operation::kUnknown, {"_id", "k"}, {}}};
  const auto settled = judge_prepare(store_, prepare_, nullptr);
  ASSERT_EQ(settled->changes.size(), 1u);
  ASSERT_EQ(settled->changes[0].changes.size(), 1u);
  EXPECT_EQ(settled->changes[0].changes[0].path, Path{"_id"});
}

TEST_F(JudgePrepare, WhatCannotBeIsNotEvenAskedFor) {
  prepare_.session = numbered(-1);
  PreparedDocument& document = prepare_.documents[0];
  const auto expect_dropped = [&] {
    const auto settled = judge_prepare(store_, prepare_, nullptr);
    ASSERT_TRUE(settled.has_value()) << settled.error().message();
    EXPECT_EQ(settled->how, SettledPrepare::How::kDropped);
  };
  for (const auto what : {PreparedDocument::What::kUpdate, PreparedDocument::What::kRemove}) {
    document.what = what;
    document.id = bson::make_document(bson::Writer().int32("$x", 1).finish());
    expect_dropped();
    document.id = number(1);
    for (const char* ns : {"a b.c", "shop.$cmd", "shop."}) {
      document.ns = ns;
      expect_dropped();
    }
    document.ns = kTestNs;
  }
  EXPECT_EQ(store_.reads(), 0u);
}

TEST_F(JudgePrepare, NothingWasWrittenIntoAView) {
  CollectionInfo view;
  view.type = CollectionInfo::Type::kView;
  store_.set_collection(kTestNs, view);
  prepare_.session = numbered(-1);
  for (const auto what : {PreparedDocument::What::kUpdate, PreparedDocument::What::kRemove}) {
    prepare_.documents[0].what = what;
    const auto settled = judge_prepare(store_, prepare_, nullptr);
    ASSERT_TRUE(settled.has_value());
    EXPECT_EQ(settled->how, SettledPrepare::How::kDropped);
  }
}

TEST_F(JudgePrepare, AnArrayIsComparedByItsElements) {
  prepare_.session = numbered(-1);
  bson::Writer elements;  // named as a driver never would, and the store would not keep
  elements.int32("x", 4);
  prepare_.documents[0].whole = false;
  prepare_.documents[0].paths = {
      {Operation::kAssign, {"list"}, bson::OwnedValue(bson::Type::kArray, elements.finish())}};
  EXPECT_EQ(judge_prepare(store_, prepare_, nullptr)->how, SettledPrepare::How::kHappened);
}

// {$push: {list: 4}}, and list: [4] now.
TEST_F(JudgePrepare, APushThatHappenedIsToldByWhatIsBehindNow) {
  prepare_.documents[0].whole = false;
  const auto pushing = [&](int32_t pushed) {
    bson::Writer array;
    prepare_.documents[0].paths = {
        {Operation::kEdit,
         {"list"},
         bson::OwnedValue(bson::Type::kArray, array.int32("0", pushed).finish())}};
    const std::vector<OplogWrite> oplog{update([](bson::Writer& writer) {
      writer.open_document("slist").boolean("a", true).int32("u0", 4).close();
    })};
    return judge_prepare(store_, prepare_, &oplog)->changes.at(0).changes.at(0);
  };
  const PathChange happened = pushing(4);
  EXPECT_EQ(happened.kind, Operation::kEdit);
  EXPECT_TRUE(happened.base_known);
  EXPECT_TRUE(happened.base->view().as_document().empty());
  EXPECT_TRUE(happened.base_may_be_missing);
  const PathChange other = pushing(5);  // what is there is all that can be said
  EXPECT_EQ(other.kind, Operation::kAssign);
  EXPECT_EQ(other.edit, ArrayEdit::kFound);
}

// {$inc: {"list.0": 1}}, and list: [4] now.
TEST_F(JudgePrepare, AnIncrementInAnArrayThatHappenedLeadsBack) {
  prepare_.documents[0].whole = false;
  const auto adding = [&](const Path& path, const Path& beside) {
    prepare_.documents[0].paths = {{Operation::kIncrement, path, number(1)}};
    if (!beside.empty()) prepare_.documents[0].paths.push_back({Operation::kUnknown, beside, {}});
    const std::vector<OplogWrite> oplog{update([](bson::Writer& writer) {
      writer.open_document("slist").boolean("a", true).int32("u0", 4).close();
    })};
    return judge_prepare(store_, prepare_, &oplog)->changes.at(0).changes.at(0);
  };
  const PathChange happened = adding({"list", "0"}, {});
  EXPECT_EQ(happened.kind, Operation::kEdit);
  EXPECT_EQ(happened.edit, ArrayEdit::kInPlace);
  EXPECT_EQ(happened.path, Path{"list"});
  EXPECT_EQ(bson::to_json(happened.base->view()), "[3]");
  EXPECT_EQ(happened.parts, std::vector<ElementPart>({{0, {}, number(1)}}));
  EXPECT_EQ(adding({"list", "1"}, {}).edit, ArrayEdit::kFound);
  EXPECT_EQ(adding({"list", "0", "n"}, {}).edit, ArrayEdit::kFound);
  EXPECT_EQ(adding({"list", "0"}, {"list"}).edit, ArrayEdit::kFound);
}

TEST_F(JudgePrepare, APushInDoubtIsWhatIsThereNow) {
  prepare_.session = numbered(-1);
  prepare_.documents[0].whole = false;
  bson::Writer array;
  prepare_.documents[0].paths = {
      {Operation::kEdit,
       {"list"},
       bson::OwnedValue(bson::Type::kArray, array.int32("0", 4).finish())}};
  const auto settled = judge_prepare(store_, prepare_, nullptr);
  EXPECT_EQ(settled->how, SettledPrepare::How::kAdopted);
  EXPECT_EQ(settled->changes.at(0).changes.at(0).kind, Operation::kAssign);
  EXPECT_EQ(settled->changes.at(0).changes.at(0).edit, ArrayEdit::kFound);
}

TEST_F(JudgePrepare, AReplacementIsKnownByItsContentAsItNamesNoId) {
  bson::Writer writer;
  prepare_.documents[0].what = PreparedDocument::What::kReplace;
  prepare_.documents[0].document =
      writer.int32("a", 1).open_array("list").int32("0", 4).close().finish();
  EXPECT_EQ(judge_prepare(store_, prepare_, nullptr)->how, SettledPrepare::How::kHappened);
  prepare_.documents[0].document = writer.int32("a", 2).finish();
  EXPECT_EQ(judge_prepare(store_, prepare_, nullptr)->how, SettledPrepare::How::kDropped);
  prepare_.documents[0].document = writer.timestamp("at", 0, 0).finish();  // mongod fills it in
  EXPECT_EQ(judge_prepare(store_, prepare_, nullptr)->changes.size(), 1u);
  // Nothing is there to be replaced: nobody is told that it is removed.
  prepare_.documents[0].id = number(2);
  const auto nothing = judge_prepare(store_, prepare_, nullptr);
  EXPECT_EQ(nothing->how, SettledPrepare::How::kDropped);
  EXPECT_TRUE(nothing->certain);
}

TEST_F(JudgePrepare, AnUpsertThatFoundNothingInsertedWhatIsThereNow) {
  prepare_.session = numbered(-1);  // a standalone: it was looked for before
  PreparedDocument& document = prepare_.documents[0];
  document.what = PreparedDocument::What::kUpsert;
  bson::Writer pushed;
  document.paths = {{Operation::kIncrement, {"a"}, number(1)},
                    {Operation::kEdit,
                     {"list"},
                     bson::OwnedValue(bson::Type::kArray, pushed.int32("0", 4).finish())}};
  const auto settled = judge_prepare(store_, prepare_, nullptr);
  EXPECT_EQ(settled->how, SettledPrepare::How::kHappened);
  ASSERT_EQ(settled->changes.size(), 1u);
  EXPECT_EQ(settled->changes[0].kind, DocumentChange::Kind::kUpsert);
  ASSERT_EQ(settled->changes[0].changes.size(), 2u);  // they add to what others upsert
  EXPECT_EQ(settled->changes[0].changes[1].kind, Operation::kEdit);
  EXPECT_FALSE(settled->changes[0].changes[1].base.has_value());
  document.id = number(2);
  EXPECT_EQ(judge_prepare(store_, prepare_, nullptr)->how, SettledPrepare::How::kDropped);
}

// As one that inserted it would stand beside the document that peers have, and count twice.
TEST_F(JudgePrepare, AnUpsertThatMayHaveFoundItsDocumentPutsItInItsPlace) {
  prepare_.documents[0].what = PreparedDocument::What::kUpsert;
  const auto settled = judge_prepare(store_, prepare_, nullptr);  // the oplog was cut
  EXPECT_EQ(settled->how, SettledPrepare::How::kAdopted);
  ASSERT_EQ(settled->changes.size(), 2u);
  EXPECT_EQ(settled->changes[0].kind, DocumentChange::Kind::kRemove);
  EXPECT_EQ(settled->changes[1].kind, DocumentChange::Kind::kInsert);
}

// {_id: {$in: ["b"]}} inserts "b", and only mongod says so.
TEST_F(JudgePrepare, AnUpsertIsFoundInTheOplogUnderTheIdThatMongodGaveIt) {
  PreparedDocument& document = prepare_.documents[0];
  document.what = PreparedDocument::What::kUpsert;
  document.id = number(99);
  OplogWrite entry = update([](bson::Writer&) {});
  entry.kind = OplogWrite::Kind::kInsert;
  const std::vector<OplogWrite> oplog{entry};
  const auto settled = judge_prepare(store_, prepare_, &oplog);
  EXPECT_EQ(settled->how, SettledPrepare::How::kHappened);
  ASSERT_EQ(settled->changes.size(), 1u);
  EXPECT_EQ(settled->changes[0].id, number(1));
  document.what = PreparedDocument::What::kUpdate;
  EXPECT_EQ(judge_prepare(store_, prepare_, &oplog)->how, SettledPrepare::How::kDropped);
}

}  // namespace
}  // namespace outrigger
