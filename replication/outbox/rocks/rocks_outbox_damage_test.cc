// What the outbox does about damaged files, full disks and other processes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "replication/outbox/rocks/rocks.h"
#include "replication/outbox/rocks/rocks_outbox.h"
#include "replication/outbox/rocks/rocks_outbox_testing.h"

namespace outrigger::outbox {
namespace {

class DamageTest : public testing::Test, protected OutboxFixture {
 protected:
  // Records 1..count of ours, each 100 bytes that do not compress, synced.
  void write_entries(Hlc count) {
    for (Hlc hlc = 1; hlc <= count; ++hlc) {
      ASSERT_TRUE(outbox_->write(std::move(Batch().put_entry(kOurs, hlc, bytes_of(hlc)))));
    }
    ASSERT_TRUE(outbox_->sync());
  }
  static std::string bytes_of(Hlc hlc) {
    std::string bytes;
    for (uint64_t x = hlc * 0x9e3779b97f4a7c15; bytes.size() < 100;
         x = x * 6364136223846793005 + 1) {
      bytes += sortable(x);
    }
    return bytes;
  }
  // Changes what is there around the outbox, which is closed by that.
  using Handles = std::vector<rocksdb::ColumnFamilyHandle*>;
  void change(const std::function<rocksdb::Status(rocksdb::DB&, Handles&)>& how) {
    close();
    rocksdb::DB* db = nullptr;
    Handles handles;
    ASSERT_TRUE(
        rocksdb::DB::Open(rocks_options(options_), dir_, rocks_families(options_), &handles, &db)
            .ok());
    EXPECT_TRUE(how(*db, handles).ok());
    for (auto* each : handles) db->DestroyColumnFamilyHandle(each);
    delete db;
  }
  ErrorCode refusal() {
    const auto opened = try_open();
    EXPECT_FALSE(opened);
    if (opened) return ErrorCode::kClosed;
    EXPECT_NE(opened.error().message().find(dir_), std::string::npos);
    EXPECT_FALSE(opened.error().reason.empty());
    return opened.error().code;
  }
};

TEST_F(DamageTest, ATornEndOfTheLogIsCut) {
  open();
  write_entries(50);
  crash();
  cut(file(".log"), 40);
  open();
  EXPECT_EQ(outbox_->last_entry(kOurs).value(), 49u);
  EXPECT_EQ(outbox_->read_entries(kOurs, 0, kHlcMax, SIZE_MAX).value().size(), 49u);
}

TEST_F(DamageTest, AFlippedByteInsideTheLogRefusesToOpen) {
  open();
  write_entries(1000);  // more than one of the log's blocks of 32 KiB
  crash();
  flip_byte(file(".log"), 0.5);
  EXPECT_EQ(refusal(), ErrorCode::kCorrupt);
}

TEST_F(DamageTest, AFlippedByteInsideATableRefusesToOpen) {
  open();
  write_entries(1000);
  close_and_open();  // recovery writes a table
  close();
  flip_byte(file(".sst"), 0.4);
  EXPECT_EQ(refusal(), ErrorCode::kCorrupt);
}

TEST_F(DamageTest, AFlippedByteInATableTooBigToCheckAtOpenIsFoundWhenRead) {
  open();
  write_entries(1000);
  close_and_open();
  close();
  flip_byte(file(".sst"), 0.4);
  options_.verify_bytes_max = 0;
  open();
  const auto read = outbox_->read_entries(kOurs, 0, kHlcMax, SIZE_MAX);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
}

TEST_F(DamageTest, AnotherFormatIsRefused) {
  open();
  change([](rocksdb::DB& db, Handles& handles) {
    return db.Put({}, handles[static_cast<size_t>(Family::kMeta)], std::string("\0format", 7),
                  std::to_string(kFormatVersion + 1));
  });
  EXPECT_EQ(refusal(), ErrorCode::kUnsupported);
}

TEST_F(DamageTest, AnUnknownFamilyIsRefused) {
  open();
  change([](rocksdb::DB& db, Handles& handles) {
    return db.CreateColumnFamily({}, "lists", &handles.emplace_back());
  });
  EXPECT_EQ(refusal(), ErrorCode::kUnsupported);
}

TEST_F(DamageTest, WhatIsOpenInTheLedgerIsKnownAlsoOfALogThatDidNotCountIt) {
  const auto entry = [](const char* kind, bool open) {
    return bson::Writer().string("kind", kind).boolean("open", open).finish();
  };
  const std::string lost = entry("set_set", true);
  const auto expect = [&](uint64_t entries, uint64_t bytes) {
    EXPECT_EQ(outbox_->usage().ledger_open, entries);
    EXPECT_EQ(outbox_->usage().ledger_open_bytes, bytes);
  };
  open();
  Batch batch;
  batch.put_ledger("1", lost).put_ledger("2", entry("unique", true));
  batch.put_ledger("3", entry("set_set", false)).put_ledger("4", "x");
  ASSERT_TRUE(outbox_->write(std::move(batch)));
  expect(2, 1 + lost.size());
  change([](rocksdb::DB& db, Handles& handles) {
    return db.Delete({}, handles[static_cast<size_t>(Family::kMeta)],
                     std::string("\0ledger_open_totals", 19));
  });
  for (int round = 0; round < 2; ++round) {
    open();
    expect(2, 1 + lost.size());
    crash();
  }
  open();
  Batch closing;
  closing.put_ledger("1", entry("set_set", false)).remove_ledger("2");
  ASSERT_TRUE(outbox_->write(std::move(closing)));
  expect(0, 0);
}

TEST_F(DamageTest, ASecondOpenInThisProcessIsRefused) {
  open();
  const auto second = try_open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(second.error().reason, "another outrigger uses this data_dir");
}

// Holds the lock file as another process does, until destroyed.
class OtherProcess {
 public:
  explicit OtherProcess(const std::string& lock_file) {
    EXPECT_EQ(::pipe(ready_), 0);
    EXPECT_EQ(::pipe(done_), 0);
    child_ = ::fork();
    if (child_ == 0) hold(lock_file);
    char byte = 0;
    EXPECT_EQ(::read(ready_[0], &byte, 1), 1);
  }
  ~OtherProcess() {
    (void)!::write(done_[1], "x", 1);
    ::waitpid(child_, nullptr, 0);
    for (const int end : {ready_[0], ready_[1], done_[0], done_[1]}) ::close(end);
  }

