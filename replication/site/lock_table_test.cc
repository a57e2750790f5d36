#include "replication/site/lock_table.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "replication/testing/lock_table_testing.h"

namespace outrigger {
namespace {

constexpr LockMode kShared = LockMode::kShared;
constexpr LockMode kExclusive = LockMode::kExclusive;

// Requests by name, and the order in which those who waited were granted.
class LockTableTest : public testing::Test {
 protected:
  struct Party {
    explicit Party(std::vector<LockKey> keys) : request(std::move(keys)) {}
    LockRequest request;
  };

  // Takes or waits; true: at once.
  bool acquire(char name, std::vector<LockKey> keys) {
    return table_.acquire(add(name, std::move(keys)), [this, name] { order_ += name; });
  }
  bool try_acquire(char name, std::vector<LockKey> keys) {
    return table_.try_acquire(add(name, std::move(keys)));
  }
  bool cancel(char name) { return table_.cancel(parties_.at(name)->request); }
  void release(const std::string& names) {
    for (const char name : names) table_.release(parties_.at(name)->request);
  }
  bool held(char name) { return parties_.at(name)->request.held(); }

  LockTable table_;
  std::map<char, std::unique_ptr<Party>> parties_;
  std::string order_;

 private:
  LockRequest& add(char name, std::vector<LockKey> keys) {
    parties_[name] = std::make_unique<Party>(std::move(keys));
    return parties_[name]->request;
  }
};

TEST_F(LockTableTest, FreeKeysAreHeldAtOnce) {
  EXPECT_TRUE(acquire('a', {{1, kExclusive}, {2, kShared}}));
  EXPECT_EQ(table_.size(), 2u);
  release("a");
  EXPECT_EQ(table_.size(), 0u);
  EXPECT_EQ(order_, "");
}

TEST_F(LockTableTest, SharedHoldersKeepOutAnExclusiveOneUntilTheLastIsGone) {
  EXPECT_TRUE(acquire('a', {{1, kShared}}));
  EXPECT_TRUE(acquire('b', {{1, kShared}}));
  EXPECT_FALSE(acquire('c', {{1, kExclusive}}));
  release("a");
  EXPECT_EQ(order_, "");
  release("b");
  EXPECT_EQ(order_, "c");
  release("c");
}

TEST_F(LockTableTest, NobodyBargesPastAWaiter) {
  EXPECT_TRUE(acquire('a', {{1, kShared}}));
  EXPECT_FALSE(acquire('b', {{1, kExclusive}}));
  EXPECT_FALSE(acquire('c', {{1, kShared}}));
  EXPECT_FALSE(try_acquire('d', {{1, kShared}}));
  release("a");
  EXPECT_EQ(order_, "b");
  release("b");
  EXPECT_EQ(order_, "bc");
  release("c");
}

TEST_F(LockTableTest, WaitersAreGrantedInTheOrderTheyCame) {
  EXPECT_TRUE(acquire('a', {{1, kExclusive}}));
  for (const char name : std::string("bcd")) EXPECT_FALSE(acquire(name, {{1, kExclusive}}));
  release("abcd");
  EXPECT_EQ(order_, "bcd");
}

TEST_F(LockTableTest, SharedWaitersInARowGoTogether) {
  EXPECT_TRUE(acquire('a', {{1, kExclusive}}));
  for (const char name : std::string("bc")) EXPECT_FALSE(acquire(name, {{1, kShared}}));
  EXPECT_FALSE(acquire('d', {{1, kExclusive}}));
  release("a");
  EXPECT_EQ(order_, "bc");
  release("bcd");
  EXPECT_EQ(order_, "bcd");
}

TEST_F(LockTableTest, AKeyNamedTwiceIsTakenOnceInTheStrongerMode) {
  EXPECT_TRUE(acquire('a', {{1, kShared}, {1, kExclusive}, {1, kShared}}));
  EXPECT_FALSE(try_acquire('b', {{1, kShared}}));
  release("a");
  EXPECT_TRUE(try_acquire('b', {{1, kShared}}));
  release("b");
}

TEST_F(LockTableTest, CrossingRequestsDoNotDeadlock) {
  EXPECT_TRUE(acquire('x', {{1, kExclusive}}));
  EXPECT_FALSE(acquire('a', {{2, kExclusive}, {1, kExclusive}}));
  EXPECT_FALSE(acquire('b', {{1, kExclusive}, {2, kExclusive}}));
  release("xab");
  EXPECT_EQ(order_, "ab");
}

TEST_F(LockTableTest, TryTakesAllOrNothing) {
  EXPECT_TRUE(acquire('a', {{2, kExclusive}}));
  EXPECT_FALSE(try_acquire('b', {{1, kExclusive}, {2, kExclusive}}));
  EXPECT_TRUE(try_acquire('c', {{1, kExclusive}}));
  release("ac");
}

TEST_F(LockTableTest, CancellingGivesBackWhatWasTaken) {
  EXPECT_TRUE(acquire('a', {{2, kExclusive}}));
  EXPECT_FALSE(acquire('b', {{1, kExclusive}, {2, kExclusive}}));
  EXPECT_FALSE(acquire('c', {{1, kExclusive}}));
  EXPECT_TRUE(cancel('b'));
  EXPECT_EQ(order_, "c");
  release("ac");
  EXPECT_EQ(order_, "c");
}

TEST_F(LockTableTest, CancellingLetsThoseBehindGo) {
  EXPECT_TRUE(acquire('a', {{1, kShared}}));
  EXPECT_FALSE(acquire('b', {{1, kExclusive}}));
  EXPECT_FALSE(acquire('c', {{1, kShared}}));
  EXPECT_TRUE(cancel('b'));
  EXPECT_EQ(order_, "c");
  release("ac");
}

TEST_F(LockTableTest, AGrantedRequestCannotBeCancelled) {
  EXPECT_TRUE(acquire('a', {{1, kExclusive}}));
  EXPECT_FALSE(cancel('a'));
  EXPECT_TRUE(held('a'));
  release("a");
}

TEST_F(LockTableTest, AGrantedCallbackMayReleaseAndDestroyItsRequest) {
  EXPECT_TRUE(acquire('a', {{1, kExclusive}}));
  auto waiting = std::make_unique<LockRequest>(std::vector<LockKey>{{1, kExclusive}});
  EXPECT_FALSE(table_.acquire(*waiting, [&] {
    table_.release(*waiting);
    waiting.reset();
  }));
  release("a");
  EXPECT_EQ(waiting, nullptr);
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(LockTableTest, ARequestCanBeUsedAgain) {
  EXPECT_TRUE(acquire('a', {{1, kExclusive}}));
  release("a");
  parties_['a']->request.clear();
  parties_['a']->request.add(2, kExclusive);
  EXPECT_TRUE(table_.try_acquire(parties_['a']->request));
  EXPECT_FALSE(try_acquire('b', {{2, kShared}}));
  release("a");
}

TEST_F(LockTableTest, AHolderLeavesATraceForWhoAskedBeforeItLetGo) {
  const uint64_t before = table_.now();
  EXPECT_TRUE(acquire('a', {{1, kExclusive}, {2, kShared}}));
  const uint64_t meanwhile = table_.now();
  EXPECT_FALSE(table_.changed_since(1, before));
  release("a");
  for (const uint64_t then : {before, meanwhile}) {
    EXPECT_TRUE(table_.changed_since(1, then));
    EXPECT_TRUE(table_.written_since(1, then));
    EXPECT_FALSE(table_.changed_since(2, then));  // it was shared
    EXPECT_TRUE(table_.written_since(2, then));
    EXPECT_FALSE(table_.written_since(3, then));
  }
  EXPECT_FALSE(table_.changed_since(1, table_.now()));
}

TEST_F(LockTableTest, WhoChangedNothingLeavesNoTrace) {
  const uint64_t before = table_.now();
  EXPECT_TRUE(acquire('a', {{1, kExclusive}}));
  table_.release(parties_.at('a')->request, Left::kNothing);
  EXPECT_TRUE(acquire('b', {{2, kExclusive}}));
  EXPECT_FALSE(acquire('c', {{1, kExclusive}, {2, kExclusive}}));
  EXPECT_TRUE(cancel('c'));
  EXPECT_FALSE(try_acquire('d', {{1, kExclusive}, {2, kExclusive}}));
  EXPECT_FALSE(table_.changed_since(1, before));
  EXPECT_FALSE(table_.written_since(1, before));
  release("b");
}

TEST_F(LockTableTest, WhoOnlyRemovedChangedItsDocumentsButWroteNothing) {
  const uint64_t before = table_.now();
  EXPECT_TRUE(acquire('a', {{1, kExclusive}, {2, kShared}}));
  table_.release(parties_.at('a')->request, Left::kRemoved);
  EXPECT_TRUE(table_.changed_since(1, before));
  EXPECT_FALSE(table_.written_since(2, before));
}

TEST_F(LockTableTest, NoTraceIsLostHoweverManyKeysThereAre) {
  const uint64_t before = table_.now();
  LockRequest request;
  for (uint64_t key = 0; key < 200'000; ++key) request.add(key, kExclusive);
  ASSERT_TRUE(table_.try_acquire(request));
  table_.release(request);
  for (uint64_t key = 0; key < 200'000; ++key) ASSERT_TRUE(table_.changed_since(key, before));
}

TEST(LockKeys, IdsThatMongodHoldsEqualShareALock) {
  const auto one = bson::make_int32(1);
  const auto also_one = bson::make_double(1.0);
  const auto two = bson::make_int32(2);
  EXPECT_EQ(document_lock_key("t.a", one.view()), document_lock_key("t.a", also_one.view()));
  EXPECT_NE(document_lock_key("t.a", one.view()), document_lock_key("t.a", two.view()));
  EXPECT_NE(document_lock_key("t.a", one.view()), document_lock_key("t.b", one.view()));
  EXPECT_EQ(document_lock_key("t.a", one.view()),
            document_lock_key("t.a", std::string_view(bson::canonical_key(one.view()))));
  EXPECT_NE(namespace_lock_key("t.a"), namespace_lock_key("t.b"));
}

// Plain integers that only the locks protect: what each thread believes it added must be there at
// the end, and ThreadSanitizer must find no two at once.
class Crowd {
 public:
  static constexpr size_t kKeys = 12;
  static constexpr int kThreads = 6;
  static constexpr int kRounds = 1500;

  void run() {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back([this, i] { work(i); });
    for (std::thread& each : threads) each.join();
  }

  LockTable table_;
  std::array<int64_t, kKeys> cells_{};
  std::array<std::atomic<int64_t>, kKeys> expected_{};

 private:
  void work(int seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    for (int round = 0; round < kRounds; ++round) {
      LockRequest request;
      std::set<size_t> written;
      std::set<size_t> read;
      for (unsigned i = 0; i < 1 + random() % 4; ++i) {
        const size_t key = random() % kKeys;
        const bool write = random() % 3 != 0;
        request.add(key, write ? kExclusive : kShared);
        (write ? written : read).insert(key);
      }
      if (!take(request, random() % 3)) continue;
      if (random() % 4 == 0) {
        table_.hold_long(request);
        std::this_thread::yield();
      }
      for (const size_t key : read) EXPECT_LE(cells_[key], expected_[key].load());
      for (const size_t key : written) {
        ++expected_[key];
        ++cells_[key];
      }
      table_.release(request);
    }
  }

  bool take(LockRequest& request, unsigned how) {
    if (how == 0) return table_.try_acquire(request);
    if (how == 1) {
      acquire_blocking(table_, request);
      return true;
    }
    // Wait a little, then give up: the path of an app's transaction.
    auto granted = std::make_shared<std::atomic<bool>>(false);
    if (table_.acquire(request, [granted] { *granted = true; })) return true;
    std::this_thread::yield();
    if (table_.cancel(request)) return false;
    while (!*granted) std::this_thread::yield();
    return true;
  }
};

TEST(LockTableThreads, ACrowdNeverHoldsAKeyTwiceAndNobodyIsForgotten) {
  Crowd crowd;
  crowd.run();
  for (size_t key = 0; key < Crowd::kKeys; ++key) {
    EXPECT_EQ(crowd.cells_[key], crowd.expected_[key].load());
  }
  EXPECT_EQ(crowd.table_.size(), 0u);
}

// What a transaction holds: whoever waits for it keeps nothing from others meanwhile.
TEST_F(LockTableTest, WhoMeetsALongHolderGivesBackWhatItHas) {
  EXPECT_TRUE(try_acquire('t', {{2, kExclusive}}));
  table_.hold_long(parties_.at('t')->request);
  EXPECT_FALSE(acquire('a', {{1, kExclusive}, {2, kExclusive}, {3, kExclusive}}));
  EXPECT_TRUE(acquire('b', {{1, kExclusive}}));
  release("bt");
  EXPECT_EQ(order_, "a");
  release("a");
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(LockTableTest, WhoWaitedBeforeTheHoldBecameLongGivesBackToo) {
  EXPECT_TRUE(acquire('t', {{2, kExclusive}}));
  EXPECT_FALSE(acquire('a', {{1, kExclusive}, {2, kExclusive}}));
  EXPECT_FALSE(acquire('b', {{1, kExclusive}}));
  table_.hold_long(parties_.at('t')->request);
  EXPECT_EQ(order_, "b");
  release("b");
  release("t");
  EXPECT_EQ(order_, "ba");
  release("a");
}

TEST_F(LockTableTest, WhoStandsAsideBeginsAgainAndMayMeetAnother) {
  EXPECT_TRUE(try_acquire('t', {{3, kExclusive}}));
  table_.hold_long(parties_.at('t')->request);
  EXPECT_FALSE(acquire('a', {{1, kExclusive}, {2, kExclusive}, {3, kExclusive}}));
  EXPECT_TRUE(try_acquire('u', {{2, kExclusive}}));
  table_.hold_long(parties_.at('u')->request);
  release("t");
  EXPECT_FALSE(held('a'));
  EXPECT_TRUE(acquire('b', {{1, kExclusive}}));
  release("b");
  release("u");
  EXPECT_TRUE(held('a'));
  release("a");
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(LockTableTest, WhoStandsAsideKeepsItsPlaceInTheLine) {
  EXPECT_TRUE(acquire('t', {{1, kShared}, {2, kExclusive}}));
  table_.hold_long(parties_.at('t')->request);
  EXPECT_FALSE(acquire('a', {{1, kShared}, {2, kExclusive}, {3, kExclusive}}));
  EXPECT_FALSE(acquire('b', {{2, kExclusive}}));
  EXPECT_FALSE(acquire('c', {{1, kShared}, {2, kExclusive}}));
  EXPECT_FALSE(try_acquire('x', {{2, kExclusive}}));
  release("t");
  EXPECT_EQ(order_, "a");
  // A newer one comes behind those, however often they are made to stand aside.
  EXPECT_FALSE(acquire('A', {{1, kShared}, {2, kExclusive}}));
  for (const char name : std::string("abc")) {
    table_.hold_long(parties_.at(name)->request);
    release(std::string(1, name));
  }
  EXPECT_EQ(order_, "abcA");
  release("A");
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(LockTableTest, WhoWaitsBehindAnExclusiveOneForALongSharedHolderHoldsNothing) {
  EXPECT_TRUE(acquire('t', {{2, kShared}}));
  table_.hold_long(parties_.at('t')->request);
  EXPECT_FALSE(acquire('x', {{2, kExclusive}}));
  EXPECT_FALSE(acquire('a', {{1, kExclusive}, {2, kShared}}));
  EXPECT_TRUE(acquire('b', {{1, kExclusive}}));
  release("t");
  EXPECT_EQ(order_, "x");
  release("x");  // the turn of one that cannot have the keys before
  EXPECT_EQ(order_, "x");
  release("b");
  EXPECT_EQ(order_, "xa");
  release("a");
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(LockTableTest, WhoStandsAsideMayGiveUp) {
  EXPECT_TRUE(try_acquire('t', {{2, kExclusive}}));
  table_.hold_long(parties_.at('t')->request);
  EXPECT_FALSE(acquire('a', {{1, kExclusive}, {2, kShared}}));
  EXPECT_FALSE(acquire('b', {{1, kExclusive}, {2, kExclusive}}));
  EXPECT_TRUE(cancel('a'));
  release("t");
  EXPECT_EQ(order_, "b");
  release("b");
  EXPECT_EQ(table_.size(), 0u);
}

}  // namespace
}  // namespace outrigger
