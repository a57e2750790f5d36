// Documents that peers gave birth to are written without being looked for; what stood there is
// merged with all the same, whenever the batch is cut short.
#include "replication/testing/applier_fixture.h"

namespace outrigger {
namespace {

using bson::make_int32;

constexpr int kBorn = 4;
constexpr int kMet = 2;  // not the first one, which is looked for

std::string stranger() { return bson::Writer().int32("_id", kMet).int32("old", 7).finish(); }

class StrangersTest : public ApplierTest {
 protected:
  void bear() {
    for (int id = 0; id < kBorn; ++id) oslo_.insert(id, {{"n", make_int32(id)}});
  }
  [[nodiscard]] std::vector<std::string> kinds() const {
    std::vector<std::string> kinds;
    for (const LedgerEntry& entry : paris_.ledger()) kinds.push_back(entry.kind);
    return kinds;
  }
  void expect_merged(const std::string& when) {
    SCOPED_TRACE(when);
    for (int id = 0; id < kBorn; ++id) EXPECT_EQ(paris_.number(id, "n"), id);
    EXPECT_EQ(paris_.document(kMet), merged_document()) << paris_.show(kMet);
    auto row = outbox_->row(kTestNs, bson::canonical_key(make_int32(kMet).view()));
    ASSERT_TRUE(row && *row);
    EXPECT_EQ(**row, merged_.row_after);
    EXPECT_EQ(kinds().size(), merged_.lost.size());
    EXPECT_EQ(paris_.replica->applied(), oslo_.replica->applied());
  }
  [[nodiscard]] std::optional<std::string> merged_document() const {
    std::vector<const StoreWrite*> writes;
    for (const auto& [position, write] : merged_.writes) writes.push_back(&write);
    return written(stranger(), writes);
  }
  // What looking first would have made of it.
  void look_first() {
    auto segments = read_segments(*oslo_.replica, {}, 1u << 20);
    ASSERT_TRUE(segments);
    for (const Record& record : segments->front().records) {
      for (const DocumentEffects& effects : record.documents) {
        if (effects.id != make_int32(kMet)) continue;
        merged_ = {};
        merged_.ns = effects.ns;
        merged_.id = effects.id;
        merged_.touches.push_back({&record, &effects, 1, true});
        ASSERT_TRUE(merge_document(merged_, bson::Document(stranger()), true).value());
      }
    }
  }

  ApplyDocument merged_;
};

TEST_F(StrangersTest, NobodyLooksForDocumentsThatAreOnlyBorn) {
  bear();
  const size_t before = paris_.mongod.reads();
  exchange(oslo_, paris_);
  for (int id = 0; id < kBorn; ++id) EXPECT_EQ(paris_.number(id, "n"), id);
  EXPECT_EQ(paris_.mongod.reads(), before + 1);
}

TEST_F(StrangersTest, AStrangerIsMergedWith) {
  paris_.mongod.put(kTestNs, stranger());
  bear();
  look_first();
  const int64_t rows = static_cast<int64_t>(paris_.status().rows);
  offer();
  EXPECT_EQ(step(), StepOutcome::kApplied);
  expect_merged("at once");
  EXPECT_EQ(static_cast<int64_t>(paris_.status().rows), rows + kBorn);
}

TEST_F(StrangersTest, AStrangerIsMergedWithHoweverTheBatchIsCutShort) {
  paris_.mongod.put(kTestNs, stranger());
  bear();
  look_first();
  offer();
  // Of the births one is refused; the last one is what became of it.
  for (size_t writes = 0; writes <= kBorn; ++writes) {
    paris_.mongod.crash_after(writes);
    EXPECT_EQ(step(), StepOutcome::kTrouble);
    paris_.restart();
    if (paris_.replica->applied() == oslo_.replica->applied()) break;
  }
  expect_merged("cut short and replayed");
}

TEST_F(StrangersTest, AStrangerMetAgainAndAgainIsMergedWithOnce) {
  paris_.mongod.put(kTestNs, stranger());
  bear();
  look_first();
  offer();
  paris_.mongod.crash_after(kBorn);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  for (int i = 0; i < 3; ++i) {
    paris_.mongod.crash_after(0);
    EXPECT_EQ(step(), StepOutcome::kTrouble);
  }
  EXPECT_EQ(step(), StepOutcome::kApplied);
  expect_merged("after many troubles");
}

TEST_F(StrangersTest, AStrangerIsMergedWithWhereAnotherMongodAnswersHalfWay) {
  paris_.mongod.put(kTestNs, stranger());
  bear();
  look_first();
  offer();
  paris_.mongod.crash_after(1);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  StoreInfo other = *paris_.mongod.info();
  other.process_id = std::string(12, 'q');
  paris_.mongod.set_info(other);
  paris_.mongod.remove(kTestNs, make_int32(0));  // it was not journaled
  EXPECT_EQ(step(), StepOutcome::kApplied);
  expect_merged("by another mongod");
}

TEST_F(StrangersTest, WhatABatchWroteBeforeItWasCutShortIsNoStranger) {
  bear();
  offer();
  paris_.mongod.crash_after(kBorn - 1);
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  paris_.restart();
  for (int id = 0; id < kBorn; ++id) EXPECT_EQ(paris_.number(id, "n"), id);
  EXPECT_TRUE(kinds().empty());
  EXPECT_EQ(paris_.replica->applied(), oslo_.replica->applied());
}

}  // namespace
}  // namespace outrigger
