// Documents set aside in which parts met that no store takes together (resolution.h): somebody has
// to leave something out. All members may, and one of them is enough, so each waits longer than
// those before it in the list of members, and finds nothing left to do when one of them has.
//
// A document is resolved under its lock, in the store first: what that takes is committed as this
// site's own record, in one batch with the document's row and its entries in the ledger.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/apply/applier_options.h"
#include "replication/apply/locks/apply_locks.h"
#include "replication/apply/resolution.h"
#include "replication/outbox/ledger.h"
#include "replication/outbox/outbox.h"
#include "replication/site/state/aside.h"
#include "replication/store/store.h"

namespace outrigger {

struct SiteParts;

// One thread's: the one that applies.
class AsideResolver {
 public:
  // Everything is borrowed and outlives this.
  AsideResolver(SiteParts& site, outbox::Outbox& outbox, Store& store, ApplyLocks& locks,
                const ApplierOptions& options)
      : site_(site), outbox_(outbox), store_(store), locks_(locks), options_(options) {}

  // Resolves those whose time has come. No batch is under way. Errors: of the store, the log.
  [[nodiscard]] Status step();

 private:
  // A document in which parts met, as this store takes it.
  struct Resolution {
    std::string document;
    std::vector<MergedParts::Part> left_out;
  };

  [[nodiscard]] int64_t patience_ms() const;
  [[nodiscard]] Status resolve(const std::string& row_key, const Aside& aside,
                               const LedgerEntry& entry);
  [[nodiscard]] Result<std::optional<Resolution>> try_parts(const MergedParts& parts,
                                                            const Aside& aside,
                                                            const LedgerEntry& entry);
  [[nodiscard]] Status commit_resolution(const std::string& row_key, const Aside& aside,
                                         const LedgerEntry& entry, const std::string& row,
                                         const Resolution& resolution);

  SiteParts& site_;
  outbox::Outbox& outbox_;
  Store& store_;
  ApplyLocks& locks_;
  const ApplierOptions& options_;
};

}  // namespace outrigger
