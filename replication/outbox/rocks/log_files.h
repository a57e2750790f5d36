// RocksDB is built with its assertions by some distributions, and one of them ends the process when
// a log is synced for the first time after a write or sync of it has failed, in the moment before
// anyone knows (facebook/rocksdb 12448). A full disk must not end us. So the outbox hears of it
// before RocksDB does, and may hold a failed write back until no sync is under way.
#pragma once

#include <rocksdb/file_system.h>

#include <functional>
#include <memory>

namespace outrigger::outbox {

enum class LogStep { kWrite, kSync };

// A write or sync of a log (*.log) has failed; on the thread that did it. RocksDB sees the error
// when this returns. A failed sync must not be held back: another one may wait for it.
using LogFailed = std::function<void(LogStep step, const rocksdb::IOStatus& error)>;

// All files are those of `files`.
[[nodiscard]] std::shared_ptr<rocksdb::FileSystem> watch_logs(
    std::shared_ptr<rocksdb::FileSystem> files, LogFailed failed);

}  // namespace outrigger::outbox
