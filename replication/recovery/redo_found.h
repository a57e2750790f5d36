// What a store that came back shows although no record gave it, or lacks although none took it:
// pure.
//
// Somebody wrote it around the sidecar, or it was never answered and was judged not to have
// happened. What the records say is written over it; so that it is not silent, it goes to the
// ledger before.
//
// The rule. Of a document that was made by one of the records, all of them this site's or that one
// alone, every state is known that it can have been in: not there, or as each of the records left
// it. A value that stands where another is to be written, and stood there in none of these states,
// is explained by nobody. Of any other document nothing is said: what was there before the first of
// the records is known to the store alone, and nearly always that is what is found.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "replication/outbox/ledger.h"
#include "replication/recovery/redo_document.h"
#include "replication/store/store.h"

namespace outrigger {

// `forgotten`: in the order of their stamps, at least one. `write`: what is put over `stored`.
[[nodiscard]] std::vector<LedgerEntry> unexplained(const SiteId& self,
                                                   std::span<const Forgotten> forgotten,
                                                   const StoreWrite& write,
                                                   const std::optional<std::string>& stored);

// The store lacks the document, though its journal held it (AfterCrash::is_taken_away).
[[nodiscard]] LedgerEntry missing(std::span<const Forgotten> forgotten);

}  // namespace outrigger
