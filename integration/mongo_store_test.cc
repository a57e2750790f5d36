// MongoStore on real mongods: the contract every Store keeps, and what only a real server can show:
// refusals of its own, reading its oplog, rights, loss of the server.
#include "replication/store/mongo/mongo_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "integration/mongo_store_fixture.h"
#include "integration/raw_client.h"
#include "replication/store/store_contract.h"

namespace outrigger {
namespace {

using bson::make_int32;
using bson::Writer;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

Timestamp operation_time(const std::string& reply_json) {
  Timestamp out;
  const size_t at = reply_json.find("operationTime");
  EXPECT_NE(at, std::string::npos) << reply_json;
  const char* kForm = "operationTime\" : { \"$timestamp\" : { \"t\" : %u, \"i\" : %u";
  EXPECT_EQ(std::sscanf(reply_json.c_str() + at, kForm, &out.seconds, &out.increment), 2)
      << reply_json;
  return out;
}

INSTANTIATE_TEST_SUITE_P(
    Real, StoreContract,
    testing::Values(StoreMaker{"Standalone", [] { return connect(shared(false)); }},
                    StoreMaker{"ReplicaSet", [] { return connect(shared(true)); }}),
    store_name);

TEST_F(MongoStoreTest, ReportsTheServersOwnRefusals) {
  run(R"({"create": "c"})");
  run(R"({"createIndexes": "c", "indexes": [{"key": {"n": 1}, "name": "n", "unique": true}]})");
  EXPECT_TRUE(write(replace(1, 5)).ok());
  EXPECT_EQ(write(replace(3, 5)).code, 11000);
  EXPECT_FALSE(store_->collection(db_ + ".c")->unique_fields.empty());
}

TEST_F(MongoStoreTest, BypassesAValidatorAndSaysWhatItWouldHaveSaid) {
  run(R"({"create": "c", "validator": {"n": {"$lt": 100}}})");
  EXPECT_TRUE(write(replace(1, 5)).ok());
  const auto outcomes =
      store_->apply(std::vector{replace(2, 500), replace(3, 5), replace(4, 501), replace(1, 6)});
  ASSERT_TRUE(outcomes);
  for (const WriteOutcome& outcome : *outcomes) EXPECT_TRUE(outcome.ok());
  for (const size_t i : {0u, 2u}) {
    EXPECT_TRUE((*outcomes)[i].against_validator);
    EXPECT_NE((*outcomes)[i].message.find("failed validation"), std::string::npos);
  }
  for (const size_t i : {1u, 3u}) EXPECT_FALSE((*outcomes)[i].against_validator);
  // Written once more they are as they were, and nothing is said of them.
  EXPECT_FALSE(write(replace(2, 500)).against_validator);
  const std::vector<bson::OwnedValue> ids = {make_int32(1), make_int32(2), make_int32(3),
                                             make_int32(4), make_int32(5)};
  EXPECT_EQ(store_->against_validator(db_ + ".c", ids).value(), (std::vector<size_t>{1, 3}));
  EXPECT_TRUE(store_->against_validator(db_ + ".none", ids)->empty());
  EXPECT_NE(stored(make_int32(4)), std::nullopt);
}

TEST_F(MongoStoreTest, WritesInTheOrderGivenSoThatAFreedUniqueKeyCanBeTaken) {
  run(R"({"createIndexes": "c", "indexes": [{"key": {"n": 1}, "name": "n", "unique": true}]})");
  ASSERT_TRUE(write(replace(1, 5)).ok());
  const auto freed = store_->apply(std::vector{remove(make_int32(1)), replace(2, 5)});
  EXPECT_TRUE((*freed)[0].ok() && (*freed)[1].ok()) << (*freed)[1].message;
  const auto early = store_->apply(std::vector{replace(1, 5), remove(make_int32(2))});
  EXPECT_EQ((*early)[0].code, 11000);
  EXPECT_TRUE((*early)[1].ok());
}

TEST_F(MongoStoreTest, StopsAtARefusalThatPasses) {
  if (store_->info()->kind == StoreKind::kStandalone) GTEST_SKIP() << "it has no write block";
  ASSERT_TRUE(write(replace(1, 5)).ok());
  const auto block = [&](const char* on) {
    auto done = mongod_->command(
        "admin", std::string(R"({"setUserWriteBlockMode": 1, "global": )") + on + "}");
    ASSERT_TRUE(done) << done.error().message();
  };
  block("true");
  const std::vector writes{remove(make_int32(1)), replace(2, 5)};
  const Applied blocked = store_->apply_in_order(writes);
  block("false");
  EXPECT_TRUE(blocked.outcomes.empty());
  ASSERT_TRUE(blocked.stopped);
  EXPECT_EQ(blocked.stopped->code, ErrorCode::kUnavailable);
  EXPECT_EQ(store_->apply_in_order(writes).outcomes.size(), 2u);
}

TEST_F(MongoStoreTest, WhatACappedCollectionHasEvictedIsNotMissed) {
  ASSERT_TRUE(write(replace(1, 5)).ok());
  run(R"({"drop": "c"})");
  run(R"({"create": "c", "capped": true, "size": 4096, "max": 1})");
  EXPECT_TRUE(write(replace(2, 5)).ok());
  EXPECT_TRUE(write(replace(3, 5)).ok());
  EXPECT_TRUE(write(set(2, 7)).ok());
  EXPECT_EQ(stored(bson::make_int32(2)), std::nullopt);
  run(R"({"drop": "c"})");
  EXPECT_TRUE(write(replace(2, 5)).ok());
  run(R"({"drop": "c"})");
  run(R"({"create": "c"})");
  EXPECT_TRUE(write(replace(2, 5)).ok());
}

TEST_F(MongoStoreTest, ComparesIdsSimplyWhateverTheCollectionsCollation) {
  run(R"({"create": "c", "collation": {"locale": "en", "strength": 1}})");
  StoreWrite upper = replace(0, 1);
  upper.id = bson::make_string("A");
  upper.document = Writer().value("_id", upper.id).int32("n", 1).finish();
  ASSERT_TRUE(write(upper).ok());
  EXPECT_EQ(stored(bson::make_string("a")), std::nullopt);
  EXPECT_TRUE(write(remove(bson::make_string("a"))).ok());
  EXPECT_EQ(stored(upper.id), upper.document);
  EXPECT_FALSE(store_->collection(db_ + ".c")->simple_collation);
}

TEST_F(MongoStoreTest, TellsViewsCappedAndClusteredCollectionsApart) {
  run(R"({"create": "v", "viewOn": "c", "pipeline": []})");
  run(R"({"create": "k", "capped": true, "size": 4096})");
  run(R"({"create": "l", "clusteredIndex": {"key": {"_id": 1}, "unique": true}})");
  run(R"({"create": "s", "timeseries": {"timeField": "t"}})");
  EXPECT_EQ(store_->collection(db_ + ".v")->type, CollectionInfo::Type::kView);
  EXPECT_EQ(store_->collection(db_ + ".s")->type, CollectionInfo::Type::kTimeSeries);
  EXPECT_TRUE(store_->collection(db_ + ".k")->capped);
  EXPECT_TRUE(store_->collection(db_ + ".l")->clustered);
  EXPECT_TRUE(store_->collection(db_ + ".l")->unique_fields.empty());
}

TEST_F(MongoStoreTest, AViewHoldsNoDocumentsWhateverItShows) {
  const std::vector<bson::OwnedValue> ids{make_int32(1), bson::make_string("a")};
  const auto read = [&] { return store_->read(db_ + ".c", ids); };
  EXPECT_TRUE(write(replace(1, 5)).ok());
  EXPECT_TRUE(read().has_value());
  run(R"({"drop": "c"})");
  for (const char* pipeline : {"[]", R"([{"$addFields": {"n": {"$divide": [1, 0]}}}])"}) {
    run(R"({"create": "c", "viewOn": "other", "pipeline": )" + std::string(pipeline) +
        R"(, "collation": {"locale": "fr"}})");
    (void)read();
    const auto found = read();
    ASSERT_FALSE(found.has_value());
    EXPECT_EQ(found.error().code, ErrorCode::kInvalidArgument) << found.error().message();
    run(R"({"drop": "c"})");
  }
  EXPECT_TRUE(read().has_value());
}

TEST_F(MongoStoreTest, AWriteToAViewIsRejectedNotRetried) {
  run(R"({"create": "c", "viewOn": "other", "pipeline": []})");
  const WriteOutcome outcome = write(replace(1, 1));
  EXPECT_EQ(outcome.kind, WriteOutcome::Kind::kRejected);
  EXPECT_NE(outcome.message.find("view"), std::string::npos);
}

TEST_F(MongoStoreTest, DoesNotReplaceAroundRepeatedNamesByPipeline) {
  StoreWrite twice = replace(1, 1);
  twice.document = Writer().int32("_id", 1).int32("a", 1).int32("a", 2).finish();
  ASSERT_TRUE(write(twice).ok());
  StoreWrite odd = replace(1, 1);
  odd.document = Writer().int32("_id", 1).int32("$a", 1).finish();
  EXPECT_EQ(write(odd).kind, WriteOutcome::Kind::kRejected);
  EXPECT_TRUE(store_->ping());
}

// Nobody looks for them there: a number would cost mongod a third more.
TEST_F(MongoStoreTest, ItsOwnWritesAreNotNumbered) {
  const Timestamp before = store_->last_oplog_time().value();
  ASSERT_TRUE(write(replace(1, 1)).ok());
  const auto found = store_->oplog_since(before, store_->own_sessions());
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_TRUE(found->empty());
}

TEST_F(MongoStoreTest, NumberedWritesAreFoundInTheOplog) {
  const Timestamp before = store_->last_oplog_time().value();
  RawClient app(mongod_->port(), db_);
  Writer insert;
  insert.string("insert", "c").open_array("documents").open_document("0");
  insert.int32("_id", 1).int32("n", 1).close().close();
  app.call(std::move(insert.int64("txnNumber", 1)));
  Writer update;
  update.string("update", "c").open_array("updates").open_document("0");
  update.open_document("q").int32("_id", 1).close().open_document("u").int32("n", 2).close();
  app.call(std::move(update.close().close().int64("txnNumber", 2)));
  Writer remove;
  remove.string("delete", "c").open_array("deletes").open_document("0");
  remove.open_document("q").int32("_id", 1).close().int32("limit", 1).close().close();
  app.call(std::move(remove.int64("txnNumber", 3)));
  const auto found = store_->oplog_since(before, std::vector{app.lsid_id()});
  ASSERT_TRUE(found) << found.error().message();
  ASSERT_EQ(found->size(), 3u);
  EXPECT_EQ((*found)[0].kind, OplogWrite::Kind::kInsert);
  EXPECT_EQ((*found)[1].kind, OplogWrite::Kind::kUpdate);
  EXPECT_EQ((*found)[2].kind, OplogWrite::Kind::kRemove);
  for (const OplogWrite& w : *found) {
    EXPECT_EQ(w.ns, db_ + ".c");
    EXPECT_EQ(w.id, make_int32(1));
    EXPECT_EQ(w.stmt_ids, std::vector<int32_t>{0});
    EXPECT_GT(w.txn_number, 0);
    EXPECT_FALSE(w.transaction);
  }
}

TEST_F(MongoStoreTest, WaitsUntilWhatTheAppWasAnsweredIsJournaled) {
  run(R"({"create": "c"})");
  for (int32_t i = 0; i < 20; ++i) {
    const auto answer = mongod_->command(
        db_, R"({"insert": "c", "documents": [{"a": 1}], "writeConcern": {"w": 1}})");
    ASSERT_TRUE(answer) << answer.error().message();
    const Timestamp written = operation_time(*answer);
    ASSERT_TRUE(store_->wait_journaled());
    EXPECT_GE(store_->last_oplog_time().value(), written);  // the majority point
  }
}

TEST_F(MongoStoreTest, WatchesTheOplogAsLongAsToldWhateverIsWritten) {
  run(R"({"create": "c"})");
  std::atomic<bool> stop{false};
  std::thread app([&] {
    while (!stop) (void)mongod_->command(db_, R"({"insert": "c", "documents": [{"a": 1}]})");
  });
  const auto begun = std::chrono::steady_clock::now();
  const Status watched = store_->watch_oplog(300ms);
  const auto took = std::chrono::steady_clock::now() - begun;
  stop = true;
  app.join();
  EXPECT_TRUE(watched) << watched.error().message();
  EXPECT_GE(took, 290ms);
}

TEST_F(MongoStoreTest, TransactionsInTheOplogAreTakenApart) {
  run(R"({"create": "c"})");
  const Timestamp before = store_->last_oplog_time().value();
  RawClient app(mongod_->port(), db_);
  const std::string big(9 * 1024 * 1024, 'x');  // two of these make a chain of entries
  app.begin_transaction(7);
  for (int32_t i = 0; i < 3; ++i) {
    app.call(Writer()
                 .string("insert", "c")
                 .open_array("documents")
                 .open_document("0")
                 .int32("_id", i)
                 .string("x", big)
                 .close()
                 .close());
  }
  app.commit();
  const auto found = store_->oplog_since(before, std::vector{app.lsid_id()});
  ASSERT_TRUE(found) << found.error().message();
  ASSERT_EQ(found->size(), 3u);
  for (int32_t i = 0; i < 3; ++i) {
    const OplogWrite& w = (*found)[static_cast<size_t>(i)];
    EXPECT_TRUE(w.transaction);
    EXPECT_EQ(w.id, make_int32(i));
    EXPECT_EQ(w.txn_number, 7);
    EXPECT_EQ(w.at, found->back().at);
  }
}

TEST_F(MongoStoreTest, SaysSoWhenTheOplogDoesNotReachBack) {
  const auto found = store_->oplog_since({1, 1}, std::vector{std::string(16, 'x')});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
}

// ---- stores that come, go and say no
TEST(MongoStoreAway, IsUnavailableAtOnceAndTimesOutWaiting) {
  auto store = MongoStore::open("mongodb://127.0.0.1:1/", system_threads).value();
  EXPECT_EQ(store->ping().error().code, ErrorCode::kUnavailable);
  const auto waited = store->wait_available(300ms);
  EXPECT_EQ(waited.error().code, ErrorCode::kTimeout);
  EXPECT_NE(waited.error().message().find("127.0.0.1:1"), std::string::npos);
}

TEST(MongoStoreAway, ABadUriIsRefusedWithoutRepeatingIt) {
  const auto store = MongoStore::open("mongodb://user:hunter2@:::/", system_threads);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store.error().message().find("hunter2"), std::string::npos);
}

TEST(MongoStoreAway, WorksAgainAfterMongodWasKilledAndShowsANewProcess) {
  auto mongod = RealMongod::start({true, false, {}}).value();
  auto store = MongoStore::open(mongod->uri(), system_threads).value();
  StoreWrite write{StoreWrite::Kind::kReplaceOrInsert, "t.c", make_int32(1),
                   Writer().int32("_id", 1).finish(),  {},    {}};
  ASSERT_TRUE(store->apply(std::vector{write}));
  const std::string process = store->info()->process_id;
  mongod->kill_hard();
  EXPECT_EQ(store->apply(std::vector{write}).error().code, ErrorCode::kUnavailable);
  ASSERT_TRUE(mongod->restart());
  EXPECT_TRUE(store->wait_available(10s));
  EXPECT_TRUE(store->ping());
  EXPECT_NE(store->process_id(), process);
  EXPECT_EQ(store->read("t.c", std::vector{make_int32(1)})->front(), write.document);
  EXPECT_TRUE(store->apply(std::vector{write})->front().ok());
  EXPECT_NE(store->info()->process_id, process);
  EXPECT_EQ(store->own_sessions().size(), 2u);
}

TEST(MongoStoreAway, APingNamesTheMongodThatAnswersItNow) {
  auto mongod = RealMongod::start({true, false, {}}).value();
  auto store = MongoStore::open(mongod->uri(), system_threads).value();
  const StoreWrite write{StoreWrite::Kind::kReplaceOrInsert, "t.c", make_int32(1),
                         Writer().int32("_id", 1).finish(),  {},    {}};
  ASSERT_TRUE(store->apply(std::vector{write}));
  const std::string process = store->process_id();
  ASSERT_TRUE(store->ping());
  EXPECT_EQ(store->process_id(), process);
  mongod->kill_hard();
  EXPECT_FALSE(store->ping());
  ASSERT_TRUE(mongod->restart());
  ASSERT_TRUE(store->ping());
  EXPECT_NE(store->process_id(), process);
}

class RightsTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    auto started = RealMongod::start({GetParam(), true, {}});
    ASSERT_TRUE(started) << started.error().message();
    mongod_ = std::move(*started);
  }
  void user(const std::string& name, const std::string& roles) {
    auto made = mongod_->command("admin", R"({"createUser": ")" + name + R"(", "pwd": "pw-of-user",
                                 "roles": )" + roles +
                                              "}");
    ASSERT_TRUE(made) << made.error().message();
  }
  std::vector<std::string> missing(const std::string& name) {
    auto rights = MongoStore::open(mongod_->uri(name, "pw-of-user"), system_threads)
                      .value()
                      ->missing_rights();
    EXPECT_TRUE(rights) << rights.error().message();
    return rights.value_or(std::vector<std::string>{"error"});
  }

  std::unique_ptr<RealMongod> mongod_;
};

