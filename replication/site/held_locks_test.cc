#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "replication/site/lock_table.h"

namespace outrigger {
namespace {

constexpr uint64_t kKey = 7;

std::unique_ptr<LockRequest> request_for(uint64_t hash) {
  auto request = std::make_unique<LockRequest>();
  request->add(hash, LockMode::kExclusive);
  return request;
}

class HeldLocksTest : public testing::Test {
 protected:
  [[nodiscard]] bool is_free(uint64_t hash) {
    return static_cast<bool>(HeldLocks::try_take(table_, request_for(hash)));
  }
  // As a function does that ends early.
  void write_and_leave(std::optional<Left> left) {
    LockRequest request;
    request.add(kKey, LockMode::kExclusive);
    HeldLocks locks = HeldLocks::try_take(table_, request);
    ASSERT_TRUE(locks);
    if (left) locks.leave(*left);
  }

  LockTable table_;
};

TEST_F(HeldLocksTest, GoWithTheirHolder) {
  {
    const HeldLocks locks = HeldLocks::try_take(table_, request_for(kKey));
    EXPECT_TRUE(locks);
    EXPECT_FALSE(is_free(kKey));
  }
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(HeldLocksTest, WhatWasDoneUnderThemIsLeftWithTheKey) {
  const uint64_t then = table_.now();
  write_and_leave(Left::kNothing);
  EXPECT_FALSE(table_.changed_since(kKey, then));
  write_and_leave(Left::kRemoved);
  EXPECT_TRUE(table_.changed_since(kKey, then));
  EXPECT_FALSE(table_.written_since(kKey, then));
}

TEST_F(HeldLocksTest, WhoSaysNothingHasWritten) {
  const uint64_t then = table_.now();
  write_and_leave(std::nullopt);
  EXPECT_TRUE(table_.written_since(kKey, then));
}

TEST_F(HeldLocksTest, MoveWithWhatWillBeLeft) {
  const uint64_t then = table_.now();
  std::vector<HeldLocks> many;
  for (const uint64_t hash : {kKey, kKey + 1, kKey + 2}) {
    HeldLocks locks = HeldLocks::try_take(table_, request_for(hash));
    locks.leave(Left::kNothing);
    many.push_back(std::move(locks));
  }
  EXPECT_EQ(table_.size(), 3u);
  many[0] = std::move(many[1]);
  EXPECT_TRUE(is_free(kKey));
  EXPECT_FALSE(is_free(kKey + 1));
  many.clear();
  EXPECT_EQ(table_.size(), 0u);
  EXPECT_FALSE(table_.changed_since(kKey + 1, then));
}

TEST_F(HeldLocksTest, APlaceInLineIsGivenUp) {
  const HeldLocks first = HeldLocks::try_take(table_, request_for(kKey));
  bool granted = false;
  {
    auto request = request_for(kKey);
    LockRequest& waiting = *request;
    EXPECT_FALSE(table_.acquire(waiting, [&] { granted = true; }));
    const HeldLocks place(table_, std::move(request));
    EXPECT_FALSE(place);
  }
  EXPECT_TRUE(first);
  EXPECT_FALSE(granted);
}

TEST_F(HeldLocksTest, WhatWasGrantedMeanwhileIsGivenBack) {
  HeldLocks first = HeldLocks::try_take(table_, request_for(kKey));
  {
    auto request = request_for(kKey);
    LockRequest& waiting = *request;
    EXPECT_FALSE(table_.acquire(waiting, [] {}));
    const HeldLocks place(table_, std::move(request));
    first.release();
    EXPECT_TRUE(place);
  }
  EXPECT_EQ(table_.size(), 0u);
}

}  // namespace
}  // namespace outrigger
