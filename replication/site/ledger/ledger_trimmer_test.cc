// What goes for its age, what goes although it is open, and how many are open.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/policy.h"
#include "replication/outbox/memory/memory_outbox.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kKeptBytes = 64 * 1024;
constexpr int64_t kHourMs = 3'600'000;

class LedgerTrimmerTest : public ::testing::Test {
 protected:
  void start(bool escalates, int64_t keep_ms) {
    Settings settings;
    settings.replicate.emplace_back().namespace_glob = "*";
    settings.replicate.back().escalate.always = escalates;
    policy_.emplace(settings);
    paris_.kill();
    paris_.replica_options.policy = &*policy_;
    paris_.replica_options.ledger_bytes_max = kKeptBytes;
    paris_.replica_options.ledger_keep_ms = keep_ms;
    paris_.replica_options.warn = [this](const std::string& line) { warnings_.push_back(line); };
    paris_.open();
    ASSERT_TRUE(paris_.recover().has_value());
    pass(2 * kHourMs);  // beyond the stamps of the run before
    paris_.insert(1, {});
    exchange(oslo_, paris_);
  }
  void pass(int64_t ms) {
    for (TestSite* site : {&oslo_, &paris_}) site->clock.advance_ms(ms);
  }
  // Two sites set one field without seeing each other; the value of the first is lost.
  void conflict(size_t bytes = 20) {
    std::string value = std::to_string(conflicts_++);
    value.resize(bytes, 'x');
    oslo_.set(1, "a", value);
    pass(5);
    paris_.set(1, "a", "later" + std::to_string(conflicts_));
    exchange(oslo_, paris_);
  }
  void set_aside(int id, size_t bytes = 100) {
    paris_.mongod.reject(kTestNs, bson::make_int32(id));
    oslo_.insert(id, {{"v", bson::make_string(std::string(bytes, 'y'))}});
    exchange(oslo_, paris_);
  }
  void settle_first_open() {
    for (const LedgerEntry& entry : paris_.ledger()) {
      if (!entry.open || !is_loss(entry.kind)) continue;
      ASSERT_TRUE(paris_.replica->mark_conflict(ledger_key(entry), LedgerMark::kResolved, {}));
      return;
    }
    FAIL() << "nothing is open";
  }
  // As they are found one by one.
  uint64_t open_entries() const {
    uint64_t open = 0;
    for (const LedgerEntry& entry : paris_.ledger()) open += entry.open ? 1 : 0;
    return open;
  }
  std::vector<std::string> kinds() const {
    std::vector<std::string> kinds;
    for (const LedgerEntry& entry : paris_.ledger()) kinds.push_back(entry.kind);
    return kinds;
  }

  std::optional<Policy> policy_;
  const std::vector<std::string> names_{"oslo", "paris"};
  TestSite oslo_{"oslo", names_, memory_outbox()};
  TestSite paris_{"paris", names_, memory_outbox()};
  std::vector<std::string> warnings_;
  int conflicts_ = 0;
};

TEST_F(LedgerTrimmerTest, WhatIsOlderThanMayBeGoesAndNothingElse) {
  start(false, kHourMs);
  conflict();
  conflict();
  pass(kHourMs / 2);
  conflict();
  paris_.collect();
  EXPECT_EQ(paris_.status().ledger_entries, 3u);
  pass(kHourMs / 2);
  paris_.collect();
  EXPECT_EQ(paris_.status().ledger_entries, 1u);
  EXPECT_EQ(paris_.status().ledger_dropped, 2u);
  EXPECT_EQ(paris_.status().ledger_oldest_ms, paris_.ledger().front().time_ms);
  pass(kHourMs);
  paris_.restart();
  paris_.collect();
  EXPECT_THAT(kinds(), IsEmpty());
  EXPECT_EQ(paris_.status().ledger_dropped, 3u);
  EXPECT_THAT(warnings_, IsEmpty()) << "nothing unusual";
}

TEST_F(LedgerTrimmerTest, WithoutABoundNothingIsTooOld) {
  start(false, 0);
  conflict();
  pass(1'000'000 * kHourMs);
  paris_.collect();
  EXPECT_THAT(kinds(), SizeIs(1));
}

