#include "replication/outbox/rocks/rocks_outbox.h"

#include <fcntl.h>
#include <rocksdb/env.h>
#include <rocksdb/iterator.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "replication/outbox/rocks/log_files.h"
#include "replication/outbox/rocks/rocks.h"

namespace outrigger::outbox {
namespace {

const std::string kFormatKey("\0format", 7);
const std::string kTotalsKey("\0totals", 7);
const std::string kLedgerTotalsKey("\0ledger_totals", 14);

// Below this, opening again would only fail half way and take the reads with it.
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

uint64_t free_bytes(const std::string& dir) {
  struct statvfs disk;
  if (::statvfs(dir.c_str(), &disk) != 0) return UINT64_MAX;
  return static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
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
                     [this](const rocksdb::IOStatus& error) {
                       on_log_failed(rocks_error(error, "write outbox", dir_));
                     }))),
      cohorts_(options_.cohort_bytes) {}

RocksOutbox::~RocksOutbox() { close_files(); }

Result<std::unique_ptr<RocksOutbox>> RocksOutbox::open(const std::string& dir,
                                                       RocksOutboxOptions options) {
  std::unique_ptr<RocksOutbox> outbox(new RocksOutbox(dir, std::move(options)));
  if (Status made = make_directory(outbox->dir_); !made) return tl::unexpected(made.error());
  const WriterLock lock(outbox->files_mutex_);
  if (Status opened = outbox->open_files(); !opened) return tl::unexpected(opened.error());
  return outbox;
}

Status RocksOutbox::open_files() {
  row_puts_at_empty_ = UINT64_MAX;
  rocksdb::DBOptions rocks = rocks_options(options_);
  rocks.env = env_.get();
  std::vector<std::string> present;
  // Fails when there is no outbox yet; a real problem shows again in Open.
  if (rocksdb::DB::ListColumnFamilies(rocks, dir_, &present).ok()) {
    for (const std::string& name : present) {
      const bool is_ours = std::find(std::begin(kFamilyNames), std::end(kFamilyNames), name) !=
                           std::end(kFamilyNames);
      if (is_ours || name == rocksdb::kDefaultColumnFamilyName) continue;
      return fail(ErrorCode::kUnsupported, "open outbox", dir_,
                  "holds '" + name + "', which this version does not know",
                  "use the version of outrigger that wrote it");
    }
  }
  const auto opened = rocksdb::DB::Open(rocks, dir_, rocks_families(options_), &handles_, &db_);
  if (!opened.ok()) {
    db_ = nullptr;
    handles_.clear();
    return tl::unexpected(rocks_error(opened, "open outbox", dir_));
  }
  Status checked = check_files();
  if (checked) checked = read_totals();
  if (checked) checked = load_cohorts();
  if (!checked) close_files();
  return checked;
}

Status RocksOutbox::check_files() {
  if (Status known = check_format(); !known) return known;
  uint64_t table_bytes = 0;
  db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kLiveSstFilesSize, &table_bytes);
  if (table_bytes > options_.verify_bytes_max) return {};
  rocksdb::ReadOptions read;
  read.readahead_size = 2u << 20;
  const auto verified = db_->VerifyChecksum(read);
  if (!verified.ok()) return tl::unexpected(rocks_error(verified, "verify outbox", dir_));
  return {};
}

// Reads the version, and writes and syncs it anew: proof that the files take writes.
Status RocksOutbox::check_format() {
  const std::string ours = std::to_string(kFormatVersion);
  std::string found;
  auto status = db_->Get(rocksdb::ReadOptions(), handle(Family::kMeta), kFormatKey, &found);
  if (status.ok() && found != ours) {
    return fail(ErrorCode::kUnsupported, "open outbox", dir_,
                "written in format " + found + ", this version knows format " + ours,
                "use the version of outrigger that wrote it");
  }
  if (status.ok() || status.IsNotFound()) {
    rocksdb::WriteOptions durable;
    durable.sync = true;
    status = db_->Put(durable, handle(Family::kMeta), kFormatKey, ours);
  }
  if (!status.ok()) return tl::unexpected(rocks_error(status, "open outbox", dir_));
  return {};
}

Status RocksOutbox::read_totals() {
  auto entries = read_totals(kTotalsKey);
  if (!entries) return tl::unexpected(entries.error());
  auto ledger = read_totals(kLedgerTotalsKey);
  if (!ledger) return tl::unexpected(ledger.error());
  if (!*ledger) {
    // Written by a version that did not count, or empty.
    auto counted = count_ledger();
    if (!counted) return tl::unexpected(counted.error());
    *ledger = *counted;
    const auto status = db_->Merge(rocksdb::WriteOptions(), handle(Family::kMeta), kLedgerTotalsKey,
                                   encode_totals(*counted));
    if (!status.ok()) return tl::unexpected(rocks_error(status, "open outbox", dir_));
  }
  const Totals kept = entries->value_or(Totals());
  entries_ = kept.entries;
  entries_bytes_ = kept.bytes;
  ledger_ = (*ledger)->entries;
  ledger_bytes_ = (*ledger)->bytes;
  return {};
}

