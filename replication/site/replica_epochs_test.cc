// Restarts: each takes a new epoch, old ones are retired once every member has all of them, and
// nothing of a retired one is ever missed, applied again, or mistaken for news.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/link/handshake.h"
#include "replication/outbox/memory/memory_outbox.h"
#include "replication/record/record_codec.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::IsEmpty;

class EpochsTest : public ::testing::Test {
 protected:
  void settle_all() { settle_down({&paris_, &oslo_, &rome_}, 30); }
  // One more run of each site, with traffic and everybody connected.
  void run_again(int id) {
    for (TestSite* site : {&paris_, &oslo_, &rome_}) {
      site->restart();
      site->clock.advance_ms(50);
    }
    paris_.insert(id, {{"n", number(0)}});
    settle_all();
    for (TestSite* site : {&paris_, &oslo_, &rome_}) {
      site->inc(id, "n", 1);
      site->clock.advance_ms(50);
    }
    settle_all();
  }
  // What a record of paris carries beside its document.
  Record next_record(int id) {
    paris_.set(id, "seen", 1);
    auto segments = read_segments(*paris_.replica, oslo_.replica->applied(), 1u << 20);
    for (const Segment& segment : *segments) {
      if (segment.origin == run_of(paris_)) return segment.records.back();
    }
    ADD_FAILURE() << "no record";
    return {};
  }
  void expect_all_well() {
    for (const TestSite* site : {&paris_, &oslo_, &rome_}) {
      EXPECT_EQ(site->replica->applied(), paris_.replica->applied()) << site->name;
      EXPECT_THAT(site->status().alarms, IsEmpty()) << site->name;
      EXPECT_EQ(site->status().quarantined, 0u) << site->name;
      EXPECT_EQ(site->status().rows, 0u) << site->name;
      EXPECT_EQ(site->status().outbox_records, 0u) << site->name;
    }
  }

  const std::vector<std::string> names_{"oslo", "paris", "rome"};
  TestSite paris_{"paris", names_, memory_outbox()};
  TestSite oslo_{"oslo", names_, memory_outbox()};
  TestSite rome_{"rome", names_, memory_outbox()};
};

TEST_F(EpochsTest, VectorsAreNoLargerAfterTwentyRestartsThanAfterThree) {
  for (int i = 0; i < 3; ++i) run_again(i);
  const Record after_three = next_record(0);
  settle_all();
  const SiteHello hello = oslo_.replica->hello();
  for (int i = 3; i < 20; ++i) run_again(i);
  const Record after_twenty = next_record(0);
  EXPECT_EQ(after_twenty.deps.entries().size(), after_three.deps.entries().size());
  EXPECT_EQ(encode_record(after_twenty).size(), encode_record(after_three).size());
  settle_all();
  EXPECT_EQ(oslo_.replica->hello().applied.entries().size(), hello.applied.entries().size());
  EXPECT_LE(oslo_.replica->hello().floor.entries().size(), 6u);
  expect_all_well();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(oslo_.number(i, "n"), 3) << i;
}

TEST_F(EpochsTest, AMemberThatWasAwayForSeveralRestartsGetsEverything) {
  run_again(1);
  for (int i = 10; i < 15; ++i) {
    paris_.insert(i, {{"n", number(i)}});
    exchange(paris_, oslo_);
    paris_.collect();
    oslo_.collect();
    paris_.restart();
  }
  EXPECT_GE(paris_.replica->applied().entries().size(), 5u) << "rome does not have them";
  settle_all();
  for (int i = 10; i < 15; ++i) EXPECT_EQ(rome_.number(i, "n"), i);
  expect_all_well();
  EXPECT_LE(paris_.replica->applied().entries().size(), 6u);
}

TEST_F(EpochsTest, ARetiredEpochsRecordsAreNeverAppliedAgain) {
  paris_.insert(1, {{"n", number(1)}});
  const auto old = read_segments(*paris_.replica, {}, 1u << 20);
  settle_all();
  paris_.restart();
  paris_.remove(1);
  settle_all();
  paris_.restart();
  settle_all();
  ASSERT_EQ(oslo_.replica->applied().at(old->front().origin), 0u) << "it is retired";
  const Link link(rome_, oslo_);
  ASSERT_TRUE(oslo_.replica->offer(*old, run_of(rome_)).has_value());
  oslo_.apply_all();
  EXPECT_EQ(oslo_.show(1), "none");
  EXPECT_THAT(oslo_.status().alarms, IsEmpty());
  EXPECT_GT(oslo_.status().duplicate_records, 0u);
}

