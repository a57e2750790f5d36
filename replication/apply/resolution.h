// A merged document that no store takes: parts written at several sites apart, each good by itself,
// make one together that breaks a rule of MongoDB's (arrays in two fields of one compound index,
// more than 16 MB). Somebody has to leave something out, and all sites must agree.
//
// A site whose store refuses the merged document starts from what its store has and tries what is
// missing there, one commit's part after the other, the newest first. What the store takes stays,
// what it refuses is left out, and the outcome is committed as an ordinary update that replaces the
// document: it has seen everything here, so wherever it arrives it wins over the parts that met,
// and of two such commits made apart the later one wins as a whole. Increments are no parts and are
// never left out: all of them count, those the commit had not seen on top of what it shows.
//
// Only what met (see aside.h) may be left out: where nothing was concurrent, the rule that is
// broken is this store's own, and others must not lose what they accepted.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/outbox/ledger.h"
#include "replication/record/record.h"
#include "replication/site/state/aside.h"
#include "replication/store/store.h"

namespace outrigger {

struct MergedParts {
  struct Part {
    Dot dot;
    StoreWrite write;  // what it adds to the document before it
  };
  std::string base;  // as stored, with all increments; with the _id alone when none is stored
  std::vector<Part> parts;                    // newest first
  std::vector<std::pair<Path, Dot>> authors;  // of every value of the merged document
};

// May a part be left out that a store refuses with these words? Only if it met another part in what
// the words are about.
[[nodiscard]] bool may_leave_out(const MergedParts::Part& part, const MergedParts& merged,
                                 const Met& met, const std::string& words);

// What the merged document of a detached row has that the stored one has not. Nothing: they are
// equal, there is no merged document, or the row is not detached any more. Errors: kCorrupt (the
// row).
[[nodiscard]] Result<std::optional<MergedParts>> merged_parts(
    std::string_view row, const std::string& ns, const bson::OwnedValue& id,
    const std::optional<std::string>& stored);

// The document's effects in the commit that makes it `document`. Errors: kCorrupt (the row).
[[nodiscard]] Result<DocumentEffects> replacing_effects(std::string_view row, const std::string& ns,
                                                        const bson::OwnedValue& id,
                                                        const std::string& document);

// The row after that commit; nothing when it would not show `document`, and must not be made.
// Errors: kCorrupt (the row).
[[nodiscard]] Result<std::optional<std::string>> row_after_replacing(std::string_view row,
                                                                     const Record& record,
                                                                     const DocumentEffects& effects,
                                                                     const std::string& document);

// What a part lost by being left out, for people to decide.
[[nodiscard]] std::vector<LedgerEntry> left_out_entries(const MergedParts::Part& part,
                                                        const Dot& winner,
                                                        const std::string& reason);

}  // namespace outrigger
