#include "replication/outbox/rocks/rocks_files.h"

#include <rocksdb/iterator.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <utility>

namespace outrigger::outbox {
namespace {

constexpr const char* kOpen = "open outbox";
const std::string kFormatKey("\0format", 7);
const std::string kTotalsKey("\0totals", 7);
const std::string kLedgerTotalsKey("\0ledger_totals", 14);
const std::string kOpenTotalsKey("\0ledger_open_totals", 19);

rocksdb::ReadOptions reading_all() {
  rocksdb::ReadOptions read;
  read.readahead_size = 2u << 20;
  return read;
}

}  // namespace

Result<std::unique_ptr<RocksFiles>> RocksFiles::open(const std::string& dir,
                                                     const RocksOutboxOptions& options,
                                                     rocksdb::Env& env,
                                                     std::optional<uint64_t> held) {
  std::unique_ptr<RocksFiles> files(new RocksFiles(dir));
  rocksdb::DBOptions rocks = rocks_options(options);
  rocks.env = &env;
  if (Status known = files->check_known_families(rocks); !known) {
    return tl::unexpected(known.error());
  }
  const auto opened = files->open_log(rocks, options, held);
  if (!opened.ok()) return tl::unexpected(files->error(opened, kOpen));
  Status checked = files->check(options);
  if (checked) checked = files->read_totals();
  if (!checked) return tl::unexpected(checked.error());
  return files;
}

RocksFiles::~RocksFiles() { close(); }

// Cutting is for good, so how much stands before the damage is looked at first.
rocksdb::Status RocksFiles::open_log(rocksdb::DBOptions rocks, const RocksOutboxOptions& options,
                                     std::optional<uint64_t> held) {
  const auto opened = open_writable(rocks, options);
  if (!opened.IsCorruption() || !held) return opened;
  rocks.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  const auto looked =
      rocksdb::DB::OpenForReadOnly(rocks, dir_, rocks_families(options), &handles_, &db_);
  const bool is_held = looked.ok() && last_write() >= *held;
  close();
  return is_held ? open_writable(rocks, options) : opened;
}

rocksdb::Status RocksFiles::open_writable(const rocksdb::DBOptions& rocks,
                                          const RocksOutboxOptions& options) {
  const auto opened = rocksdb::DB::Open(rocks, dir_, rocks_families(options), &handles_, &db_);
  if (!opened.ok()) close();
  return opened;
}

void RocksFiles::close() {
  if (db_) {
    for (rocksdb::ColumnFamilyHandle* each : handles_) db_->DestroyColumnFamilyHandle(each);
  }
  handles_.clear();
  delete std::exchange(db_, nullptr);  // leaves the log as it is: what was written is found again
}

Status RocksFiles::check_known_families(const rocksdb::DBOptions& rocks) const {
  std::vector<std::string> present;
  // Fails when there is no outbox yet; a real problem shows again in Open.
  if (!rocksdb::DB::ListColumnFamilies(rocks, dir_, &present).ok()) return {};
  for (const std::string& name : present) {
    const bool is_ours =
        std::find(std::begin(kFamilyNames), std::end(kFamilyNames), name) != std::end(kFamilyNames);
    if (is_ours || name == rocksdb::kDefaultColumnFamilyName) continue;
    return fail(ErrorCode::kUnsupported, kOpen, dir_,
                "holds '" + name + "', which this version does not know",
                "use the version of outrigger that wrote it");
  }
  return {};
}

Status RocksFiles::check(const RocksOutboxOptions& options) const {
  if (Status known = check_format(); !known) return known;
  uint64_t table_bytes = 0;
  db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kLiveSstFilesSize, &table_bytes);
  if (table_bytes > options.verify_bytes_max) return {};
  const auto verified = db_->VerifyChecksum(reading_all());
  if (!verified.ok()) return tl::unexpected(error(verified, "verify outbox"));
  return {};
}

// Reads the version, and writes and syncs it anew: proof that the files take writes.
Status RocksFiles::check_format() const {
  const std::string ours = std::to_string(kFormatVersion);
  std::string found;
  auto status = db_->Get(rocksdb::ReadOptions(), handle(Family::kMeta), kFormatKey, &found);
  if (status.ok() && found != ours && found != "1") {
    return fail(ErrorCode::kUnsupported, kOpen, dir_,
                "written in format " + found + ", this version knows format " + ours,
                "use the version of outrigger that wrote it");
  }
  if (status.ok() || status.IsNotFound()) {
    rocksdb::WriteOptions durable;
    durable.sync = true;
    status = db_->Put(durable, handle(Family::kMeta), kFormatKey, ours);
  }
  if (!status.ok()) return tl::unexpected(error(status, kOpen));
  return {};
}

