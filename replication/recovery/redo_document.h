// What a store that has forgotten is to hold of one document: pure.
//
// A row says which commit gave each path its value, the records what those commits wrote. So
// everything of the document that the store's journal is not known to hold is said again,
// absolutely: assigned values and births as the records have them, counters as base and sums. So it
// is of peers' records too: what one of them assigned may have been there already, by a write that
// is forgotten now. Values older than all of these the store still holds. A document that is parked
// is left out: its row has all of it, also what an app wrote, and it is tried again.
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

// One record that the store may have forgotten, and what it did to the document.
struct Forgotten {
  const Record* record = nullptr;            // borrowed
  const DocumentEffects* effects = nullptr;  // of it
  [[nodiscard]] Dot dot() const { return record->dot(); }
};

struct AfterCrash {
  std::optional<StoreWrite> write;      // nothing: the store holds what it should
  std::optional<std::string> document;  // what it is to hold, whole; nothing: no document
  // The store lacks it, though its journal held it: taken away around the sidecar, or the store is
  // older than it says. Nothing is written: neither may make others lose it.
  bool is_taken_away = false;
  bool is_set_aside = false;
};

// `forgotten`: in the order of their stamps, at least one. `row`: empty where there is none.
// `stored`: as the store holds the document now. Of a document set aside the row holds all, and the
// store what its apps wrote: that alone comes back (but increments, of which the store may hold any
// number), where nothing later of a peer is seen to be there. Errors: kCorrupt (the row).
[[nodiscard]] Result<std::optional<AfterCrash>> after_crash(
    const SiteId& self, std::string_view row, std::span<const Forgotten> forgotten,
    const std::optional<std::string>& stored);

}  // namespace outrigger
