// A disk whose syncs of the log fail from some moment on, or its writes, which no real one does on
// demand. What such a sync was to cover it may lose, from some place on or in the middle; what such
// a write was to write is there.
#pragma once

#include <rocksdb/file_system.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

namespace outrigger::outbox {

class SyncFails final : public rocksdb::FileSystemWrapper {
 public:
  SyncFails() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "sync fails"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    const auto status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    const bool is_log = name.size() > 4 && name.compare(name.size() - 4, 4, ".log") == 0;
    if (status.ok() && is_log) *file = std::make_unique<File>(std::move(*file), name, *this);
    return status;
  }
  rocksdb::IOStatus GetFreeSpace(const std::string& path, const rocksdb::IOOptions& options,
                                 uint64_t* free, rocksdb::IODebugContext* debug) override {
    const auto status = FileSystemWrapper::GetFreeSpace(path, options, free, debug);
    if (status.ok()) *free = std::min(*free, free_bytes.load());
    return status;
  }
  std::atomic<uint64_t> free_bytes{UINT64_MAX};
  std::atomic<bool> fails{false};
  std::atomic<bool> writes_fail{false};
  // Of what no sync has covered, so many parts of a thousand are gone once the log is closed.
  std::atomic<uint64_t> loses{0};
  // ...and one page in the middle of it is blank.
  std::atomic<bool> blanks{false};
  // A page that a sync had covered is, too.
  std::atomic<bool> blanks_synced{false};

 private:
  class File final : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile>&& file, std::string name, const SyncFails& disk)
        : FSWritableFileOwnerWrapper(std::move(file)), name_(std::move(name)), disk_(disk) {}
    ~File() override { lose(); }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
      return said(data, FSWritableFileOwnerWrapper::Append(data, options, debug));
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo& verification,
                             rocksdb::IODebugContext* debug) override {
      return said(data, FSWritableFileOwnerWrapper::Append(data, options, verification, debug));
    }
    rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
      if (disk_.fails) return rocksdb::IOStatus::IOError("the disk says no");
      const uint64_t bytes = std::filesystem::file_size(name_);
      const auto status = FSWritableFileOwnerWrapper::Sync(options, debug);
      if (status.ok()) synced_ = bytes;
      return status;
    }
    rocksdb::IOStatus Close(const rocksdb::IOOptions& options,
                            rocksdb::IODebugContext* debug) override {
      const auto status = FSWritableFileOwnerWrapper::Close(options, debug);
      lose();
      return status;
    }

   private:
    // Not of a record's header, after which RocksDB would not write the record.
    rocksdb::IOStatus said(const rocksdb::Slice& data, rocksdb::IOStatus status) const {
      constexpr size_t kHeaderBytesMax = 11;
      if (!disk_.writes_fail || data.size() <= kHeaderBytesMax) return status;
      return rocksdb::IOStatus::IOError("the disk says no");
    }
    void lose() const {
      std::error_code gone;
      const uint64_t bytes = std::filesystem::file_size(name_, gone);
      if (gone) return;
      if (disk_.blanks) blank((synced_ + bytes) / 2, bytes);
      if (disk_.blanks_synced) blank(synced_ / 2, bytes);
      if (bytes <= synced_ || disk_.loses == 0) return;
      std::filesystem::resize_file(name_, bytes - (bytes - synced_) * disk_.loses / 1000);
    }
    void blank(uint64_t at, uint64_t bytes) const {
      constexpr uint64_t kPage = 4096;
      const uint64_t page = (at + kPage - 1) / kPage * kPage;
      if (page + kPage > bytes) return;
      std::fstream file(name_, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(page));
      file << std::string(kPage, '\0');
    }
    const std::string name_;
    const SyncFails& disk_;
    std::atomic<uint64_t> synced_{0};
  };
};

}  // namespace outrigger::outbox
