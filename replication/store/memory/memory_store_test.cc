// MemoryStore keeps the contract, and its verbs do what tests will rely on.
#include "replication/store/memory/memory_store.h"

#include <gtest/gtest.h>

#include "replication/store/store_contract.h"

namespace outrigger {
namespace {

using bson::make_int32;
using bson::Writer;

INSTANTIATE_TEST_SUITE_P(Memory, StoreContract,
                         testing::Values(StoreMaker{
                             "MemoryStore", [] { return std::make_unique<MemoryStore>(); }}),
                         store_name);

StoreWrite put(int32_t id) {
  StoreWrite write;
  write.kind = StoreWrite::Kind::kReplaceOrInsert;
  write.ns = "shop.carts";
  write.id = make_int32(id);
  write.document = Writer().int32("_id", id).finish();
  return write;
}

TEST(MemoryStore, RejectsUntilAllowed) {
  MemoryStore store;
  store.reject("shop.carts", make_int32(1));
  EXPECT_EQ(store.apply(std::vector{put(1)})->front().code, 11000);
  EXPECT_EQ(store.size(), 0u);
  store.allow("shop.carts", make_int32(1));
  EXPECT_TRUE(store.apply(std::vector{put(1)})->front().ok());
}

TEST(MemoryStore, FailsAsManyCallsAsTold) {
  MemoryStore store;
  store.fail_next(2);
  EXPECT_EQ(store.apply(std::vector{put(1)}).error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(store.ping());
  EXPECT_TRUE(store.apply(std::vector{put(1)}));
}

TEST(MemoryStore, CrashesBetweenWrites) {
  MemoryStore store;
  store.crash_after(1);
  EXPECT_EQ(store.apply(std::vector{put(1), put(2)}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(store.size(), 1u);
  EXPECT_TRUE(store.apply(std::vector{put(1), put(2)}));
  EXPECT_EQ(store.size(), 2u);
}

TEST(MemoryStore, FenceEndsWhatMatchesAndReportsTheStubborn) {
  MemoryStore store;
  const std::string lsid(16, 'a');
  store.add_running(lsid, "127.0.0.1:1");
  store.add_running("", "127.0.0.1:2");
  store.add_running("", "127.0.0.1:3");
  const std::vector<std::string> clients{"127.0.0.1:2"};
  EXPECT_TRUE(store.fence(std::vector{lsid}, clients, std::chrono::milliseconds(0)));
  EXPECT_EQ(store.running(), 2u);  // an address alone tells nothing
  store.add_running(lsid, "", true);
  const auto fenced = store.fence(std::vector{lsid}, clients, std::chrono::milliseconds(0));
  EXPECT_EQ(fenced.error().code, ErrorCode::kTimeout);
}

TEST(MemoryStore, OplogHoldsWhatWasAddedAndNotCut) {
  MemoryStore store;
  const std::string lsid(16, 'a');
  OplogWrite write;
  write.lsid_id = lsid;
  write.at = {10, 1};
  store.add_oplog(write);
  EXPECT_EQ(*store.last_oplog_time(), (Timestamp{10, 1}));
  EXPECT_EQ(store.oplog_since({10, 1}, std::vector{lsid})->size(), 1u);
  EXPECT_TRUE(store.oplog_since({10, 2}, std::vector{lsid})->empty());
  store.cut_oplog({20, 0});
  EXPECT_EQ(store.oplog_since({10, 1}, std::vector{lsid}).error().code, ErrorCode::kNotFound);
}

TEST(MemoryStore, OplogForgetsWhatACrashLost) {
  MemoryStore store;
  OplogWrite write;
  for (const uint32_t increment : {1u, 2u, 3u}) {
    write.at = {10, increment};
    store.add_oplog(write);
  }
  store.drop_oplog_after({10, 2});
  EXPECT_EQ(*store.last_oplog_time(), (Timestamp{10, 2}));
}

TEST(DottedPath, IsRefusedWhereDotsWouldMeanSomethingElse) {
  EXPECT_TRUE(is_dotted_path({"a", "b1", "x$", "0x"}));
  EXPECT_EQ(dotted({"a", "b"}), "a.b");
  for (const Path& path : std::vector<Path>{{}, {""}, {"$a"}, {"a.b"}, {"0"}, {"a", "12"}}) {
    EXPECT_FALSE(is_dotted_path(path));
  }
}

}  // namespace
}  // namespace outrigger
