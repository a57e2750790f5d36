// The pure half of applying: effects of several records on one document become its next row, the
// document the store should hold, and what was lost on the way; and the smallest absolute write
// that leads from one document to another.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/result.h"
#include "replication/ledger.h"
#include "replication/record.h"
#include "replication/store/store.h"

namespace outrigger {

struct ApplyDocument {
  std::string ns;
  bson::OwnedValue id;
  std::string canonical_id;
  // In the order of delivery; none: a document set aside that is tried again. Borrowed.
  std::vector<std::pair<const Record*, const DocumentEffects*>> effects;
  std::optional<std::string> row;     // before
  std::optional<std::string> stored;  // before, as the store holds it

  std::string row_after;              // empty: none is needed
  std::optional<std::string> wanted;  // nothing: no document
  std::vector<LedgerEntry> lost;
};

// Fills the second half from the first. Errors: kCorrupt (the row).
[[nodiscard]] Status merge_document(ApplyDocument& document);

// The row of a document the store refused: every value of `document` is in it. Errors: kCorrupt.
[[nodiscard]] Result<std::string> detached_row(std::string_view row, const std::string& document);

// The write that turns `stored` into `wanted`; nothing when they are equal but for field order.
[[nodiscard]] std::optional<StoreWrite> write_between(const std::string& ns,
                                                      const bson::OwnedValue& id,
                                                      const std::optional<std::string>& stored,
                                                      const std::optional<std::string>& wanted);
// The write that leads to `wanted` from anywhere.
[[nodiscard]] StoreWrite whole_write(const std::string& ns, const bson::OwnedValue& id,
                                     const std::optional<std::string>& wanted);

}  // namespace outrigger
