// What a store that has forgotten is to hold of one document: pure.
//
// A row says which commit gave each path its value, the records of this site what those commits
// wrote. So everything of the document that this site's journaled records do not cover is said
// again, absolutely: assigned values and births as the records have them, counters as base and
// sums. What a peer's record put there needs no saying: it was applied with the journal waited for,
// and the store holds it, with all that it had answered before. Values older than any stamp are the
// store's own for the same reason.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/record/record.h"
#include "replication/store/store.h"

namespace outrigger {

// One record of this site that the store may have forgotten, and what it did to the document.
struct Forgotten {
  Dot dot;
  const DocumentEffects* effects = nullptr;  // borrowed
};

struct PutBack {
  std::optional<StoreWrite> write;      // nothing: the store holds what it should
  std::optional<std::string> document;  // what it is to hold, whole; nothing: no document
};

// `forgotten`: in the order of their stamps, at least one. `row`: empty where there is none.
// `stored`: as the store holds the document now. Nothing when nothing is to be done: the document
// is set aside, and its row holds all of it; or somebody took away one that was settled. Errors:
// kCorrupt (the row).
[[nodiscard]] Result<std::optional<PutBack>> put_back(std::string_view row,
                                                      std::span<const Forgotten> forgotten,
                                                      const std::optional<std::string>& stored);

}  // namespace outrigger
