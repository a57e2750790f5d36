// Transactions in doubt: the oplog says whether, the prepare says what.
#include "replication/recovery/judge_transaction.h"

#include <gtest/gtest.h>

#include "replication/record/catalog.h"
#include "replication/store/session_token.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using How = SettledPrepare::How;

class JudgeTransaction : public ::testing::Test {
 protected:
  JudgeTransaction() {
    SessionKey key;
    key.lsid.fill('s');
    key.txn_number = 7;
    prepare_.session = session_token(key);
    prepare_.transaction = true;
    PreparedDocument& update = prepare_.documents.emplace_back();
    update.ns = kTestNs;
    update.id = number(1);
    update.paths.push_back({Operation::kIncrement, {"n"}, bson::make_int32(2)});
    PreparedDocument& insert = prepare_.documents.emplace_back();
    insert.ns = kTestNs;
    insert.id = number(2);
    insert.what = PreparedDocument::What::kInsert;
    insert.document = made_;
    store_.put(kTestNs, bson::Writer().int32("_id", 1).int32("n", 5).finish());
  }
  OplogWrite entry(int64_t txn_number, bool transaction) {
    OplogWrite write;
    write.ns = kTestNs;
    write.id = number(1);
    write.lsid_id = std::string(16, 's');
    write.txn_number = txn_number;
    write.transaction = transaction;
    return write;
  }
  SettledPrepare judged(const std::vector<OplogWrite>* oplog) {
    auto settled = judge_prepare(store_, prepare_, oplog);
    EXPECT_TRUE(settled.has_value());
    return settled ? std::move(*settled) : SettledPrepare();
  }

  const std::string made_ = bson::Writer().int32("_id", 2).int32("a", 1).finish();
  MemoryStore store_;
  Prepare prepare_;
};

TEST_F(JudgeTransaction, OneThatTheOplogHoldsDidAllThatItsPrepareSays) {
  const std::vector<OplogWrite> oplog{entry(7, true)};
  const SettledPrepare settled = judged(&oplog);
  EXPECT_EQ(settled.how, How::kHappened);
  EXPECT_TRUE(settled.certain);
  ASSERT_EQ(settled.changes.size(), 2u);
  ASSERT_EQ(settled.changes[0].changes.size(), 1u);
  const PathChange& counted = settled.changes[0].changes[0];
  EXPECT_EQ(counted.kind, Operation::kIncrement);
  EXPECT_EQ(counted.value, bson::make_int32(2));
  ASSERT_TRUE(counted.base.has_value());
  EXPECT_EQ(*counted.base, bson::make_int32(3));
  EXPECT_EQ(settled.changes[1].kind, DocumentChange::Kind::kInsert);
  EXPECT_EQ(settled.changes[1].document, made_);
  ASSERT_EQ(settled.retries.size(), 1u);
  EXPECT_EQ(settled.retries[0].key, commit_key(prepare_.session));
}

TEST_F(JudgeTransaction, OfWhatItMadeTheCatalogueTells) {
  CatalogEntry before;
  before.ns = "shop.made";
  CatalogEntry after = before;
  after.exists = true;
  const std::string ns(kCatalogNs);
  const bson::OwnedValue name = bson::make_string(before.ns);
  prepare_.documents.insert(
      prepare_.documents.begin(),
      {ns, name, PreparedDocument::What::kUpdate, {}, true, catalog_document(before)});
  store_.put(ns, catalog_document(after));
  const std::vector<OplogWrite> oplog{entry(7, true)};
  const SettledPrepare settled = judged(&oplog);
  ASSERT_EQ(settled.changes.size(), 3u);
  EXPECT_EQ(settled.changes[0].ns, kCatalogNs);
  EXPECT_EQ(settled.changes[0].changes.front().path, Path{"options"});
  store_.put(ns, catalog_document(before));
  EXPECT_EQ(judged(&oplog).changes.size(), 2u);  // it has become no other
}

TEST_F(JudgeTransaction, WhatItCountedAndIsGoneSinceIsUnset) {
  store_.put(kTestNs, bson::Writer().int32("_id", 1).int32("other", 5).finish());
  const std::vector<OplogWrite> oplog{entry(7, true)};
  const SettledPrepare settled = judged(&oplog);
  ASSERT_EQ(settled.changes.size(), 2u);
  ASSERT_EQ(settled.changes[0].changes.size(), 1u);
  const PathChange& gone = settled.changes[0].changes[0];
  EXPECT_EQ(gone.kind, Operation::kUnset);
  EXPECT_EQ(gone.path, Path{"n"});
  EXPECT_FALSE(gone.base_known);
}

TEST_F(JudgeTransaction, OneThatTheOplogDoesNotHoldDidNothing) {
  for (const OplogWrite& other : {entry(6, true), entry(7, false)}) {
    const std::vector<OplogWrite> oplog{other};
    const SettledPrepare settled = judged(&oplog);
    EXPECT_EQ(settled.how, How::kDropped);
    EXPECT_TRUE(settled.changes.empty());
    EXPECT_TRUE(settled.retries.empty());
  }
}

TEST_F(JudgeTransaction, WithoutAnOplogItsDocumentsAreJudgedByWhatTheStoreShows) {
  store_.put(kTestNs, made_);
  const SettledPrepare settled = judged(nullptr);
  EXPECT_EQ(settled.how, How::kAdopted);
  ASSERT_EQ(settled.changes.size(), 2u);
  EXPECT_EQ(settled.changes[0].changes[0].kind, Operation::kAssign);
  EXPECT_EQ(settled.changes[1].document, made_);
}

TEST_F(JudgeTransaction, WhatItPushedIsStillPushed) {
  const auto array = [](const std::vector<int32_t>& all) {
    bson::Writer out;
    for (size_t i = 0; i < all.size(); ++i) out.int32(bson::index_name(i), all[i]);
    return bson::OwnedValue(bson::Type::kArray, out.finish());
  };
  prepare_.documents[0].paths = {{Operation::kEdit, {"a"}, array({3})}};
  store_.put(kTestNs, bson::Writer().int32("_id", 1).value("a", array({1, 3}).view()).finish());
  const std::vector<OplogWrite> oplog{entry(7, true)};
  const SettledPrepare settled = judged(&oplog);
  const PathChange& pushed = settled.changes.at(0).changes.at(0);
  EXPECT_EQ(pushed.kind, Operation::kEdit);
  EXPECT_EQ(pushed.base, array({1}));
  EXPECT_EQ(pushed.value, array({1, 3}));
}

}  // namespace
}  // namespace outrigger
