#include "replication/outbox/log_marks.h"

#include <gtest/gtest.h>

namespace outrigger {
namespace {

constexpr size_t kBytes = 200;

class LogMarksTest : public testing::Test {
 protected:
  // Records with the stamps last_ + 1 ..., of kBytes each.
  void add(uint64_t records) {
    for (uint64_t i = 0; i < records; ++i) marks_.add(++last_, kBytes);
  }
  // What is said to lie behind a peer that lacks `records`, less what really does.
  [[nodiscard]] uint64_t surplus(uint64_t records) const {
    const LogMarks::Amount behind = marks_.after(last_ - records);
    EXPECT_EQ(behind.bytes, behind.records * kBytes);
    EXPECT_GE(behind.records, records);
    return behind.records - records;
  }

  LogMarks marks_;
  Hlc last_ = 0;
};

TEST_F(LogMarksTest, TellWhatIsMissingToWithinAFewDozen) {
  add(10'000);
  for (const uint64_t records : {0, 1, 500, 9'999, 10'000}) {
    EXPECT_LT(surplus(records), LogMarks::kEvery) << records;
  }
}

TEST_F(LogMarksTest, StayFewHoweverLongAPeerIsAway) {
  for (int round = 0; round < 50; ++round) {
    add(100'000);
    ASSERT_LE(marks_.size(), LogMarks::kMarksMax);
  }
  const uint64_t error_max = 5'000'000 / (LogMarks::kMarksMax / 4);
  for (const uint64_t records : {1, 70'000, 2'500'000, 4'999'999}) {
    EXPECT_LE(surplus(records), error_max) << records;
  }
}

TEST_F(LogMarksTest, AreFineAgainOnceThePeerHasCaughtUp) {
  add(5'000'000);
  marks_.drop(last_);
  EXPECT_EQ(marks_.size(), 1u);
  add(10'000);
  EXPECT_LT(surplus(5'000), LogMarks::kEvery);
}

TEST_F(LogMarksTest, WhatWasTruncatedIsNotCountedAgain) {
  add(100'000);
  marks_.drop(last_);
  add(1);
  EXPECT_LE(surplus(1), LogMarks::kEvery);
}

}  // namespace
}  // namespace outrigger
