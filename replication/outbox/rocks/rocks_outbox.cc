#include "replication/outbox/rocks/rocks_outbox.h"

#include <fcntl.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "config/limits.h"
#include "replication/outbox/rocks/log_files.h"
#include "replication/outbox/rocks/rocks_rows.h"

namespace outrigger::outbox {
namespace {

// Below this, and what is written again, opening again would only fail half way and take the reads
// with it.
constexpr uint64_t kReopenFreeBytes = 16u << 20;

Status sync_directory(const std::string& dir) {
  const int file = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = file >= 0 && ::fsync(file) == 0;
  const int reason = errno;
  if (file >= 0) ::close(file);
  if (!synced) return fail(ErrorCode::kIo, "sync directory", dir, std::strerror(reason));
  return {};
}

// mkdir -p with mode 0700; each new name is durable in its parent.
Status make_directory(const std::string& dir) {
  struct stat found;
  if (::stat(dir.c_str(), &found) == 0) {
    if (S_ISDIR(found.st_mode)) return {};
    return fail(ErrorCode::kInvalidArgument, "open outbox", dir, "exists and is not a directory");
  }
  const std::filesystem::path parent = std::filesystem::path(dir).parent_path();
  const std::string above = parent.empty() ? "." : parent.string();
  if (above != dir) {
    if (Status made = make_directory(above); !made) return made;
  }
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) {
    const ErrorCode code = errno == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kIo;
    return fail(code, "create directory", dir, std::strerror(errno),
                "create it, or let this user write to its parent");
  }
  return sync_directory(above);
}

uint64_t free_bytes(const std::string& dir, const rocksdb::Env& env) {
  uint64_t bytes = 0;
  const auto asked = env.GetFileSystem()->GetFreeSpace(dir, {}, &bytes, nullptr);
  return asked.ok() ? bytes : UINT64_MAX;
}

std::string without_end_slashes(std::string dir) {
  while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
  return dir;
}

}  // namespace

RocksOutbox::RocksOutbox(std::string dir, RocksOutboxOptions options)
    : dir_(without_end_slashes(std::move(dir))),
      options_(std::move(options)),
      env_(rocksdb::NewCompositeEnv(
          watch_logs(options_.files ? options_.files : rocksdb::FileSystem::Default(),
                     [this](LogStep step, const rocksdb::IOStatus& error) {
                       // From here on no sync begins.
                       (void)mark_failed(rocks_error(error, "write outbox", dir_));
                       if (step == LogStep::kWrite) wait_for_syncs();
                     }))),
      rows_(std::make_unique<RocksRows>(options_.cohort_bytes)) {}

// Closing writes, and what fails then is noted in members that would be gone by then.
RocksOutbox::~RocksOutbox() { files_.reset(); }

Result<std::unique_ptr<RocksOutbox>> RocksOutbox::open(const std::string& dir,
                                                       RocksOutboxOptions options) {
  std::unique_ptr<RocksOutbox> outbox(new RocksOutbox(dir, std::move(options)));
  if (Status made = make_directory(outbox->dir_); !made) return tl::unexpected(made.error());
  const WriterLock lock(outbox->files_mutex_);
  if (Status opened = outbox->open_files(); !opened) return tl::unexpected(opened.error());
  return outbox;
}

Status RocksOutbox::open_files(std::optional<uint64_t> held) {
  auto files = RocksFiles::open(dir_, options_, *env_, held);
  if (!files) return tl::unexpected(files.error());
  if (Status loaded = rows_->load(**files); !loaded) return loaded;
  files_ = std::move(*files);
  held_ = files_->last_write();  // what was found in the log is in tables now
  totals_.start(files_->totals());
  return {};
}

Status RocksOutbox::mark_failed(Error error) {
  const MutexLock lock(failure_mutex_);
  if (!failure_) {
    failure_ = std::move(error);
    has_failed_ = true;
  }
  return tl::unexpected(*failure_);
}

void RocksOutbox::wait_for_syncs() { const MutexLock none(sync_mutex_); }

std::optional<Error> RocksOutbox::failure() const {
  if (!has_failed_) return std::nullopt;
  const MutexLock lock(failure_mutex_);
  return failure_;
}

// Nobody waits for the disk here, unless it is so slow that what waits for it fills the memory. If
// that fails it is written all the same, and whoever waits for it to be on disk is told.
Status RocksOutbox::write(Batch&& batch) {
  if (Status written = write_unsynced(std::move(batch)); !written) return written;
  if (unsynced_.bytes() > limits::kUnsyncedBytesMax) (void)sync();
  return {};
}

