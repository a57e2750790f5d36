// Transactions that ended without a word to us: their locks go, those of living ones stay.
#include "proxy/transactions/transaction_sweep.h"

#include <gtest/gtest.h>

#include <thread>

#include "config/clock.h"

namespace outrigger {
namespace {

constexpr int64_t kSecondMs = 1'000;

// A store that shows these transactions and remembers what was fenced.
class ShownStore final : public StoreFence {
 public:
  Result<std::vector<OpenTransaction>> open_transactions() override {
    ++asked;
    return shown;
  }
  Status fence(std::span<const std::string> lsid_ids, std::span<const std::string>,
               std::chrono::milliseconds) override {
    fenced.insert(fenced.end(), lsid_ids.begin(), lsid_ids.end());
    return {};
  }
  std::vector<OpenTransaction> shown;
  std::vector<std::string> fenced;
  int asked = 0;
};

class TransactionSweepTest : public testing::Test {
 protected:
  TransactionTable::Entry open(uint8_t session) {
    SessionKey key;
    key.lsid.fill(session);
    key.txn_number = 1;
    auto entry = table_.open(key, "run");
    entry->begin();
    entry->use(clock_.monotonic_us(), app_);
    const LockKey lock{session, LockMode::kExclusive};
    LockRequest* request = entry->ask_for(std::span(&lock, 1));
    EXPECT_TRUE(locks_.try_acquire(*request));
    entry->keep(HeldLocks(locks_, *request));
    return entry;
  }
  void show(const TransactionTable::Entry& entry) {
    store_.shown.push_back({entry->session_id(), "", 1});
  }
  bool is_locked(uint8_t session) {
    LockRequest request;
    request.add(session, LockMode::kExclusive);
    return !HeldLocks::try_take(locks_, request);
  }
  void step() { ASSERT_TRUE(sweep_.step(store_).has_value()); }

  LockTable locks_;
  TransactionTable table_{locks_};
  ManualClock clock_;
  std::shared_ptr<const void> app_ = std::make_shared<char>();
  ShownStore store_;
  int ended_ = 0;
  TransactionSweep sweep_{table_, clock_, [this] { ++ended_; }};
};

TEST_F(TransactionSweepTest, WhatMongodShowsNoMoreHasEnded) {
  open(1);
  show(open(2));
  clock_.advance_ms(2 * kSecondMs);
  step();
  EXPECT_FALSE(is_locked(1));
  EXPECT_TRUE(is_locked(2));
  EXPECT_EQ(ended_, 1);
  EXPECT_EQ(table_.size(), 1u);
}

TEST_F(TransactionSweepTest, OneThatHasJustBeenUsedIsLeftAlone) {
  open(1);
  step();
  EXPECT_TRUE(is_locked(1));
  EXPECT_EQ(store_.asked, 0);
}

TEST_F(TransactionSweepTest, OneWhoseCommandIsUnderWayIsLeftAlone) {
  const auto entry = open(1);
  LockRequest session;
  session.add(TransactionTable::lock_key(entry->key()), LockMode::kExclusive);
  HeldLocks held = HeldLocks::try_take(locks_, session);
  clock_.advance_ms(2 * kSecondMs);
  step();
  EXPECT_TRUE(is_locked(1));
  held.release();
  step();
  EXPECT_FALSE(is_locked(1));
}

TEST_F(TransactionSweepTest, WhoseAppIsGoneIsEndedAtMongodAfterAGrace) {
  show(open(1));
  app_.reset();
  clock_.advance_ms(2 * kSecondMs);
  step();
  EXPECT_TRUE(is_locked(1));
  clock_.advance_ms(4 * kSecondMs);
  step();
  EXPECT_FALSE(is_locked(1));
  EXPECT_EQ(store_.fenced, std::vector<std::string>{std::string(16, '\1')});
}

// For ThreadSanitizer: a read of it does not take the session's lock.
TEST_F(TransactionSweepTest, CommandsOfOneAreTakenInWhileItIsLookedAt) {
  const auto entry = open(1);
  show(entry);
  clock_.advance_ms(6 * kSecondMs);
  std::thread commands([&] {
    for (int i = 0; i < 1'000; ++i) entry->use(0, app_);
  });
  for (int i = 0; i < 1'000; ++i) step();
  commands.join();
  EXPECT_TRUE(is_locked(1));
}

TEST_F(TransactionSweepTest, OneHoldsSoMuchAndNoMore) {
  const auto entry = open(1);
  DocumentChange change;
  change.ns = "t.a";
  change.kind = DocumentChange::Kind::kInsert;
  change.document = bson::Writer().string("text", std::string(16 << 20, 'x')).finish();
  for (int i = 0; i < 3; ++i) {
    change.id = bson::make_int32(i);
    EXPECT_TRUE(entry->add(change));
  }
  change.id = bson::make_int32(3);
  EXPECT_FALSE(entry->add(change));
  EXPECT_FALSE(entry->has_room());
}

TEST_F(TransactionSweepTest, ManySmallDocumentsCountForWhatIsKeptOfThem) {
  const auto entry = open(1);
  DocumentChange change;
  change.ns = "t.a";
  change.kind = DocumentChange::Kind::kRemove;
  int kept = 0;
  do {
    change.id = bson::make_int32(kept);
  } while (entry->add(change) && ++kept < 1'000'000);
  EXPECT_LT(kept, 200'000);
}

TEST_F(TransactionSweepTest, WhatWasChangedSinceItBeganItsSnapshotDoesNotShow) {
  const auto write = [&](uint64_t key) {
    LockRequest request;
    request.add(key, LockMode::kExclusive);
    HeldLocks held = HeldLocks::try_take(locks_, request);
    ASSERT_TRUE(held);
  };
  write(7);
  const auto entry = open(1);
  EXPECT_FALSE(entry->is_outdated(7));
  write(8);
  EXPECT_TRUE(entry->is_outdated(8));
  EXPECT_FALSE(entry->is_outdated(7));
  entry->read_long_ago();
  EXPECT_TRUE(entry->is_outdated(7));
}

TEST_F(TransactionSweepTest, ItsSnapshotIsTakenOnceItHasTheFirstLocks) {
  SessionKey key;
  key.lsid.fill(1);
  LockRequest other;
  other.add(8, LockMode::kExclusive);
  HeldLocks::try_take(locks_, other).release();
  const auto entry = table_.open(key, "run");
  HeldLocks::try_take(locks_, other).release();
  EXPECT_TRUE(entry->is_outdated(8));
  const LockKey lock{8, LockMode::kExclusive};
  LockRequest* request = entry->ask_for(std::span(&lock, 1));
  entry->keep(HeldLocks::try_take(locks_, *request));
  EXPECT_FALSE(entry->is_outdated(8));
}

TEST_F(TransactionSweepTest, WithARunOfMongodItsTransactionsAreGone) {
  open(1);
  sweep_.store_gone("another");
  EXPECT_TRUE(is_locked(1));
  sweep_.store_gone("run");
  EXPECT_FALSE(is_locked(1));
}

}  // namespace
}  // namespace outrigger
