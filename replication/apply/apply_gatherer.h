// What the next batch is: which of the records in front may go together, the documents they change,
// and what merging makes of these, with all of their locks held.
//
// Beside the records of the inbox it takes what was set aside and has come up again: documents
// whose time has come, and records that somebody wants to be tried.
//
// What merging reads is not known before it has been read. So a batch that turns out to take too
// much memory is given up and gathered again with half the documents; the next ones may grow again.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/apply/applier_options.h"
#include "replication/apply/apply_batch.h"
#include "replication/apply/locks/apply_locks.h"
#include "replication/outbox/outbox.h"
#include "replication/site/corrections/corrections.h"
#include "replication/site/state/inbox.h"
#include "replication/store/store.h"

namespace outrigger {

struct SiteParts;

// kUnavailable: another run of mongod answers than the one that is served.
[[nodiscard]] Status is_admitted(Store& store, const ApplierOptions& options);

// One thread's: the one that applies.
class ApplyGatherer {
 public:
  // Everything is borrowed and outlives this.
  ApplyGatherer(SiteParts& site, outbox::Outbox& outbox, Store& store, ApplyLocks& locks,
                const ApplierOptions& options)
      : site_(site),
        outbox_(outbox),
        store_(store),
        locks_(locks),
        options_(options),
        documents_max_(options.batch.documents_max) {}

  // The next batch. Where it is empty() or an error, no locks are held. What holds other records
  // back is told in the status. Errors: of the store, of the log.
  [[nodiscard]] Result<ApplyWork> gather();
  // Nothing of it is done: what was taken for another try is left for another batch.
  void forget(const ApplyWork& work);

 private:
  [[nodiscard]] Status fill(ApplyWork& work);
  [[nodiscard]] Delivery take_delivery();
  [[nodiscard]] Status add_retries(ApplyWork& work);
  [[nodiscard]] Status add_released(ApplyWork& work);
  void add_corrections(ApplyWork& work);
  [[nodiscard]] Corrections::Store store_known() const;
  void end_corrections(ApplyWork& work) const;
  [[nodiscard]] Status read_rows(ApplyWork& work);
  [[nodiscard]] Status merge_all(ApplyWork& work);
  [[nodiscard]] Status leave_out_dropped(ApplyWork& work);
  [[nodiscard]] Result<bool> is_there(const std::string& ns, const ApplyDocument& document);
  [[nodiscard]] Status bear_all(ApplyWork& work, const std::string& ns,
                                std::span<ApplyDocument* const> documents);
  [[nodiscard]] Status merge_some(ApplyWork& work, const std::string& ns,
                                  std::span<ApplyDocument* const> documents,
                                  const std::optional<std::vector<std::string>>& fields);
  [[nodiscard]] Status leave_missing(ApplyWork& work, ApplyDocument& document,
                                     const std::string& key) const;
  [[nodiscard]] bool too_much(const ApplyWork& work) const;
  [[nodiscard]] bool has_room(const ApplyWork& work) const;

  SiteParts& site_;
  outbox::Outbox& outbox_;
  Store& store_;
  ApplyLocks& locks_;
  const ApplierOptions& options_;
  std::string corrections_cursor_;
  size_t documents_max_;  // of a batch, by what the last ones took
};

}  // namespace outrigger
