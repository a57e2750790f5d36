// What the outbox does about syncs that fail: what they were to cover is written again.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <iterator>
#include <random>
#include <thread>

#include "config/limits.h"
#include "replication/outbox/cohorts.h"
#include "replication/outbox/memory/memory_outbox.h"
#include "replication/outbox/rocks/rocks_outbox.h"
#include "replication/outbox/rocks/rocks_outbox_testing.h"
#include "replication/outbox/rocks/sync_fails.h"

namespace outrigger::outbox {
namespace {

class SyncFailsTest : public testing::Test, protected OutboxFixture {
 protected:
  SyncFailsTest() { options_.files = disk_; }
  void put(Batch& batch) {
    const Status written = outbox_->write(std::move(batch));
    ASSERT_TRUE(written) << written.error().message();
  }
  void write_entries(Hlc count) {
    for (Hlc hlc = 1; hlc <= count; ++hlc) put(Batch().put_entry(kOurs, hlc, "b"));
    ASSERT_TRUE(outbox_->sync());
  }
  // A sync fails, and of what it was to cover so many parts of a thousand are lost; then the disk
  // is whole again, and so is the outbox.
  void fail_and_heal(uint64_t loses) {
    disk_->fails = true;
    disk_->loses = loses;
    ASSERT_FALSE(outbox_->sync());
    disk_->fails = false;
    const Status healed = outbox_->heals();
    ASSERT_TRUE(healed) << healed.error().message();
    disk_->loses = 0;
    disk_->blanks = false;
    close_and_open();
  }
  const std::shared_ptr<SyncFails> disk_ = std::make_shared<SyncFails>();
};

TEST_F(SyncFailsTest, NothingIsSaidToBeOnDiskAndWritesEndWithTheReason) {
  open();
  write_entries(10);
  disk_->fails = true;
  ASSERT_TRUE(outbox_->write(std::move(Batch().put_entry(kOurs, 11, "b"))));
  const Status synced = outbox_->sync();
  ASSERT_FALSE(synced);
  EXPECT_NE(synced.error().reason.find("the disk says no"), std::string::npos);
  EXPECT_FALSE(outbox_->sync());
  EXPECT_FALSE(outbox_->write(std::move(Batch().put_entry(kOurs, 12, "b"))));
  EXPECT_TRUE(outbox_->entry(kOurs, 10).value());
  EXPECT_FALSE(outbox_->heals()) << "the disk still says no";
  disk_->fails = false;
  ASSERT_TRUE(outbox_->heals());
  close_and_open();
  EXPECT_GE(outbox_->last_entry(kOurs).value(), 10u);
}

TEST_F(SyncFailsTest, ASyncThatFailsBetweenWritesEndsNobody) {
  for (int round = 0; round < 8; ++round) {
    dir_ = home_ / ("sync" + std::to_string(round));
    disk_->fails = false;
    open();
    std::thread writes([&] {
      Hlc hlc = 0;
      while (outbox_->write(std::move(Batch().put_entry(kOurs, ++hlc, "b")))) {
      }
    });
    EXPECT_TRUE(outbox_->sync());
    disk_->fails = true;
    while (outbox_->sync()) {
    }
    writes.join();
    close();
  }
}

TEST_F(SyncFailsTest, AnOutboxIsNotOpenedOnADiskThatDoesNotSync) {
  disk_->fails = true;
  const auto opened = try_open();
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().reason.find("the disk says no"), std::string::npos);
}

TEST_F(SyncFailsTest, WhatTheDiskLostIsWrittenAgain) {
  open();
  write_entries(10);
  put(Batch().put_prepare(11, "prepare"));
  put(Batch().put_prepare(12, "prepare").put_fresh_entry(kOurs, 11, "record").remove_prepare(11));
  put(Batch().remove_read_entry(kOurs, 1, 1));
  fail_and_heal(1000);
  EXPECT_EQ(outbox_->entry(kOurs, 11).value(), "record");
  EXPECT_EQ(outbox_->scan_prepares().value(), (RocksOutbox::Entries{{12, "prepare"}}));
  EXPECT_EQ(outbox_->first_entry(kOurs).value(), 2u);
  EXPECT_EQ(outbox_->usage().entries, 10u);
  EXPECT_EQ(outbox_->usage().entries_bytes, 9 + 6u);
}

TEST_F(SyncFailsTest, WhatTheDiskLostIsKeptUntilTheDiskTakesIt) {
  open();
  write_entries(1);
  put(Batch().put_meta("a", "b"));
  disk_->fails = true;
  disk_->loses = 1000;
  ASSERT_FALSE(outbox_->sync());
  for (int times = 0; times < 3; ++times) EXPECT_FALSE(outbox_->heals());
  disk_->fails = false;
  ASSERT_TRUE(outbox_->heals());
  close_and_open();
  EXPECT_EQ(outbox_->meta("a").value(), "b");
}

// Whoever prepared a write was told of an error, and has not sent it to the store.
TEST_F(SyncFailsTest, OfAWriteThatFailedAllIsWrittenAgainButWhatItPrepared) {
  open();
  put(Batch().put_prepare(1, "sent"));
  put(Batch().put_prepare(2, "sent"));
  disk_->writes_fail = true;
  Batch turn;
  turn.put_prepare(3, "never sent").put_entry(kOurs, 1, "record").remove_prepare(1);
  ASSERT_FALSE(outbox_->write(std::move(turn)));
  disk_->writes_fail = false;
  const Status healed = outbox_->heals();
  ASSERT_TRUE(healed) << healed.error().message();
  close_and_open();
  EXPECT_EQ(outbox_->scan_prepares().value(), (RocksOutbox::Entries{{2, "sent"}}));
  EXPECT_EQ(outbox_->entry(kOurs, 1).value(), "record");
  EXPECT_EQ(outbox_->usage().entries, 1u);
}

// The kernel writes pages in any order, and forgets those that it could not write.
TEST_F(SyncFailsTest, WhatTheDiskLostInTheMiddleIsWrittenAgain) {
  open();
  write_entries(10);
  for (Hlc hlc = 11; hlc <= 300; ++hlc) {
    put(Batch().put_entry(kOurs, hlc, std::string(300 + hlc, static_cast<char>('a' + hlc % 26))));
  }
  const auto all = outbox_->read_entries(kOurs, 0, kHlcMax, SIZE_MAX).value();
  disk_->blanks = true;
  disk_->fails = true;
  ASSERT_FALSE(outbox_->sync());
  EXPECT_FALSE(outbox_->heals());
  disk_->blanks = false;
  EXPECT_FALSE(outbox_->heals());
  disk_->fails = false;
  const Status healed = outbox_->heals();
  ASSERT_TRUE(healed) << healed.error().message();
  close_and_open();
  EXPECT_EQ(outbox_->read_entries(kOurs, 0, kHlcMax, SIZE_MAX).value(), all);
  EXPECT_EQ(outbox_->usage().entries, 300u);
}

TEST_F(SyncFailsTest, WhatWasOnDiskAndIsDamagedIsNeverCutOff) {
  open();
  for (Hlc hlc = 1; hlc <= 300; ++hlc) {
    put(Batch().put_entry(kOurs, hlc, std::string(300 + hlc, static_cast<char>('a' + hlc % 26))));
  }
  ASSERT_TRUE(outbox_->sync());
  put(Batch().put_meta("a", "b"));
  disk_->fails = true;
  disk_->blanks_synced = true;
  ASSERT_FALSE(outbox_->sync());
  disk_->fails = false;
  for (int times = 0; times < 2; ++times) {
    const Status healed = outbox_->heals();
    ASSERT_FALSE(healed);
    EXPECT_EQ(healed.error().code, ErrorCode::kCorrupt);
    disk_->blanks_synced = false;
  }
  close();
  const auto opened = try_open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
}

TEST_F(SyncFailsTest, ReadsGoOnUntilThereIsRoomForAllThatIsWrittenAgain) {
  open();
  write_entries(1);
  put(Batch().put_meta("a", std::string(20u << 20, 'b')));
  disk_->fails = true;
  ASSERT_FALSE(outbox_->sync());
  for (const uint64_t mib : {10, 30, 50}) {
    disk_->free_bytes = mib << 20;
    const Status healed = outbox_->heals();
    ASSERT_FALSE(healed);
    EXPECT_EQ(healed.error().code, ErrorCode::kNoSpace) << mib;
    EXPECT_TRUE(outbox_->entry(kOurs, 1).value_or(std::nullopt)) << mib;
  }
  disk_->free_bytes = 100u << 20;
  const Status healed = outbox_->heals();
  ASSERT_FALSE(healed);
  EXPECT_EQ(healed.error().code, ErrorCode::kIo);
  disk_->fails = false;
  disk_->free_bytes = 50u << 20;
  EXPECT_FALSE(outbox_->heals()) << "nothing is opened in vain";
  disk_->free_bytes = 100u << 20;
  ASSERT_TRUE(outbox_->heals());
  close_and_open();
  EXPECT_TRUE(outbox_->meta("a").value());
}

// Nothing is kept of what a sync has covered.
TEST_F(SyncFailsTest, WhatIsOnDiskIsNotWrittenOverByWhatWasThereBefore) {
  open();
  put(Batch().put_meta("a", "1"));
  ASSERT_TRUE(outbox_->sync());
  put(Batch().put_meta("a", "2"));
  ASSERT_TRUE(outbox_->sync());
  put(Batch().put_meta("b", "1"));
  fail_and_heal(1000);
  EXPECT_EQ(outbox_->meta("a").value(), "2");
  EXPECT_EQ(outbox_->meta("b").value(), "1");
}

TEST_F(SyncFailsTest, WhoWritesMoreThanIsKeptWaitsForTheDisk) {
  open();
  const std::string large(4u << 20, 'b');
  for (int batches = 0; batches < 40; ++batches) {
    put(Batch().put_meta("a", large));
    ASSERT_LE(outbox_->unsynced_bytes(), limits::kUnsyncedBytesMax);
  }
  put(Batch().put_meta("b", "1"));
  EXPECT_GT(outbox_->unsynced_bytes(), 0u);
  ASSERT_TRUE(outbox_->sync());
  EXPECT_EQ(outbox_->unsynced_bytes(), 0u);
}

// Batches of everything there is, into the outbox and into one in memory that loses nothing.
class RandomSyncFailsTest : public SyncFailsTest {
 protected:
  RandomSyncFailsTest() {
    const char* named = std::getenv("OUTRIGGER_SEED");
    const uint64_t seed = named != nullptr ? std::stoull(named) : std::random_device()();
    std::printf("OUTRIGGER_SEED=%llu\n", static_cast<unsigned long long>(seed));
    chance_.seed(seed);
  }
  uint64_t draw(uint64_t most) { return chance_() % most; }
  std::string some_id() { return "id" + std::to_string(draw(20)); }