Result<std::optional<Totals>> RocksOutbox::read_totals(const std::string& key) const {
  std::string bytes;
  const auto status = db_->Get(rocksdb::ReadOptions(), handle(Family::kMeta), key, &bytes);
  if (status.IsNotFound()) return std::optional<Totals>();
  if (!status.ok()) return tl::unexpected(rocks_error(status, "open outbox", dir_));
  auto totals = decode_totals(bytes);
  if (!totals) return fail(ErrorCode::kCorrupt, "open outbox", dir_, "totals of a wrong length");
  return totals;
}

Result<Totals> RocksOutbox::count_ledger() const {
  Totals totals;
  rocksdb::ReadOptions read;
  read.readahead_size = 2u << 20;
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(read, handle(Family::kLedger)));
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    ++totals.entries;
    totals.bytes += static_cast<int64_t>(at->key().size() + at->value().size());
  }
  if (!at->status().ok()) return tl::unexpected(rocks_error(at->status(), "open outbox", dir_));
  return totals;
}

void RocksOutbox::close_files() {
  if (!db_) return;
  for (rocksdb::ColumnFamilyHandle* each : handles_) db_->DestroyColumnFamilyHandle(each);
  handles_.clear();
  delete db_;  // leaves the log as it is: what was written is found again
  db_ = nullptr;
}

Status RocksOutbox::mark_failed(Error error) {
  const MutexLock lock(failure_mutex_);
  if (!failure_) {
    failure_ = std::move(error);
    has_failed_ = true;
  }
  return tl::unexpected(*failure_);
}

void RocksOutbox::on_log_failed(const Error& error) {
  (void)mark_failed(error);              // no sync begins from here on,
  const MutexLock no_sync(sync_mutex_);  // and none is under way when RocksDB knows
}

std::optional<Error> RocksOutbox::failure() const {
  if (!has_failed_) return std::nullopt;
  const MutexLock lock(failure_mutex_);
  return failure_;
}

Status RocksOutbox::write(Batch&& batch) {
  const ReaderLock lock(files_mutex_);
  if (auto error = failure()) return tl::unexpected(*error);
  if (batch.empty()) return {};
  if (!db_) return unusable();
  rocksdb::WriteBatch changes(batch.bytes() + 16 * batch.changes().size() + 64);
  RowChanges rows;
  if (Status put = put_all(batch, changes, rows); !put) return put;
  rocksdb::Status status;
  const Totals entries = added_to(Family::kEntries, batch, *db_, handle(Family::kEntries));
  const Totals ledger = added_to(Family::kLedger, batch, *db_, handle(Family::kLedger));
  for (const auto& [key, added] :
       {std::pair(&kTotalsKey, &entries), {&kLedgerTotalsKey, &ledger}}) {
    if (added->entries == 0 && added->bytes == 0) continue;
    status = changes.Merge(handle(Family::kMeta), *key, encode_totals(*added));
    if (!status.ok()) return tl::unexpected(rocks_error(status, "write outbox", dir_));
  }
  if (rows.puts) ++row_puts_begun_;
  status = db_->Write(rocksdb::WriteOptions(), &changes);
  if (rows.puts) ++row_puts_ended_;
  if (!status.ok()) return mark_failed(rocks_error(status, "write outbox", dir_));
  entries_ += entries.entries;
  entries_bytes_ += entries.bytes;
  ledger_ += ledger.entries;
  ledger_bytes_ += ledger.bytes;
  return {};
}

Status RocksOutbox::sync() {
  const ReaderLock lock(files_mutex_);
  const MutexLock sync_lock(sync_mutex_);
  if (auto error = failure()) return tl::unexpected(*error);
  if (!db_) return unusable();
  const auto synced = db_->SyncWAL();
  if (!synced.ok()) return mark_failed(rocks_error(synced, "sync outbox", dir_));
  return {};
}

Status RocksOutbox::admit() const {
  if (auto error = failure()) return tl::unexpected(*error);
  if (entries_bytes_ <= static_cast<int64_t>(options_.bytes_max)) return {};
  return fail(ErrorCode::kNoSpace, "write outbox", dir_, "the quota is used up",
              "bring back the peers that hold it up, or raise outbox.max_bytes");
}

Status RocksOutbox::heals() {
  OUTRIGGER_ASSERT(has_failed_);
  const WriterLock lock(files_mutex_);
  if (db_ && free_bytes(dir_) < kReopenFreeBytes) {
    return fail(ErrorCode::kNoSpace, "open outbox again", dir_, "the disk is still full",
                "free space on the disk; writes are refused until then");
  }
  is_shut_ = true;
  close_files();
  Status opened = open_files();
  close_files();
  return opened;
}

Usage RocksOutbox::usage() const {
  Usage usage;
  usage.entries = static_cast<uint64_t>(std::max<int64_t>(0, entries_));
  usage.entries_bytes = static_cast<uint64_t>(std::max<int64_t>(0, entries_bytes_));
  usage.ledger = static_cast<uint64_t>(std::max<int64_t>(0, ledger_));
  usage.ledger_bytes = static_cast<uint64_t>(std::max<int64_t>(0, ledger_bytes_));
  const ReaderLock lock(files_mutex_);
  if (db_) {
    db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &usage.disk_bytes);
  }
  return usage;
}

}  // namespace outrigger::outbox
