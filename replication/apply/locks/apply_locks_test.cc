// A record whose documents are written to all the time has its turn.
#include "replication/apply/locks/apply_locks.h"

#include <gtest/gtest.h>

#include <deque>

#include "replication/record/catalog.h"

namespace outrigger {
namespace {

constexpr std::string_view kNs = "t.c";

Record record_on(std::vector<int> ids, Hlc stamp = 1, uint8_t site = 1) {
  Record record;
  record.origin.site.fill(site);
  record.hlc = stamp;
  for (const int id : ids) {
    DocumentEffects document;
    document.ns = kNs;
    document.id = bson::make_int32(id);
    record.documents.push_back(std::move(document));
  }
  return record;
}

// Writers that want the same documents again as soon as they have let them go.
class Crowd {
 public:
  Crowd(LockTable& table, const std::vector<std::vector<int>>& wanted) : table_(table) {
    for (const std::vector<int>& ids : wanted) {
      auto request = std::make_unique<LockRequest>();
      request->add(namespace_lock_key(kNs), LockMode::kShared);
      for (const int id : ids) {
        request->add(document_lock_key(kNs, bson::make_int32(id).view()), LockMode::kExclusive);
      }
      want(*request);
      requests_.push_back(std::move(request));
    }
  }
  ~Crowd() {
    for (const auto& request : requests_) {
      if (!table_.cancel(*request)) table_.release(*request);
    }
  }

  // The writer that has waited longest writes, and wants more.
  void one_writes() {
    ASSERT_FALSE(holding_.empty());
    LockRequest& request = *holding_.front();
    holding_.pop_front();
    table_.release(request);
    ++writes_;
    want(request);
  }
  [[nodiscard]] int writes() const { return writes_; }

 private:
  void want(LockRequest& request) {
    if (table_.acquire(request, [this, &request] { holding_.push_back(&request); })) {
      holding_.push_back(&request);
    }
  }

  LockTable& table_;
  std::vector<std::unique_ptr<LockRequest>> requests_;
  std::deque<LockRequest*> holding_;
  int writes_ = 0;
};

class ApplyLocksTest : public testing::Test {
 protected:
  static constexpr int kWriters = 32;

  // Batches are tried between any two writes, until one has the record.
  int writes_until_taken(Crowd& crowd, const Record& record) {
    while (!locks_.take(record) && crowd.writes() < 100 * kWriters) {
      locks_.release();
      crowd.one_writes();
    }
    locks_.release();
    return crowd.writes();
  }

