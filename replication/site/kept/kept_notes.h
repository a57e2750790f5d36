// What a site remembers of documents that are shown although they share a key of a unique index,
// and of the indexes that it has relaxed for them. What is done with it: kept/kept_keys.h.
//
// An index is noted before it is changed, and until it is known to be unique again, so that a crash
// anywhere leaves it under the note that says what it was. It may be away until it is noted as
// made. A document is noted with the entry of the ledger that tells of it; what happens to one, or
// to the one that it shares its key with, is a reason to look again.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "config/threads.h"
#include "replication/bson/bson.h"
#include "replication/outbox/outbox.h"
#include "replication/record/catalog.h"
#include "replication/site/kept/kept_changes.h"
#include "replication/store/relaxed_indexes.h"

namespace outrigger {

// Thread-safe.
class KeptNotes {
 public:
  // `shown`: what the store shows as unique is told by this, too.
  explicit KeptNotes(std::shared_ptr<RelaxedIndexes> shown) : shown_(std::move(shown)) {}
  [[nodiscard]] Status load(const outbox::Outbox& outbox);

  // These are in the log by now.
  void take(const KeptChanges& changes);

  [[nodiscard]] std::optional<RelaxedIndex> relaxed(const std::string& ns,
                                                    const std::string& name) const;
  [[nodiscard]] std::vector<RelaxedIndex> relaxed_in(const std::string& ns) const;
  [[nodiscard]] std::vector<RelaxedIndex> all_relaxed() const;
  // Of one collection what the catalogue has of them, as unique ones; and which of them another
  // entry of it takes away, or makes others: those are not ours any more.
  [[nodiscard]] CatalogEntry catalogued(const std::string& ns) const;
  [[nodiscard]] KeptChanges gone_by(const CatalogEntry& after) const;
  // The same of what this site records: it goes into the record's own batch.
  [[nodiscard]] KeptChanges gone_by(const std::vector<DocumentChange>& changes) const;
  // Somebody has dropped it, or all of a collection: it is what it is from now on.
  void dropped(const std::string& ns, std::string_view name) { shown_->erase(ns, name); }
  void dropped(const std::string& ns) { shown_->erase_all(ns); }
  [[nodiscard]] bool is_dropped(const RelaxedIndex& index) const {
    return !shown_->find(index.ns, index.name());
  }
  [[nodiscard]] const RelaxedIndexes& shown() const { return *shown_; }
  [[nodiscard]] RelaxedIndexes& shown() { return *shown_; }

  [[nodiscard]] std::optional<KeptDocument> kept(const std::string& row_key,
                                                 const std::string& index) const;
  [[nodiscard]] bool has_kept(const RelaxedIndex& index) const;
  // The next ones behind `cursor`, which moves; empty behind the last.
  [[nodiscard]] std::vector<KeptDocument> next(std::string& cursor, size_t count) const;
  [[nodiscard]] size_t size() const;
  // Row keys of all that share keys, by namespace.
  [[nodiscard]] std::map<std::string, std::vector<std::string>> row_keys() const;

  [[nodiscard]] bool empty() const { return noted_ == 0; }  // nothing is noted at all
  // Something has been done with these documents: that may be a reason to look again.
  void touch(const std::vector<std::string>& row_keys);
  void look_again() { has_reason_ = !empty(); }
  [[nodiscard]] bool has_reason() const { return has_reason_; }
  // The same, and there is none any more.
  [[nodiscard]] bool take_reason() { return has_reason_.exchange(false); }

 private:
  [[nodiscard]] std::optional<RelaxedIndex> find_relaxed(const std::string& key) const;
  void count(const KeptDocument& document, int by) REQUIRES(mutex_);

  const std::shared_ptr<RelaxedIndexes> shown_;
  mutable Mutex mutex_;
  std::map<std::string, RelaxedIndex> relaxed_ GUARDED_BY(mutex_);  // by what stands in the log
  std::map<std::string, KeptDocument> kept_ GUARDED_BY(mutex_);     // likewise
  std::map<std::string, int> watched_ GUARDED_BY(mutex_);           // row keys
  std::atomic<size_t> noted_{0};
  std::atomic<bool> has_reason_{false};
};

}  // namespace outrigger
