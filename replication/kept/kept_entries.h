// The ledger's entries of documents that share a key, and what is noted of them (kept_keys.h): of
// each but the first, by _id, one in each index.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/outbox/outbox.h"
#include "replication/site/site_parts.h"
#include "replication/store/store.h"

namespace outrigger {

// One thread's: the one that applies. Errors: of the store, the log.
class KeptEntries {
 public:
  // Everything is borrowed and outlives this.
  KeptEntries(SiteParts& site, outbox::Outbox& outbox, Store& store,
              std::function<void(const std::string&)> warn)
      : site_(site), outbox_(outbox), store_(store), warn_(std::move(warn)) {}

  // Into a batch; and after it is written, not before.
  void add_to(outbox::Batch& batch, const KeptChanges& changes);
  void written(const KeptChanges& changes);
  // Both, in a batch of their own.
  [[nodiscard]] Status write(const KeptChanges& changes);

  // Of a document as it is stored: what it shares in the index by now, and not any more.
  [[nodiscard]] Status note_in(const std::string& ns, const std::string& document,
                               const RelaxedIndex& index, KeptChanges& changes);
  [[nodiscard]] Status resolve(const KeptDocument& document, KeptChanges& changes);

 private:
  // What is noted of a document, or is about to be.
  [[nodiscard]] std::optional<KeptDocument> known(const KeptChanges& changes,
                                                  const std::string& row_key,
                                                  const std::string& index) const;
  // Likewise what the ledger says; nothing: it has no such entry.
  [[nodiscard]] Result<std::optional<LedgerEntry>> told(const KeptChanges& changes,
                                                        const std::string& ledger_key) const;
  [[nodiscard]] Result<std::vector<std::string>> sharing(const std::string& ns,
                                                         const std::string& document,
                                                         const RelaxedIndex& index);
  [[nodiscard]] Status put_entry(const std::string& ns, const bson::Document& document,
                                 const RelaxedIndex& index, const bson::Value& other,
                                 KeptChanges& changes);

  SiteParts& site_;
  outbox::Outbox& outbox_;
  Store& store_;
  const std::function<void(const std::string&)> warn_;
};

}  // namespace outrigger
