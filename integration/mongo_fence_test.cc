// The fence against commands that really outlive their sender, on real mongods.
#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "integration/mongo_store_fixture.h"
#include "integration/raw_client.h"

namespace outrigger {
namespace {

using bson::make_int32;
using bson::Writer;
using std::chrono_literals::operator""s;

// On both kinds of store.
class FenceTest : public MongoStoreTest, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    MongoStoreTest::SetUp();
    if (HasFatalFailure()) return;
    fill(3'000);
    app_ = std::make_unique<RawClient>(mongod_->port(), db_);
  }
  bool on_replica_set() const override { return GetParam(); }

  // An update of everything, by a client that goes away at once. It sleeps on each document, so it
  // runs for a minute unless something ends it.
  void start_update_and_vanish(bool with_session) {
    const std::string slow = R"(function() { sleep(20); return true; })";
    Writer update;
    update.string("update", "c").open_array("updates").open_document("0");
    update.open_document("q").string("$where", slow).close();
    update.open_document("u").open_document("$inc").int32("n", 1).close().close();
    update.boolean("multi", true).close().close();
    app_->send(std::move(update), with_session);
    address_ = app_->address();
    wait_until_running();
    app_->vanish();
  }
  // By its client too: the end of fill() may still be listed as active.
  int running() {
    auto seen = mongod_->command(
        "admin", R"({"aggregate": 1, "pipeline": [{"$currentOp": {"allUsers": true}}, {"$match":
                  {"client": ")" +
                     address_ + R"(", "op": "update", "active": true}},
                  {"$count": "n"}], "cursor": {}})");
    return seen && seen->find(R"("n" :)") != std::string::npos ? 1 : 0;
  }
  // Or still running: one look can fall between two of its steps, and none ever starts again.
  void wait_until_running() {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (running() == 0) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  }

  std::unique_ptr<RawClient> app_;
  std::string address_;
};

TEST_P(FenceTest, EndsAnUpdateThatOutlivedItsClientByItsSession) {
  start_update_and_vanish(true);
  wait_until_running();
  if (HasFatalFailure()) FAIL() << "the update ended with its client, so this shows nothing";
  const auto fenced = store_->fence(std::vector{app_->lsid_id()}, {}, 10s);
  EXPECT_TRUE(fenced) << fenced.error().message();
  EXPECT_EQ(running(), 0);
}

TEST_P(FenceTest, LeavesAloneWhatRunsUnderAnotherSessionAtANotedAddress) {
  start_update_and_vanish(true);
  wait_until_running();
  if (HasFatalFailure()) FAIL() << "the update ended with its client, so this shows nothing";
  const std::string other(16, 'o');
  const auto fenced = store_->fence(std::vector{other}, std::vector{address_}, 10s);
  EXPECT_TRUE(fenced) << fenced.error().message();
  wait_until_running();
  EXPECT_TRUE(store_->fence(std::vector{app_->lsid_id()}, {}, 10s));
}

TEST_P(FenceTest, LeavesStrangersAlone) {
  start_update_and_vanish(true);
  const std::string other(16, 'o');
  EXPECT_TRUE(store_->fence(std::vector{other}, std::vector<std::string>{"127.0.0.1:1"}, 10s));
  wait_until_running();
  EXPECT_TRUE(store_->fence(std::vector{app_->lsid_id()}, {}, 10s));
}

TEST_P(FenceTest, AnIdleConnectionOfANotedAddressHoldsItUpButNotForEver) {
  app_->call(Writer().int32("ping", 1));
  const auto from = std::chrono::steady_clock::now();
  EXPECT_TRUE(store_->fence({}, std::vector{app_->address()}, 10s));
  EXPECT_GE(std::chrono::steady_clock::now() - from, 1s);
}

INSTANTIATE_TEST_SUITE_P(Real, FenceTest, testing::Bool(), kind_name);

TEST_F(MongoStoreTest, FenceAbortsAnOpenTransaction) {
  fill(2);
  RawClient app(mongod_->port(), db_);
  app.begin_transaction(1);
  app.call(Writer()
               .string("update", "c")
               .open_array("updates")
               .open_document("0")
               .open_document("q")
               .int32("_id", 1)
               .close()
               .open_document("u")
               .open_document("$set")
               .int32("n", 9)
               .close()
               .close()
               .close()
               .close());
  app.vanish();
  EXPECT_TRUE(store_->fence(std::vector{app.lsid_id()}, {}, 10s));
  StoreWrite after = replace(1, 3);  // would wait for the transaction if it were still open
  EXPECT_TRUE(write(after).ok());
  EXPECT_EQ(stored(make_int32(1)), after.document);
}

TEST(MongoStoreFence, EndsTheOperationOfAnotherUser) {
  auto mongod = RealMongod::start({true, true, {}}).value();
  ASSERT_TRUE(mongod->command("admin", R"({"createUser": "sidecar", "pwd": "pw", "roles":
                              ["hostManager", "clusterMonitor", "readWriteAnyDatabase"]})"));
  auto root = MongoStore::open(mongod->uri(), system_threads).value();
  auto sidecar = MongoStore::open(mongod->uri("sidecar", "pw"), system_threads).value();
  const StoreWrite write{StoreWrite::Kind::kReplaceOrInsert, "t.c", make_int32(1),
                         Writer().int32("_id", 1).finish(),  {},    {}};
  ASSERT_TRUE(root->apply(std::vector{write}));
  const std::vector<std::string> session = root->own_sessions();

  ASSERT_TRUE(mongod->command("admin", R"({"fsync": 1, "lock": true})"));
  auto stuck = std::async(std::launch::async, [&] { return root->apply(std::vector{write}); });
  const auto waiting = [&] {
    auto seen =
        mongod->command("admin", R"({"currentOp": 1, "ns": "t.c", "waitingForLock": true})");
    return seen && seen->find(R"("op" : "update")") != std::string::npos;
  };
  while (!waiting() && stuck.wait_for(0s) != std::future_status::ready) {
  }
  EXPECT_TRUE(sidecar->fence(session, {}, 10s));
  ASSERT_TRUE(mongod->command("admin", R"({"fsyncUnlock": 1})"));
  const auto outcome = stuck.get();
  ASSERT_FALSE(outcome) << "the write went through in spite of the fence";
  EXPECT_EQ(outcome.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace outrigger