TEST_F(LedgerTrimmerTest, WhatIsOpenStaysHoweverOldUntilSomebodyDecides) {
  start(true, kHourMs);
  set_aside(7);
  conflict();
  pass(2 * kHourMs);
  paris_.collect();
  EXPECT_THAT(kinds(), ElementsAre("set_set", kNotApplied));
  settle_first_open();
  paris_.collect();
  EXPECT_THAT(kinds(), ElementsAre(kNotApplied));
  EXPECT_EQ(paris_.status().ledger_dropped_open, 0u);
}

TEST_F(LedgerTrimmerTest, OfTooManyOpenLossesTheOldestGoAndThatIsSaid) {
  start(true, 0);
  set_aside(7, 3000);
  for (int i = 0; i < 50; ++i) conflict(2000);
  paris_.collect();
  EXPECT_EQ(paris_.status().ledger_dropped_open, 0u) << "not yet twice as much";
  EXPECT_THAT(paris_.status().alarms, ElementsAre(HasSubstr("all of it is open")));
  for (int i = 0; i < 50; ++i) conflict(2000);
  const uint64_t all = paris_.status().ledger_entries;
  paris_.collect();
  const ReplicaStatus status = paris_.status();
  EXPECT_GT(status.ledger_dropped_open, 10u);
  EXPECT_EQ(status.ledger_entries + status.ledger_dropped_open, all);
  EXPECT_LT(status.ledger_bytes, 2 * kKeptBytes + 4000);
  EXPECT_GT(status.ledger_bytes, 2 * kKeptBytes - 10'000);
  EXPECT_EQ(kinds().back(), kNotApplied) << "older than all that went";
  EXPECT_EQ(status.ledger_open, open_entries());
  EXPECT_THAT(status.alarms, testing::Contains(HasSubstr("open losses alone took twice")));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("open losses were dropped")));
  paris_.restart();
  EXPECT_EQ(paris_.status().ledger_dropped_open, status.ledger_dropped_open);
}

TEST_F(LedgerTrimmerTest, WhatIsSetAsideDoesNotCountAsOpenLosses) {
  start(true, 0);
  for (int id = 10; id < 20; ++id) set_aside(id, 20'000);
  conflict();
  paris_.collect();
  EXPECT_GT(paris_.status().ledger_bytes, 2 * kKeptBytes);
  EXPECT_THAT(kinds(), testing::Contains("set_set"));
  EXPECT_EQ(paris_.status().ledger_dropped_open, 0u);
}

TEST_F(LedgerTrimmerTest, ClosedOnesGoBeforeOpenOnes) {
  start(true, 0);
  for (int i = 0; i < 20; ++i) conflict(2000);
  policy_->change_to({});
  for (int i = 0; i < 20; ++i) conflict(2000);
  paris_.collect();
  EXPECT_LE(paris_.status().ledger_bytes, kKeptBytes);
  EXPECT_EQ(open_entries(), paris_.status().ledger_open);
  EXPECT_EQ(open_entries(), 20u);
  EXPECT_EQ(paris_.status().ledger_dropped_open, 0u);
}

TEST_F(LedgerTrimmerTest, HowManyAreOpenIsKnownAlsoAfterARestart) {
  start(true, 0);
  EXPECT_EQ(paris_.status().ledger_open, 0u);
  for (int i = 0; i < 3; ++i) conflict();
  set_aside(7);
  EXPECT_EQ(paris_.status().ledger_open, 4u);
  settle_first_open();
  EXPECT_EQ(paris_.status().ledger_open, 3u);
  paris_.restart();
  EXPECT_EQ(paris_.status().ledger_open, 3u);
  EXPECT_EQ(open_entries(), 3u);
  paris_.mongod.allow(kTestNs, bson::make_int32(7));
  paris_.restart();
  exchange(oslo_, paris_);
  EXPECT_EQ(paris_.status().ledger_open, 2u);
  EXPECT_EQ(open_entries(), 2u);
}

}  // namespace
}  // namespace outrigger