TEST_F(EpochsTest, ADataDirFromBeforeTheRetirementIsFound) {
  paris_.insert(1, {{"n", number(1)}});
  settle_all();
  link::Hello image;
  image.site = paris_.replica->hello();
  paris_.restart();
  paris_.insert(2, {{"n", number(1)}});
  settle_all();
  oslo_.restart();  // so that it remembers nothing of what was stable
  link::Hello ours;
  ours.site = oslo_.replica->hello();
  const auto at_oslo = link::check_hello(ours, image, {});
  ASSERT_TRUE(at_oslo.has_value());
  EXPECT_EQ(at_oslo->code, link::RefuseCode::kRestored);
  EXPECT_TRUE(link::check_hello(image, ours, {}).has_value());
}

TEST_F(EpochsTest, APowerCutInTheMiddleOfARetirementEndsInTheSame) {
  const auto cut_power = [](TestSite& site) {
    const auto disk = std::static_pointer_cast<outbox::MemoryOutbox>(site.outbox);
    site.kill();
    disk->lose_unsynced();
    site.open();
    ASSERT_TRUE(site.recover().has_value());
  };
  run_again(1);
  for (int i = 0; i < 9; ++i) {
    paris_.restart();
    paris_.insert(20 + i, {{"n", number(0)}});
    pull(paris_, oslo_);
    pull(paris_, rome_);
    pull(oslo_, paris_);
    pull(rome_, paris_);
    paris_.collect();  // writes the record, not synced perhaps
    if (i % 3 == 0) cut_power(paris_);
    pull(paris_, oslo_);
    if (i % 3 == 1) cut_power(oslo_);
    if (i % 3 == 2) oslo_.restart();
    pull(oslo_, rome_);
    if (i % 2 == 0) cut_power(rome_);
  }
  settle_all();
  expect_all_well();
  for (int i = 0; i < 9; ++i) EXPECT_NE(rome_.show(20 + i), "none");
}

TEST_F(EpochsTest, AChainRetiresByHearsay) {
  const auto settle_chain = [&] {
    for (int round = 0; round < 12; ++round) {
      for (TestSite* end : {&paris_, &rome_}) exchange(*end, oslo_);
      for (TestSite* site : {&paris_, &oslo_, &rome_}) site->collect();
    }
  };
  for (int i = 0; i < 8; ++i) {
    for (TestSite* site : {&paris_, &oslo_, &rome_}) site->restart();
    paris_.insert(i, {{"n", number(0)}});
    settle_chain();
    rome_.inc(i, "n", 2);
    settle_chain();
  }
  expect_all_well();
  EXPECT_LE(rome_.replica->applied().entries().size(), 6u);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(paris_.number(i, "n"), 2);
}

TEST_F(EpochsTest, RowsThatNameARetiredEpochMergeAsBefore) {
  paris_.insert(1, {{"n", number(0)}, {"a", number(0)}});
  paris_.inc(1, "n", 5);
  for (int i = 0; i < 3; ++i) {
    pull(paris_, oslo_);
    pull(paris_, rome_);
    pull(oslo_, paris_);
    pull(rome_, paris_);
  }
  paris_.restart();
  for (TestSite* site : {&oslo_, &rome_}) {
    pull(paris_, *site);
    pull(*site, paris_);
  }
  paris_.collect();  // retires; the rows are still there at the others
  paris_.flush();
  pull(paris_, oslo_);
  EXPECT_GT(rome_.status().rows, 0u);
  EXPECT_GT(oslo_.status().rows, 0u);
  // Concurrent: rome has not applied the retirement, oslo has.
  rome_.inc(1, "n", 10);
  oslo_.inc(1, "n", 100);
  oslo_.set(1, "a", 7);
  paris_.inc(1, "n", 1000);
  settle_all();
  for (const TestSite* site : {&paris_, &oslo_, &rome_}) {
    EXPECT_EQ(site->number(1, "n"), 1115) << site->name;
    EXPECT_EQ(site->number(1, "a"), 7) << site->name;
  }
  expect_all_well();
}

TEST_F(EpochsTest, TooManyRestartsWhileAMemberIsAwayRefuseWritesUntilItIsBack) {
  TestSite alone("paris", {"oslo", "paris"}, memory_outbox());
  TestSite other("oslo", {"oslo", "paris"}, memory_outbox());
  for (TestSite* site : {&alone, &other}) {
    site->replica_options.origins_max = 1;  // then there is a least number of epochs a site
    site->restart();
  }
  Status admitted;
  int written = 0;
  while (admitted && written < 100) {
    alone.insert(written++, {});
    for (TestSite* site : {&alone, &other}) site->clock.advance_ms(2000);
    alone.restart();
    admitted = alone.replica->admit();
  }
  ASSERT_FALSE(admitted.has_value());
  EXPECT_EQ(admitted.error().code, ErrorCode::kUnavailable);
  settle_down({&alone, &other});
  EXPECT_TRUE(alone.replica->admit().has_value());
  EXPECT_EQ(other.mongod.size(), static_cast<size_t>(written));
}

}  // namespace
}  // namespace outrigger
