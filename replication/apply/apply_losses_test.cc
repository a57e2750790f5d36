// What lost is in the ledger as soon as the merge it was lost in is remembered, not before and not
// after, wherever power fails; and of what comes in one batch only what was lost in the end.
#include "replication/testing/applier_fixture.h"

namespace outrigger {
namespace {

struct Log : outbox::MemoryOutbox {
  using Bytes = std::optional<std::string>;
  [[nodiscard]] Bytes row_of_it() const {
    return *row(kTestNs, bson::canonical_key(number(1).view()));
  }
  [[nodiscard]] Status write(outbox::Batch&& batch) override {
    const Bytes row = row_of_it();
    const size_t entries = size(outbox::Family::kLedger);
    Status status = MemoryOutbox::write(std::move(batch));
    if (row_of_it() != row || size(outbox::Family::kLedger) != entries) {
      changes.emplace_back(row_of_it() != row, size(outbox::Family::kLedger) - entries);
    }
    return status;
  }
  std::vector<std::pair<bool, size_t>> changes;  // of the row, and how many entries came
};

class ApplyLossesTest : public ::testing::Test {
 protected:
  // Paris has an `a` of its own, and oslo's, which loses, is offered to it.
  ApplyLossesTest() {
    oslo_.insert(1, {{"a", number(0)}});
    exchange(paris_, oslo_);
    oslo_.set(1, "a", 1);
    paris_.clock.advance_ms(10);
    paris_.set(1, "a", 2);
  }
  void offer() {
    const Link link(oslo_, paris_);
    auto segments = read_segments(*oslo_.replica, paris_.replica->applied(), 1u << 20);
    ASSERT_TRUE(segments.has_value());
    ASSERT_TRUE(paris_.replica->offer(std::move(*segments), run_of(oslo_)).has_value());
  }
  std::vector<std::string> lost() const {
    std::vector<std::string> lines;
    for (const LedgerEntry& each : paris_.ledger()) {
      lines.push_back(path_text(each.path) + " " + bson::to_json(each.value.view()));
    }
    return lines;
  }

  std::shared_ptr<Log> log_ = std::make_shared<Log>();
  TestSite paris_{"paris", {"oslo", "paris"}, [log = log_] { return log; }};
  TestSite oslo_{"oslo", {"oslo", "paris"}, memory_outbox()};
};

TEST_F(ApplyLossesTest, AnEntryComesInTheSameWriteAsTheRow) {
  offer();
  log_->changes.clear();
  EXPECT_TRUE(paris_.applier->step().has_value());
  const std::vector<std::pair<bool, size_t>> once = {{true, 1}};
  EXPECT_EQ(log_->changes, once);
}

TEST_F(ApplyLossesTest, APowerCutLeavesBothOrNeitherAndTheReplayWritesItOnce) {
  for (const size_t kept : {0u, 1u, 2u, 3u}) {
    offer();
    const auto row = log_->row_of_it();
    const size_t entries = lost().size();
    paris_.mongod.crash_after(0);
    static_cast<void>(paris_.applier->step());
    paris_.kill();
    log_->lose_unsynced(kept);
    EXPECT_EQ(log_->row_of_it() != row, log_->size(outbox::Family::kLedger) != entries);
    paris_.open();
    ASSERT_TRUE(paris_.recover().has_value());
    exchange(paris_, oslo_);
    EXPECT_EQ(lost().size(), entries + 1) << kept;
    oslo_.set(1, "a", 3);
    paris_.clock.advance_ms(10);
    paris_.set(1, "a", 4);
  }
}

TEST_F(ApplyLossesTest, WhatItsAuthorReplacedInTheSameBatchIsNoEntry) {
  oslo_.clock.advance_ms(20);
  oslo_.set(1, "a", 3);
  exchange(paris_, oslo_);
  EXPECT_EQ(lost(), std::vector<std::string>{"a 2"});
}

}  // namespace
}  // namespace outrigger
