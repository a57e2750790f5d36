// What the tests of MongoStore share: one mongod of each kind for the whole binary, and a fixture
// with a store on one of them and a database of the test's own.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "integration/real_mongod.h"
#include "replication/store/mongo/mongo_store.h"

namespace outrigger {

inline constexpr size_t kDatabaseNameMax = 40;

inline SystemThreads system_threads;

// One mongod of each kind, started when first asked for, ended with the binary.
inline RealMongod* shared(bool replica_set) {
  static std::unique_ptr<RealMongod> running[2];
  auto& slot = running[replica_set ? 1 : 0];
  if (slot == nullptr) {
    auto started = RealMongod::start({replica_set, false, {}});
    EXPECT_TRUE(started.has_value()) << (started ? "" : started.error().message());
    if (started) slot = std::move(*started);
  }
  return slot.get();
}

inline std::unique_ptr<MongoStore> connect(RealMongod* mongod) {
  if (mongod == nullptr) return nullptr;
  auto store = MongoStore::open(mongod->uri(), system_threads);
  EXPECT_TRUE(store.has_value());
  return store ? std::move(*store) : nullptr;
}

inline std::string kind_name(const testing::TestParamInfo<bool>& on_replica_set) {
  return on_replica_set.param ? "ReplicaSet" : "Standalone";
}

// A shared mongod, a store on it, and a database of the test's own.
class MongoStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    mongod_ = shared(on_replica_set());
    store_ = connect(mongod_);
    ASSERT_NE(store_, nullptr);
    db_ = testing::UnitTest::GetInstance()->current_test_info()->name();
    std::erase(db_, '/');
    db_.resize(std::min(db_.size(), kDatabaseNameMax));
    run(R"({"dropDatabase": 1})");
  }

  virtual bool on_replica_set() const { return true; }

  void run(const std::string& json) {
    auto done = mongod_->command(db_, json);
    ASSERT_TRUE(done) << done.error().message();
  }
  StoreWrite replace(int32_t id, int32_t n) const {
    StoreWrite write;
    write.kind = StoreWrite::Kind::kReplaceOrInsert;
    write.ns = db_ + ".c";
    write.id = bson::make_int32(id);
    write.document = bson::Writer().int32("_id", id).int32("n", n).finish();
    return write;
  }
  StoreWrite set(int32_t id, int32_t n) const {
    StoreWrite write = replace(id, n);
    write.kind = StoreWrite::Kind::kUpdate;
    write.document.clear();
    write.set = {{{"n"}, bson::make_int32(n)}};
    return write;
  }
  StoreWrite remove(bson::OwnedValue id) const {
    return {StoreWrite::Kind::kRemove, db_ + ".c", std::move(id), "", {}, {}};
  }
  WriteOutcome write(const StoreWrite& write) {
    auto outcomes = store_->apply(std::vector{write});
    EXPECT_TRUE(outcomes) << outcomes.error().message();
    return outcomes ? outcomes->front() : WriteOutcome{};
  }
  std::optional<std::string> stored(const bson::OwnedValue& id) {
    return store_->read(db_ + ".c", std::vector{id}).value().front();
  }
  void fill(int32_t documents) {
    std::vector<StoreWrite> writes;
    for (int32_t i = 0; i < documents; ++i) writes.push_back(replace(i, 0));
    ASSERT_TRUE(store_->apply(writes));
  }

  RealMongod* mongod_ = nullptr;
  std::unique_ptr<MongoStore> store_;
  std::string db_;
};

}  // namespace outrigger