  LockTable table_;
  int granted_ = 0;
  ApplyLocks locks_{table_, [this] { ++granted_; }};
};

TEST_F(ApplyLocksTest, ABusyDocumentIsHadAfterThoseWhoCameBefore) {
  Crowd crowd(table_, std::vector<std::vector<int>>(kWriters, {1}));
  EXPECT_EQ(writes_until_taken(crowd, record_on({1})), kWriters);
  EXPECT_EQ(granted_, 1);
}

TEST_F(ApplyLocksTest, ManyBusyDocumentsAreHadAfterABoundedNumberOfWrites) {
  std::vector<std::vector<int>> wanted;
  for (int i = 0; i < kWriters; ++i) wanted.push_back({i % 4, (i + 1) % 4});
  Crowd crowd(table_, wanted);
  EXPECT_LE(writes_until_taken(crowd, record_on({0, 1, 2, 3})), 4 * kWriters);
}

// Of a batch that comes to nothing: the second of two records waits for a busy document, and must
// not keep from the first what both are about.
TEST_F(ApplyLocksTest, ARecordThatIsTakenAgainFindsNothingHeldByThoseBehindIt) {
  for (int id = 2; id < 20; ++id) {            // locks are taken in the order of their hashes
    const uint8_t site = id % 2 == 0 ? 1 : 2;  // that of the first, or another that builds on it
    LockRequest busy;
    busy.add(document_lock_key(kNs, bson::make_int32(id).view()), LockMode::kExclusive);
    ASSERT_TRUE(table_.try_acquire(busy));
    EXPECT_TRUE(locks_.take(record_on({1}, 1, 1)));
    EXPECT_FALSE(locks_.take(record_on({1, id}, 2, site)));
    locks_.forget();
    EXPECT_TRUE(locks_.take(record_on({1}, 1, 1)));
    EXPECT_FALSE(locks_.take(record_on({1, id}, 2, site)));
    locks_.release();
    table_.release(busy);
    EXPECT_TRUE(locks_.take(record_on({1, id}, 2, site)));
    locks_.release();
  }
}

TEST_F(ApplyLocksTest, EveryOriginHasItsPlace) {
  Crowd crowd(table_, std::vector<std::vector<int>>(kWriters, {1}));
  const Record of_oslo = record_on({1}, 1, 1);
  const Record of_paris = record_on({1}, 2, 2);
  EXPECT_FALSE(locks_.take(of_oslo));
  EXPECT_FALSE(locks_.take(of_paris));
  EXPECT_EQ(writes_until_taken(crowd, of_oslo), kWriters);
  EXPECT_EQ(writes_until_taken(crowd, of_paris), kWriters);
}

TEST_F(ApplyLocksTest, WhatIsFreeIsTakenThoughSomethingElseIsWaitedFor) {
  Crowd crowd(table_, {{1}});
  EXPECT_FALSE(locks_.take(record_on({1}, 1, 1)));
  EXPECT_TRUE(locks_.take(record_on({2}, 2, 2)));
  EXPECT_TRUE(locks_.take(kNs, bson::make_int32(3).view()));
  EXPECT_FALSE(locks_.take(kNs, bson::make_int32(1).view()));
  locks_.release();
}

TEST_F(ApplyLocksTest, ThePlaceOfARecordIsNoOtherRecords) {
  const Record first = record_on({1}, 1);
  const Record tried_again = record_on({2}, 9);  // of the same origin
  Crowd others(table_, {{2}});
  {
    Crowd crowd(table_, {{1}});
    EXPECT_FALSE(locks_.take(first));
    crowd.one_writes();
    EXPECT_EQ(granted_, 1);
    EXPECT_FALSE(locks_.take_if_free(tried_again));
    EXPECT_TRUE(locks_.take(first));
  }
  locks_.release();
}

TEST_F(ApplyLocksTest, ThePlaceOfARecordThatIsGoneIsGivenUp) {
  const Record record = record_on({1});
  {
    Crowd crowd(table_, {{1}});
    EXPECT_FALSE(locks_.take(record));
    locks_.keep_places_of({{record.origin, {{1, nullptr, 0, Word::kNone, {}}}}});
    crowd.one_writes();
    EXPECT_EQ(granted_, 1);
  }
  locks_.keep_places_of({{record.origin, {{2, nullptr, 0, Word::kNone, {}}}}});
  EXPECT_EQ(table_.size(), 0u);
}

Record dropping(std::string_view ns) {
  Record record;
  record.origin.site.fill(1);
  record.hlc = 9;
  DocumentEffects& document = record.documents.emplace_back();
  document.ns = kCatalogNs;
  document.id = bson::make_string(ns);
  Effect& effect = document.effects.emplace_back();
  effect.kind = Operation::kUnset;
  effect.path = {"options"};
  return record;
}

TEST(ApplyLocks, ACollectionIsDroppedInABatchThatDoesNotWriteToIt) {
  LockTable table;
  ApplyLocks locks(table, [] {});
  ASSERT_TRUE(locks.take(record_on({1})));
  EXPECT_FALSE(locks.take(dropping(kNs)));
  EXPECT_FALSE(locks.take(kCatalogNs, bson::make_string(kNs).view()));
  locks.release();
  ASSERT_TRUE(locks.take(dropping(kNs)));
  LockRequest writer;
  writer.add(namespace_lock_key(kNs), LockMode::kShared);
  EXPECT_FALSE(table.try_acquire(writer));
  EXPECT_TRUE(locks.take_if_free(record_on({2})));
  locks.release();
}

}  // namespace
}  // namespace outrigger