  void change_something(Batch& batch) {
    const std::string id = some_id();
    const std::string bytes = sortable(chance_()) + std::string(draw(1000), 'b');
    const Hlc hlc = 1 + draw(20);
    bson::Writer entry;
    entry.string("kind", draw(2) == 0 ? "set_set" : "unique").boolean("open", draw(2) == 0);
    const std::string in_ledger = draw(2) == 0 ? bytes : entry.finish();
    const std::function<void()> all[] = {[&] { batch.put_row("t.a", id, "row" + bytes); },
                                         [&] { batch.remove_row("t.a", id); },
                                         [&] { batch.put_prepare(hlc, bytes); },
                                         [&] { batch.remove_prepare(hlc); },
                                         [&] { batch.put_entry(kOurs, hlc, bytes); },
                                         [&] { batch.remove_entry(kOurs, hlc); },
                                         [&] { batch.put_ledger(id, in_ledger); },
                                         [&] { batch.remove_ledger(id); },
                                         [&] { batch.put_meta(id, bytes); }};
    all[draw(std::size(all))]();
  }
  Batch some_births() {
    CohortWriter born("born " + std::to_string(++births_));
    for (uint64_t members = 1 + draw(5); members > 0; --members) {
      const std::string id = some_id();
      if (!wanted_.row("t.a", id).value()) born.add(id);
    }
    Batch batch;
    batch.put_cohort({births_, kOurs}, "t.a", born.take());
    return batch;
  }
  void write_some() {
    Batch batch;
    for (uint64_t changes = 1 + draw(4); changes > 0; --changes) change_something(batch);
    if (draw(3) == 0) batch = some_births();
    Batch same = batch;
    ASSERT_TRUE(wanted_.write(std::move(same)));
    put(batch);
    const bool synced = draw(8) != 0 || outbox_->sync().has_value();
    ASSERT_TRUE(synced);
  }
  void expect_all() {
    for (int i = 0; i < 20; ++i) {
      const std::string id = "id" + std::to_string(i);
      ASSERT_EQ(outbox_->row("t.a", id).value(), wanted_.row("t.a", id).value()) << id;
    }
    ASSERT_EQ(outbox_->scan_prepares().value(), wanted_.scan_prepares().value());
    ASSERT_EQ(outbox_->read_entries(kOurs, 0, kHlcMax, SIZE_MAX).value(),
              wanted_.read_entries(kOurs, 0, kHlcMax, SIZE_MAX).value());
    ASSERT_EQ(outbox_->latest_ledger({}).value(), wanted_.latest_ledger({}).value());
    ASSERT_EQ(outbox_->scan_meta("").value(), wanted_.scan_meta("").value());
    ASSERT_EQ(outbox_->usage().entries_bytes, wanted_.usage().entries_bytes);
    ASSERT_EQ(outbox_->usage().ledger_bytes, wanted_.usage().ledger_bytes);
    ASSERT_EQ(outbox_->usage().ledger_open, wanted_.usage().ledger_open);
    ASSERT_EQ(outbox_->usage().ledger_open_bytes, wanted_.usage().ledger_open_bytes);
  }

  std::mt19937_64 chance_;
  MemoryOutbox wanted_;
  Hlc births_ = 0;
};

TEST_F(RandomSyncFailsTest, HoweverMuchTheDiskLostAllIsThereAgain) {
  open();
  for (int round = 0; round < 25; ++round) {
    for (uint64_t batches = draw(30); batches > 0; --batches) write_some();
    disk_->blanks = draw(2) == 0;
    fail_and_heal(draw(3) == 0 ? 1000 : draw(1001));
    expect_all();
    if (HasFailure()) FAIL() << "round " << round;
  }
}

}  // namespace
}  // namespace outrigger::outbox
