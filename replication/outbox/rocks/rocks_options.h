// How an outbox is opened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "config/limits.h"

namespace rocksdb {
class FileSystem;
}  // namespace rocksdb

namespace outrigger::outbox {

struct RocksOutboxOptions {
  uint64_t bytes_max = 10ULL << 30;   // of entries kept: admit() says kNoSpace above it
  size_t memtable_bytes = 16u << 20;  // of each column family
  size_t block_cache_bytes = limits::kBlockCacheBytes;
  size_t cohort_bytes = limits::kCohortsBytes;
  uint64_t tables_open_max = limits::kTablesOpenMax;  // descriptors are dealt out at start
  // At open every block of every table is checked when they are no more than this; beyond, blocks
  // are checked when they are read (a start must not take minutes).
  uint64_t verify_bytes_max = 1ULL << 30;
  // RocksDB's own warnings and errors, one line each; from its threads.
  std::function<void(const std::string&)> log;
  // Where the files are; null: on this machine's disks. For tests of what no disk does on demand.
  std::shared_ptr<rocksdb::FileSystem> files;
};

}  // namespace outrigger::outbox
