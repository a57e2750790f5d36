// What the outbox may keep in memory, however much it keeps on disk.
#include "replication/outbox/rocks/rocks.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

#include "replication/outbox/rocks/rocks_outbox_testing.h"

// Nobody but the linker knows these: RocksDB's own, and what is called in its place.
uint32_t rocksdb_crc32c(uint32_t crc, const char* data,
                        size_t bytes) asm("__real__ZN7rocksdb6crc32c6ExtendEjPKcm");
uint32_t called_crc32c(uint32_t crc, const char* data,
                       size_t bytes) asm("_ZN7rocksdb6crc32c6ExtendEjPKcm");
uint32_t our_crc32c(uint32_t crc, const char* data,
                    size_t bytes) asm("__wrap__ZN7rocksdb6crc32c6ExtendEjPKcm");

namespace outrigger::outbox {
namespace {

TEST(RocksCrc32c, IsOurs) { EXPECT_EQ(&called_crc32c, &our_crc32c); }

TEST(RocksCrc32c, GivesTheSumsOfRocksDb) {
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 300, 0);
    for (char& each : bytes) each = static_cast<char>(random());
    const uint32_t before = i % 2 == 0 ? 0 : static_cast<uint32_t>(random());
    EXPECT_EQ(called_crc32c(before, bytes.data(), bytes.size()),
              rocksdb_crc32c(before, bytes.data(), bytes.size()));
  }
}

class RocksMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.block_cache_bytes = 256u << 10;
    rocksdb::DB* db = nullptr;
    const auto opened = rocksdb::DB::Open(rocks_options(options_), home_.path(),
                                          rocks_families(options_), &handles_, &db);
    ASSERT_TRUE(opened.ok()) << opened.ToString();
    db_.reset(db);
  }
  void TearDown() override {
    for (auto* each : handles_) db_->DestroyColumnFamilyHandle(each);
  }
  [[nodiscard]] rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles_[static_cast<size_t>(family)];
  }
  // Keys and values that do not compress.
  void put(Family family, int count, size_t bytes) {
    for (int i = 0; i < count; ++i) {
      std::string value(bytes, 0);
      for (char& each : value) each = static_cast<char>(random_());
      ASSERT_TRUE(db_->Put({}, handle(family), sortable(random_()), value).ok());
    }
  }
  void write_tables(Family family) {
    ASSERT_TRUE(db_->Flush({}, handle(family)).ok());
    ASSERT_TRUE(db_->CompactRange({}, handle(family), nullptr, nullptr).ok());
  }
  // Every block is wanted, those of index and filter too.
  void read_around(Family family, int count) {
    std::string value;
    for (int i = 0; i < count; ++i) {
      (void)db_->Get({}, handle(family), sortable(random_()), &value);
    }
    const std::unique_ptr<rocksdb::Iterator> all(db_->NewIterator({}, handle(family)));
    for (all->SeekToFirst(); all->Valid(); all->Next()) {
    }
  }
  [[nodiscard]] uint64_t bytes(const std::string& property) const {
    uint64_t sum = 0;
    for (auto* each : handles_) {
      uint64_t found = 0;
      EXPECT_TRUE(db_->GetIntProperty(each, property, &found));
      sum += found;
    }
    return sum;
  }
  // All families share one cache.
  [[nodiscard]] uint64_t cache_bytes() const {
    uint64_t found = 0;
    EXPECT_TRUE(
        db_->GetIntProperty(handle(Family::kVersions), "rocksdb.block-cache-usage", &found));
    return found;
  }

  TemporaryDirectory home_;
  RocksOutboxOptions options_;
  std::mt19937_64 random_{1};
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::unique_ptr<rocksdb::DB> db_;
};

TEST_F(RocksMemoryTest, TablesAreReadWithinTheBlockCacheTheirIndexesAndFiltersToo) {
  // Their filters alone are larger than the cache.
  put(Family::kVersions, 300'000, 8);
  write_tables(Family::kVersions);
  read_around(Family::kVersions, 2'000);
  EXPECT_LE(cache_bytes(), options_.block_cache_bytes);
  EXPECT_LE(bytes("rocksdb.estimate-table-readers-mem"), 16u << 10);
}

TEST_F(RocksMemoryTest, MemtablesAreWrittenOutBeforeTheyExceedTheirCommonBudget) {
  uint64_t most = 0;
  for (int round = 0; round < 500; ++round) {
    // Records and rows as they come: none of the families would be full by itself.
    put(Family::kEntries, 100, 1000);
    put(Family::kVersions, 100, 1000);
    put(Family::kRetries, 100, 500);
    most = std::max(most, bytes("rocksdb.cur-size-all-mem-tables"));
  }
  EXPECT_GT(most, kMemtablesBytes / 4);
  EXPECT_LE(most, kMemtablesBytes * 3 / 2);
}

}  // namespace
}  // namespace outrigger::outbox
