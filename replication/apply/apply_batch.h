// The pure half of applying: effects of several records on one document become its next row, the
// writes that bring the store there, and what was lost on the way.
//
// Readers must see no effect without its causes, so a batch is a sequence of touches (one record,
// one document), and a document is written wherever the next touch is another document's: what the
// other one gets may build on it. Touches of one document in a row are one write.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/result.h"
#include "replication/apply/apply_intent.h"
#include "replication/apply/apply_writer.h"
#include "replication/outbox/ledger.h"
#include "replication/record/record.h"
#include "replication/site/state/aside.h"
#include "replication/site/state/inbox.h"
#include "replication/site/state/meta_keys.h"
#include "replication/store/store.h"

namespace outrigger {

// MongoDB takes an update of n paths in about n squared; a whole document costs its bytes.
inline constexpr size_t kDiffPathsMax = 256;

struct ApplyDocument {
  struct Touch {
    const Record* record = nullptr;  // borrowed
    const DocumentEffects* effects = nullptr;
    size_t position = 0;  // in the batch, from 1
    bool shown = false;   // the store is to show the document as it is after this touch
  };

  std::string ns;
  bson::OwnedValue id;
  std::string canonical_id;
  std::vector<Touch> touches;      // in causal order; none: a document set aside is tried again
  std::optional<std::string> row;  // before

  // Filled in by merge_document.
  std::string row_after;                              // empty: none is needed
  std::vector<std::pair<size_t, StoreWrite>> writes;  // by position
  std::vector<LedgerEntry> lost;
  Met met;
};

// By row key. They stay where they are.
using ApplyDocuments = std::unordered_map<std::string, ApplyDocument>;

// A batch between gathering and release, handed from one to the next: what is to be done, by the
// gatherer; what it writes, by the commit of the intent; how far that has come, by the writer. See
// applier.h for its three steps.
struct ApplyWork {
  std::vector<std::shared_ptr<const Record>> records;
  ApplyIntent intent;
  const char* intent_key = meta_keys::kIntent;  // where the log keeps it
  std::vector<Inbox::Promised> promised;
  // Records that may not be applied, and why; records set aside that may now, by name.
  std::vector<std::pair<std::shared_ptr<const Record>, std::string>> wrong;
  std::map<std::string, std::shared_ptr<const Record>> released;
  ApplyDocuments documents;            // none when a batch is replayed
  std::vector<std::string> corrected;  // row keys of those of them that are noted to be corrected
  std::vector<std::string> settled;    // those of them of which nothing more is to be written
  size_t bytes = 0;                    // of what was read and is to be written
  bool blocked = false;                // some records were left because of a lock
  ApplyProgress progress;

  // Nothing is to be written: neither to the log nor to the store.
  [[nodiscard]] bool empty() const {
    return documents.empty() && intent.after.empty() && released.empty();
  }
};

// What records do to each document; `documents` may hold some to be tried again.
void add_touches(std::span<const std::shared_ptr<const Record>> records, ApplyDocuments& documents);

// The top-level fields of the stored document that merging asks for, besides _id; nothing: all of
// it. What did not change since everybody had it, and does not change now, need not be read.
// Errors: kCorrupt (the row).
[[nodiscard]] Result<std::optional<std::vector<std::string>>> fields_needed(
    const ApplyDocument& document);

// `stored`: as the store holds it, only the fields asked for unless `whole`. False: it takes the
// whole document after all, nothing was filled in. Errors: kCorrupt (the row).
[[nodiscard]] Result<bool> merge_document(ApplyDocument& document,
                                          const std::optional<bson::Document>& stored, bool whole);

// When, as far as is remembered, a time series was last dropped, by its row in the catalogue (none:
// zero). What others measured without having heard of that is gone with it. Errors: kCorrupt.
[[nodiscard]] Result<Dot> contents_dropped(const std::optional<std::string>& catalog_row);

// The row of what the store refused: every value of `document` is in it; nothing: a document that
// should be gone is still there. Errors: kCorrupt.
[[nodiscard]] Result<std::string> detached_row(std::string_view row,
                                               const std::optional<std::string>& document);

// The write that turns `stored` into `wanted`; nothing when they are equal but for field order.
[[nodiscard]] std::optional<StoreWrite> write_between(const std::string& ns,
                                                      const bson::OwnedValue& id,
                                                      const std::optional<std::string>& stored,
                                                      const std::optional<std::string>& wanted);
// The key of the row of the document it writes.
[[nodiscard]] std::string row_key_of(const StoreWrite& write);
// A rough count of the memory a write takes.
[[nodiscard]] size_t memory_bytes(const StoreWrite& write);
// The write that leads to `wanted` from anywhere.
[[nodiscard]] StoreWrite whole_write(const std::string& ns, const bson::OwnedValue& id,
                                     const std::optional<std::string>& wanted);
// What `stored` becomes by writes of one document, one after the other, whatever stands in their
// way. Nothing: no document, also where only updates meet none.
[[nodiscard]] std::optional<std::string> written(std::optional<std::string> stored,
                                                 std::span<const StoreWrite* const> writes);

}  // namespace outrigger
