#include "replication/outbox/rocks/log_files.h"

#include <string>
#include <string_view>
#include <utility>

namespace outrigger::outbox {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

class LogFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  LogFile(std::unique_ptr<rocksdb::FSWritableFile>&& file, const LogFailed& failed)
      : FSWritableFileOwnerWrapper(std::move(file)), failed_(failed) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return told(LogStep::kWrite, FSWritableFileOwnerWrapper::Append(data, options, debug));
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& verification,
                  IODebugContext* debug) override {
    return told(LogStep::kWrite,
                FSWritableFileOwnerWrapper::Append(data, options, verification, debug));
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return told(LogStep::kSync, FSWritableFileOwnerWrapper::Sync(options, debug));
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return told(LogStep::kSync, FSWritableFileOwnerWrapper::Fsync(options, debug));
  }

 private:
  IOStatus told(LogStep step, IOStatus status) const {
    if (!status.ok()) failed_(step, status);
    return status;
  }

  const LogFailed& failed_;
};

class LogFiles final : public rocksdb::FileSystemWrapper {
 public:
  LogFiles(std::shared_ptr<rocksdb::FileSystem> files, LogFailed failed)
      : FileSystemWrapper(std::move(files)), failed_(std::move(failed)) {}

  const char* Name() const override { return "outrigger.log_files"; }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* debug) override {
    return wrap(name, *file, FileSystemWrapper::NewWritableFile(name, options, file, debug));
  }
  IOStatus ReopenWritableFile(const std::string& name, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* file,
                              IODebugContext* debug) override {
    return wrap(name, *file, FileSystemWrapper::ReopenWritableFile(name, options, file, debug));
  }
  IOStatus ReuseWritableFile(const std::string& name, const std::string& old_name,
                             const FileOptions& options,
                             std::unique_ptr<rocksdb::FSWritableFile>* file,
                             IODebugContext* debug) override {
    return wrap(name, *file,
                FileSystemWrapper::ReuseWritableFile(name, old_name, options, file, debug));
  }

 private:
  IOStatus wrap(std::string_view name, std::unique_ptr<rocksdb::FSWritableFile>& file,
                IOStatus opened) const {
    const bool is_log = name.size() > 4 && name.substr(name.size() - 4) == ".log";
    if (opened.ok() && is_log) file = std::make_unique<LogFile>(std::move(file), failed_);
    return opened;
  }

  const LogFailed failed_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> watch_logs(std::shared_ptr<rocksdb::FileSystem> files,
                                                LogFailed failed) {
  return std::make_shared<LogFiles>(std::move(files), std::move(failed));
}

}  // namespace outrigger::outbox