TEST_P(RightsTest, NamesEachRightTheUserLacks) {
  const size_t local = GetParam() ? 1 : 0;
  user("full", R"(["hostManager", "clusterMonitor", "readWriteAnyDatabase", "dbAdminAnyDatabase",
                   {"role": "read", "db": "local"}])");
  user("writer", R"(["readWriteAnyDatabase"])");
  user("shop", R"([{"role": "readWrite", "db": "shop"}])");
  EXPECT_EQ(missing("full"), std::vector<std::string>{});
  EXPECT_EQ(missing("writer").size(), 3 + local);
  EXPECT_EQ(missing("shop").size(), 3 + local);  // it may write somewhere
  EXPECT_EQ(missing("").size(), 4 + local) << "nobody logged in, although logins are required";
}

TEST_P(RightsTest, AWrongPasswordFailsAtOnceAndIsNotShown) {
  auto store = MongoStore::open(mongod_->uri("root", "hunter2"), system_threads).value();
  const auto waited = store->wait_available(5s);
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, ErrorCode::kRefused);
  EXPECT_EQ(waited.error().message().find("hunter2"), std::string::npos);
}

TEST(MongoStoreInfo, CountsHiddenMembersAndThenWritesToTheMajority) {
  auto mongod = RealMongod::start({true, false, {}}).value();
  auto store = MongoStore::open(mongod->uri(), system_threads).value();
  EXPECT_EQ(store->info()->kind, StoreKind::kSingleMember);
  auto done =
      mongod->command("admin", R"({"replSetReconfig": {"_id": "rs0", "version": 2, "members": [
      {"_id": 0, "host": ")" + mongod->address() +
                                   R"("},
      {"_id": 1, "host": "127.0.0.1:1", "priority": 0, "votes": 0, "hidden": true}]},
      "force": true})");
  ASSERT_TRUE(done) << done.error().message();
  ASSERT_TRUE(store->wait_available(30s));
  EXPECT_EQ(store->info()->kind, StoreKind::kMultiMember);
  const StoreWrite write{StoreWrite::Kind::kReplaceOrInsert, "t.c", make_int32(1),
                         Writer().int32("_id", 1).finish(),  {},    {}};
  EXPECT_TRUE(store->apply(std::vector{write})->front().ok());
}

INSTANTIATE_TEST_SUITE_P(Real, RightsTest, testing::Bool(), kind_name);

}  // namespace
}  // namespace outrigger
