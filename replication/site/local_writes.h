// The local writes of a site, in the three steps that replica.h tells of: begin, settle, publish.
//
// What is settled is in the page cache, and published only after the sync that follows: were a
// stamp published before, a power cut could take back what a peer has. The sync is left to the
// commit thread, which comes back here.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/record/change.h"
#include "replication/record/prepare.h"
#include "replication/record/record.h"
#include "replication/site/local_records.h"
#include "replication/site/staged_writes.h"
#include "replication/site/state/aside_documents.h"
#include "replication/site/state/site_state.h"
#include "replication/site/state/wakers.h"

namespace outrigger {

// Thread-safe. Verbs without a word here: Replica's of the same name.
class LocalWrites {
 public:
  // Everything is borrowed and outlives this.
  LocalWrites(const SiteContext& context, SiteState& state, LocalRecords& records,
              AsideDocuments& aside, Wakers& wakers)
      : context_(context), state_(state), records_(records), aside_(aside), wakers_(wakers) {}
  // Once, before the first write: callbacks on the commit thread do nothing when `owner` is gone.
  void owned_by(std::weak_ptr<const void> owner) { owner_ = std::move(owner); }

  [[nodiscard]] Status admit() const;
  [[nodiscard]] Unsynced unsynced(std::string_view ns, std::string_view canonical_id) const;
  [[nodiscard]] Result<LocalWrite> begin(Prepare prepare, StagedWrites& staged);
  [[nodiscard]] Status settle(const LocalWrite& write, std::vector<DocumentChange> changes,
                              const std::vector<RetryEntry>& retries, StagedWrites& staged);
  void drop(const LocalWrite& write, const std::vector<RetryEntry>& retries, StagedWrites& staged);
  [[nodiscard]] Status write(StagedWrites&& staged);

  // A write of an earlier run, under its stamp of then. Not yet synced.
  [[nodiscard]] Status settle_earlier(const Dot& dot, const VersionVector& deps,
                                      std::vector<DocumentChange> changes,
                                      const std::vector<RetryEntry>& retries);

  // ---- records that no app wrote, under the locks of their documents
  // The record's stamp and dependencies. It holds back publication until one of the next two.
  [[nodiscard]] Result<LocalWrite> begin_record() { return records_.begin(OpenWrite()); }
  // Goes into the log with all that `batch` holds.
  [[nodiscard]] Status commit(const Record& record, outbox::Batch batch);
  void give_up(Hlc stamp);  // no record carries it

 private:
  void leave_to_sync(std::vector<Hlc> stamps, uint64_t append);

  const SiteContext& context_;
  SiteState& state_;
  LocalRecords& records_;
  AsideDocuments& aside_;
  Wakers& wakers_;
  std::weak_ptr<const void> owner_;
};

}  // namespace outrigger
