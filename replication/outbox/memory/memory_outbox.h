// An outbox in memory, for tests: what was written since the last sync can be lost at will, and
// writes can be made to fail. Outlives the replicas that are opened on it one after the other.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "config/thread_annotations.h"
#include "config/threads.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/outbox.h"

namespace outrigger::outbox {

// Thread-safe.
class MemoryOutbox : public Outbox {
 public:
  [[nodiscard]] Status sync() override;
  [[nodiscard]] Status write(Batch&& batch) override;
  [[nodiscard]] Status admit() const override;
  [[nodiscard]] uint64_t room() const override { return UINT64_MAX; }
  [[nodiscard]] std::optional<Error> failure() const override;
  [[nodiscard]] Status heals() override { return admit(); }

  [[nodiscard]] Result<Bytes> row(std::string_view ns, std::string_view id) const override;
  [[nodiscard]] Result<Bytes> entry(const Origin& origin, Hlc hlc) const override;
  [[nodiscard]] Result<Bytes> retry(std::string_view key) const override;
  [[nodiscard]] Result<Bytes> meta(std::string_view key) const override;
  [[nodiscard]] Result<Bytes> ledger(std::string_view key) const override;

  [[nodiscard]] Result<Entries> read_entries(const Origin& origin, Hlc after, Hlc through,
                                             size_t bytes_max) const override;
  [[nodiscard]] Result<std::vector<Origin>> origins() const override;
  [[nodiscard]] Result<Hlc> first_entry(const Origin& origin) const override;
  [[nodiscard]] Result<Hlc> last_entry(const Origin& origin) const override;
  [[nodiscard]] Result<Entries> scan_prepares() const override;
  [[nodiscard]] Result<Pairs> latest_ledger(const LedgerRange& range) const override;
  [[nodiscard]] Result<Pairs> oldest_ledger(std::string_view from, size_t count,
                                            size_t bytes_max) const override;
  [[nodiscard]] Result<Bytes> first_ledger_key(std::string_view from) const override;
  [[nodiscard]] Result<Pairs> scan_meta(std::string_view prefix) const override;
  [[nodiscard]] Result<std::string> scan_rows(std::string_view cursor, size_t count,
                                              const RowVisitor& visit) const override;
  [[nodiscard]] Result<std::string> scan_retries(std::string_view cursor, size_t count,
                                                 const PairVisitor& visit) const override;
  // Each row of a cohort is put by itself.
  [[nodiscard]] Result<size_t> drop_cohorts(
      const std::function<Hlc(const Origin&)>& through,
      const std::function<bool(const Dot&, std::string_view ns)>& is_kept) override;
  [[nodiscard]] size_t cohort_rows() const override { return 0; }
  [[nodiscard]] Usage usage() const override;

  // ---- trouble
  // A power cut; of what was not synced the first `kept_max` writes are there all the same.
  void lose_unsynced(size_t kept_max = 0);
  [[nodiscard]] size_t unsynced() const;  // writes
  // Takes what is in `other`, as one who opens the same files; what is unsynced there is so here.
  void take_over(const MemoryOutbox& other);
  // Writes and syncs fail from now on.
  void fail(ErrorCode code);
  // After that, as heals() says: of what was not synced the first `kept_max` writes are there, then
  // all are written again.
  void write_again(size_t kept_max);
  // No sync ends between the two.
  void cork();
  void uncork();
  [[nodiscard]] size_t size(Family family) const;

 protected:
  // The write that fails first: an error is told of it, and it may be there.
  void write_in_vain(Batch&& batch);
  // The first so many of the writes that were not synced are now.
  [[nodiscard]] Status sync_first(size_t count);

 private:
  using Table = std::map<std::string, std::string, std::less<>>;
  using Tables = std::array<Table, kFamilies>;

  static void apply(Tables& tables, const Batch& batch);
  [[nodiscard]] Status sync_writes(size_t count) REQUIRES(mutex_);
  [[nodiscard]] Bytes get(Family family, std::string_view key) const;
  [[nodiscard]] Result<std::string> scan(Family family, std::string_view cursor, size_t count,
                                         const PairVisitor& visit) const;
  [[nodiscard]] const Table& table(Family family) const REQUIRES(mutex_);

  SystemThreads threads_;
  Condition uncorked_{threads_};
  mutable Mutex mutex_;
  bool corked_ GUARDED_BY(mutex_) = false;
  Tables tables_ GUARDED_BY(mutex_);
  Tables synced_ GUARDED_BY(mutex_);
  std::vector<Batch> unsynced_ GUARDED_BY(mutex_);
  bool in_vain_ GUARDED_BY(mutex_) = false;  // the last of them
  std::optional<Error> failure_ GUARDED_BY(mutex_);
};

}  // namespace outrigger::outbox