// Failures are asked for before the lock, too: heals() holds it for as long as it reads the files.
Status RocksOutbox::write_unsynced(Batch&& batch) {
  if (auto error = failure()) return tl::unexpected(*error);
  const ReaderLock lock(files_mutex_);
  if (auto error = failure()) return tl::unexpected(*error);
  if (batch.empty()) return {};
  if (!files_) return unusable();
  Status written = put(batch);
  // What has failed may be there; whoever prepares a write does not do it then.
  if (!written) batch.withdraw_prepares();
  unsynced_.add(std::move(batch));
  return written ? written : mark_failed(std::move(written.error()));
}

Status RocksOutbox::put(const Batch& batch) {
  rocksdb::WriteBatch changes(batch.bytes() + 16 * batch.changes().size() + 64);
  RocksRows::Writing writing(*rows_);
  if (Status put = rows_->put_all(batch, *files_, changes, writing); !put) return put;
  const auto added = files_->add_totals(batch, changes);
  if (!added) return tl::unexpected(added.error());
  const auto status = files_->db().Write(rocksdb::WriteOptions(), &changes);
  if (!status.ok()) return tl::unexpected(files_->error(status, "write outbox"));
  writing.done();
  totals_.add(*added);
  return {};
}

Status RocksOutbox::sync() {
  const ReaderLock lock(files_mutex_);
  const MutexLock sync_lock(sync_mutex_);
  if (auto error = failure()) return tl::unexpected(*error);
  if (!files_) return unusable();
  const uint64_t covered = unsynced_.added();
  const uint64_t last = files_->last_write();
  const auto synced = files_->db().SyncWAL();
  if (!synced.ok()) return mark_failed(files_->error(synced, "sync outbox"));
  held_ = last;
  unsynced_.synced(covered);
  return {};
}

Status RocksOutbox::admit() const {
  if (auto error = failure()) return tl::unexpected(*error);
  if (totals_.entries_bytes() <= static_cast<int64_t>(options_.bytes_max)) return {};
  return fail(ErrorCode::kNoSpace, "write outbox", dir_, "the quota is used up",
              "bring back the peers that hold it up, or raise outbox.max_bytes");
}

uint64_t RocksOutbox::room() const {
  const int64_t used = totals_.entries_bytes();
  const auto all = static_cast<int64_t>(options_.bytes_max);
  return used < all ? static_cast<uint64_t>(all - used) : 0;
}

Status RocksOutbox::heals() {
  OUTRIGGER_ASSERT(has_failed_);
  const WriterLock lock(files_mutex_);
  // In the log, and in a table.
  const uint64_t needed = kReopenFreeBytes + 2 * unsynced_.bytes();
  if (free_bytes(dir_, *env_) < needed) {
    return fail(ErrorCode::kNoSpace, "open outbox again", dir_, "the disk is still full",
                "free space on the disk; writes are refused until then");
  }
  is_shut_ = true;
  files_.reset();
  Status opened = open_files(held_);
  if (opened) opened = write_again();
  files_.reset();
  return opened;
}

// The store has done what these say, and the files may have lost it.
Status RocksOutbox::write_again() {
  const uint64_t all = unsynced_.added();
  const auto again = [this](const Batch& batch) REQUIRES(files_mutex_) { return put(batch); };
  if (Status written = unsynced_.for_each_again(again); !written) return written;
  const auto synced = files_->db().SyncWAL();
  if (!synced.ok()) return tl::unexpected(files_->error(synced, "sync outbox"));
  unsynced_.synced(all);
  return {};
}

Usage RocksOutbox::usage() const { return totals_.usage(); }

Result<size_t> RocksOutbox::drop_cohorts(
    const std::function<Hlc(const Origin&)>& through,
    const std::function<bool(const Dot&, std::string_view ns)>& is_kept) {
  if (auto error = failure()) return tl::unexpected(*error);
  const ReaderLock lock(files_mutex_);
  if (auto error = failure()) return tl::unexpected(*error);
  if (!files_) return tl::unexpected(unusable().error());
  auto dropped = rows_->drop(*files_, through, is_kept);
  if (!dropped) return tl::unexpected(mark_failed(dropped.error()).error());
  return dropped;
}

size_t RocksOutbox::cohort_rows() const { return rows_->rows_of_cohorts(); }

}  // namespace outrigger::outbox