 private:
  [[noreturn]] void hold(const std::string& lock_file) {
    const int file = ::open(lock_file.c_str(), O_RDWR);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    if (::fcntl(file, F_SETLK, &lock) == 0) (void)!::write(ready_[1], "x", 1);
    char byte = 0;
    (void)!::read(done_[0], &byte, 1);
    ::_exit(0);
  }

  int ready_[2];
  int done_[2];
  pid_t child_;
};

TEST_F(DamageTest, ADirectoryThatAnotherProcessUsesIsRefused) {
  open();
  close();
  {
    OtherProcess other(dir_ + "/LOCK");
    const auto second = try_open();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(second.error().reason, "another outrigger uses this data_dir");
  }
  open();
}

TEST_F(DamageTest, AFileInPlaceOfTheDirectoryIsRefused) {
  std::filesystem::create_directories(std::filesystem::path(dir_).parent_path());
  std::ofstream(dir_) << "x";
  EXPECT_EQ(refusal(), ErrorCode::kInvalidArgument);
}

// On a small file system of its own.
class FullDiskTest : public DamageTest {
 protected:
  void SetUp() override {
    disk_ = home_ / "disk";
    std::filesystem::create_directory(disk_);
    if (::mount("tmpfs", disk_.c_str(), "tmpfs", 0, "size=48m") != 0) {
      GTEST_SKIP() << "cannot mount a tmpfs: " << std::strerror(errno);
    }
    mounted_ = true;
    dir_ = disk_ + "/outbox";
  }
  void TearDown() override {
    close();
    if (mounted_) ::umount2(disk_.c_str(), MNT_DETACH);
  }
  // Leaves about so much.
  void fill_disk(uint64_t free_bytes) {
    const uint64_t fill = std::filesystem::space(disk_).available - free_bytes;
    std::ofstream(disk_ + "/filler") << std::string(fill, 'f');
  }
  void free_disk() { std::filesystem::remove(disk_ + "/filler"); }
  // Writes and syncs one record after another until that fails; the last one acknowledged.
  Hlc write_until_refused() {
    const std::string big(10'000, 'b');
    for (Hlc hlc = 1; hlc < 10'000; ++hlc) {
      if (!outbox_->write(std::move(Batch().put_entry(kOurs, hlc, big)))) return hlc - 1;
      if (!outbox_->sync()) return hlc - 1;
    }
    return 0;
  }

  std::string disk_;
  bool mounted_ = false;
};

TEST_F(FullDiskTest, FailsGoesOnReadingAndLosesNothingOnceThereIsSpace) {
  open();
  CohortWriter born("born");
  born.add("born together");
  ASSERT_TRUE(outbox_->write(std::move(Batch().put_cohort({1, kOurs}, "t.a", born.take()))));
  fill_disk(2 << 20);
  const Hlc acknowledged = write_until_refused();
  ASSERT_GT(acknowledged, 50u);
  ASSERT_TRUE(outbox_->failure());
  EXPECT_EQ(outbox_->failure()->code, ErrorCode::kNoSpace);
  EXPECT_EQ(outbox_->admit().error().code, ErrorCode::kNoSpace);

  // Also when there is space again, the log is trusted only by who reads all of it anew.
  EXPECT_EQ(outbox_->heals().error().code, ErrorCode::kNoSpace);
  EXPECT_TRUE(outbox_->entry(kOurs, acknowledged).value());
  free_disk();
  EXPECT_FALSE(outbox_->write(std::move(Batch().put_meta("a", "b"))));
  EXPECT_FALSE(outbox_->sync());
  EXPECT_TRUE(outbox_->entry(kOurs, acknowledged).value());

  const Status healed = outbox_->heals();
  ASSERT_TRUE(healed) << healed.error().message();
  // What failed may be there now. Nobody who thinks it is not may see it, or write beside it.
  EXPECT_EQ(outbox_->entry(kOurs, acknowledged).error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(outbox_->row("t.a", "born together").error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(outbox_->row("t.a", "never").error().code, ErrorCode::kNoSpace);
  EXPECT_FALSE(outbox_->write(std::move(Batch().put_meta("a", "b"))));
  EXPECT_FALSE(outbox_->sync());
  EXPECT_TRUE(outbox_->failure());

  close_and_open();
  EXPECT_TRUE(outbox_->admit());
  EXPECT_GE(outbox_->read_entries(kOurs, 0, kHlcMax, SIZE_MAX).value().size(), acknowledged);
  EXPECT_TRUE(outbox_->write(std::move(Batch().put_meta("a", "b"))));
  EXPECT_TRUE(outbox_->sync());
}

TEST_F(FullDiskTest, ADiskThatFillsUpBetweenWritesAndSyncsEndsNobody) {
  for (int round = 0; round < 8; ++round) {
    dir_ = disk_ + "/outbox" + std::to_string(round);
    open();
    fill_disk(512 << 10);
    std::atomic<bool> done{false};
    std::thread syncs([&] {
      while (!done) (void)outbox_->sync();
    });
    const std::string big(3'000, 'b');
    Hlc hlc = 0;
    while (outbox_->write(std::move(Batch().put_entry(kOurs, ++hlc, big)))) {
    }
    done = true;
    syncs.join();
    EXPECT_EQ(outbox_->failure()->code, ErrorCode::kNoSpace);
    free_disk();
    const Status healed = outbox_->heals();
    EXPECT_TRUE(healed) << healed.error().message();
    close();
    std::filesystem::remove_all(dir_);
  }
}

}  // namespace
}  // namespace outrigger::outbox