Status RocksFiles::read_totals() {
  auto entries = read_totals(kTotalsKey);
  if (!entries) return tl::unexpected(entries.error());
  auto ledger = read_totals(kLedgerTotalsKey);
  if (!ledger) return tl::unexpected(ledger.error());
  auto open = read_totals(kOpenTotalsKey);
  if (!open) return tl::unexpected(open.error());
  if (!*ledger || !*open) {
    // Written by a version that did not count, or empty.
    auto counted = count_ledger();
    if (!counted) return tl::unexpected(counted.error());
    rocksdb::WriteBatch missing;
    if (!*ledger)
      (void)missing.Merge(handle(Family::kMeta), kLedgerTotalsKey, encode_totals(counted->all));
    if (!*open)
      (void)missing.Merge(handle(Family::kMeta), kOpenTotalsKey, encode_totals(counted->open));
    const auto status = db_->Write(rocksdb::WriteOptions(), &missing);
    if (!status.ok()) return tl::unexpected(error(status, kOpen));
    if (!*ledger) *ledger = counted->all;
    *open = counted->open;
  }
  totals_ = {entries->value_or(Totals()), {**ledger, **open}};
  return {};
}

Result<std::optional<Totals>> RocksFiles::read_totals(const std::string& key) const {
  std::string bytes;
  const auto status = db_->Get(rocksdb::ReadOptions(), handle(Family::kMeta), key, &bytes);
  if (status.IsNotFound()) return std::optional<Totals>();
  if (!status.ok()) return tl::unexpected(error(status, kOpen));
  auto totals = decode_totals(bytes);
  if (!totals) return fail(ErrorCode::kCorrupt, kOpen, dir_, "totals of a wrong length");
  return totals;
}

Result<Share> RocksFiles::count_ledger() const {
  Share counted;
  const std::unique_ptr<rocksdb::Iterator> at(
      db_->NewIterator(reading_all(), handle(Family::kLedger)));
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    const Share each = share_of(Family::kLedger, view(at->key()), view(at->value()));
    counted.all += each.all;
    counted.open += each.open;
  }
  if (!at->status().ok()) return tl::unexpected(error(at->status(), kOpen));
  return counted;
}

Result<Outbox::Bytes> RocksFiles::get(Family family, std::string_view key) const {
  std::string bytes;
  const auto status = db_->Get(rocksdb::ReadOptions(), handle(family), slice(key), &bytes);
  if (status.IsNotFound()) return Outbox::Bytes();
  if (!status.ok()) return tl::unexpected(error(status, "read outbox"));
  return Outbox::Bytes(std::move(bytes));
}

Result<Outbox::Pairs> RocksFiles::range(Family family, const Range& range) const {
  rocksdb::ReadOptions options;
  options.total_order_seek = true;
  const rocksdb::Slice below = slice(range.below);
  if (!range.below.empty()) options.iterate_upper_bound = &below;
  const rocksdb::Slice from = slice(range.from);
  options.iterate_lower_bound = &from;
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options, handle(family)));
  Outbox::Pairs pairs;
  size_t bytes = 0;
  size_t skip = range.skip;
  for (range.newest_first ? at->SeekToLast() : at->SeekToFirst(); at->Valid();
       range.newest_first ? at->Prev() : at->Next()) {
    if (skip > 0) {
      --skip;
      continue;
    }
    if (pairs.size() == range.count) break;
    if (!pairs.empty() && bytes + at->value().size() > range.bytes_max) break;
    bytes += at->value().size();
    pairs.emplace_back(view(at->key()), range.keys_only ? std::string_view() : view(at->value()));
  }
  if (!at->status().ok()) return tl::unexpected(error(at->status(), "read outbox"));
  return pairs;
}

Result<AllTotals> RocksFiles::add_totals(const Batch& batch, rocksdb::WriteBatch& out) const {
  AllTotals added{added_to(Family::kEntries, batch, *db_, handle(Family::kEntries)).all,
                  added_to(Family::kLedger, batch, *db_, handle(Family::kLedger))};
  for (const auto& [key, totals] : {std::pair(&kTotalsKey, &added.entries),
                                    {&kLedgerTotalsKey, &added.ledger.all},
                                    {&kOpenTotalsKey, &added.ledger.open}}) {
    if (totals->entries == 0 && totals->bytes == 0) continue;
    const auto status = out.Merge(handle(Family::kMeta), *key, encode_totals(*totals));
    if (!status.ok()) return tl::unexpected(error(status, "write outbox"));
  }
  return added;
}

}  // namespace outrigger::outbox
