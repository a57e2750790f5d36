// RocksDB is built with its assertions by some distributions, and one of them ends the process when
// a log is synced for the first time after a write to it has failed, in the moment before the
// writer knows (facebook/rocksdb 12448). A full disk must not end us. So the outbox hears of a
// failed write before RocksDB does, and may hold it back until no sync is under way.
#pragma once

#include <rocksdb/file_system.h>

#include <functional>
#include <memory>

namespace outrigger::outbox {

// A write to a log (*.log) has failed; on the thread that did it. RocksDB sees the error when this
// returns.
using LogFailed = std::function<void(const rocksdb::IOStatus& error)>;

// All files are those of `files`.
[[nodiscard]] std::shared_ptr<rocksdb::FileSystem> watch_logs(
    std::shared_ptr<rocksdb::FileSystem> files, LogFailed failed);

}  // namespace outrigger::outbox
