// Documents about which it is decided who is shown (apply/unique_owners.h), and how they go from
// the store, stay out and come back: each step is in the log before the next one builds on it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/apply/applier_options.h"
#include "replication/apply/apply_batch.h"
#include "replication/merge/claims/claim.h"
#include "replication/outbox/commit_thread.h"
#include "replication/outbox/ledger.h"
#include "replication/outbox/outbox.h"
#include "replication/site/state/aside.h"
#include "replication/store/store.h"

namespace outrigger {

struct SiteParts;

struct Claimant {
  std::string row_key;
  std::string ns;
  bson::OwnedValue id;
  merge::Claim claim;
  std::optional<Aside> aside;           // nothing: it is shown as it should be
  std::optional<std::string> row;       // before
  std::optional<std::string> document;  // as merged; of a holder, as stored
  [[nodiscard]] bool is_parked() const { return aside && outrigger::is_parked(*aside); }
};

// One thread's: the one that applies. All under the locks of the documents. Errors: of the store,
// the log.
class Claimants {
 public:
  // Everything is borrowed and outlives this.
  Claimants(SiteParts& site, outbox::Outbox& outbox, outbox::CommitThread& commit, Store& store,
            const ApplierOptions& options)
      : site_(site), outbox_(outbox), commit_(commit), store_(store), options_(options) {}

  [[nodiscard]] Status read_row(Claimant& of);
  [[nodiscard]] Result<std::optional<std::string>> stored(const Claimant& of);
  [[nodiscard]] Result<WriteOutcome> write(const Claimant& of,
                                           const std::optional<std::string>& document);
  // Of the key for which this one was refused; it itself is none of them.
  [[nodiscard]] Result<std::vector<Claimant>> holders(const Claimant& of, const std::string& index);

  [[nodiscard]] Status park(const Claimant& holder, const Claimant& owner);
  [[nodiscard]] Status stay(const Claimant& one, const Claimant* owner, bool is_there);
  // `batch`: what else is to be known of it.
  [[nodiscard]] Status come_back(const Claimant& one, const ApplyDocument& merged,
                                 const WriteOutcome& outcome, outbox::Batch batch);
  [[nodiscard]] Status refile(const Claimant& one, const WriteOutcome& outcome);

 private:
  SiteParts& site_;
  outbox::Outbox& outbox_;
  outbox::CommitThread& commit_;
  Store& store_;
  const ApplierOptions& options_;
};

}  // namespace outrigger
