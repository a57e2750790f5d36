// The local writes of a site, in the three steps that replica.h tells of: begin, settle, publish.
//
// What is settled is in the page cache, and published only after the sync that follows: were a
// stamp published before, a power cut could take back what a peer has. The sync is left to the
// commit thread, which comes back here.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "config/result.h"
#include "replication/record/change.h"
#include "replication/record/prepare.h"
#include "replication/record/record.h"
#include "replication/site/kept/kept_notes.h"
#include "replication/site/local_records.h"
#include "replication/site/staged_writes.h"
#include "replication/site/state/aside_documents.h"
#include "replication/site/state/open_writes.h"
#include "replication/site/state/site_state.h"
#include "replication/site/state/wakers.h"

namespace outrigger {

class LocalWrites;

// The stamp and dependencies of a record that no app wrote. It holds back publication until it is
// committed; one that ends without is given up, and no record carries the stamp.
class BegunRecord {
 public:
  // `writes` outlives this.
  BegunRecord(LocalWrites& writes, LocalWrite name) : writes_(&writes), name_(std::move(name)) {}
  BegunRecord(BegunRecord&& other) noexcept
      : writes_(std::exchange(other.writes_, nullptr)), name_(std::move(other.name_)) {}
  BegunRecord& operator=(BegunRecord&&) = delete;
  ~BegunRecord();

  // What it is to hold is to be added.
  [[nodiscard]] Record record() const;
  // LocalWrites::commit. After an error the log alone knows whether it is there.
  [[nodiscard]] Status commit(const Record& record, outbox::Batch batch);

 private:
  LocalWrites* writes_;  // none: it is committed, or was moved from
  LocalWrite name_;
};

// Thread-safe. Verbs without a word here: Replica's of the same name.
class LocalWrites {
 public:
  // Everything is borrowed and outlives this.
  LocalWrites(const SiteContext& context, SiteState& state, LocalRecords& records,
              AsideDocuments& aside, Corrections& corrections, KeptNotes& kept, Wakers& wakers)
      : context_(context),
        state_(state),
        records_(records),
        aside_(aside),
        corrections_(corrections),
        kept_(kept),
        wakers_(wakers) {}
  // Once, before the first write: callbacks on the commit thread do nothing when `owner` is gone.
  void owned_by(std::weak_ptr<const void> owner) { owner_ = std::move(owner); }

  [[nodiscard]] Status admit() const;
  [[nodiscard]] Unsynced unsynced(std::string_view ns, std::string_view canonical_id) const;
  [[nodiscard]] Result<UndecidedWrite> begin(Prepare prepare, StagedWrites& staged);
  [[nodiscard]] Status settle(UndecidedWrite& write, std::vector<DocumentChange> changes,
                              const std::vector<RetryEntry>& retries, StagedWrites& staged);
  void drop(UndecidedWrite& write, const std::vector<RetryEntry>& retries, StagedWrites& staged);
  [[nodiscard]] Status write(StagedWrites&& staged);

  // A write of an earlier run, under its stamp of then. Not yet synced.
  [[nodiscard]] Status settle_earlier(const Prepare& prepare, std::vector<DocumentChange> changes,
                                      const std::vector<RetryEntry>& retries);

  // What a command did that is not prepared document by document, as a record under a stamp taken
  // now. Somebody's open prepare holds back its publication until all of that is told. Not yet
  // synced; after an error the log alone knows whether it is there.
  [[nodiscard]] Status record(std::vector<DocumentChange> changes);

  // ---- records that no app wrote, under the locks of their documents
  [[nodiscard]] Result<BegunRecord> begin_record();
  // Goes into the log with all that `batch` holds.
  [[nodiscard]] Status commit(const Record& record, outbox::Batch batch);

 private:
  friend class BegunRecord;
  [[nodiscard]] Status settle_now(RecordName name, std::vector<DocumentChange> changes,
                                  const std::vector<RetryEntry>& retries);
  void give_up(Hlc stamp);  // no record carries it
  void note(std::span<const Correction> corrections);
  [[nodiscard]] std::vector<std::string> behind_changed(
      const std::vector<DocumentChange>& changes) const;
  void leave_to_sync(std::vector<Hlc> stamps, uint64_t append);

  const SiteContext& context_;
  SiteState& state_;
  LocalRecords& records_;
  AsideDocuments& aside_;
  Corrections& corrections_;
  KeptNotes& kept_;
  Wakers& wakers_;
  std::weak_ptr<const void> owner_;
};

}  // namespace outrigger
