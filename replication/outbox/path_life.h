// The life of one path of one document, as far as this site still knows it: who wrote what when,
// what each writer had not seen, and what lost.
//
// What all sites have is forgotten (site/collection.h), and that is most of what was ever written.
// What remains is in the log, in no order by document: it is read through, up to a bound. So this
// is for a person who asks about a conflict, not for a program that asks all day.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/outbox/ledger.h"
#include "replication/outbox/outbox.h"
#include "replication/record/effect.h"

namespace outrigger {

// One thing that a record did at the path, above it or below it.
struct PathEvent {
  Dot dot;
  Operation kind = Operation::kAssign;
  Path path;                              // of the effect
  std::optional<bson::OwnedValue> value;  // what it left at the path that was asked for, or below;
                                          // of an increment its author's running sum
  std::vector<Dot> unseen;                // of the events before it, those its author had not seen
  std::string app{};                      // Record::app
};

struct PathLife {
  std::vector<PathEvent> events;    // by stamp
  std::vector<LedgerEntry> losses;  // newest first
  bool is_whole = true;             // false: a bound was met, there may be more
};

struct PathQuestion {
  std::string ns;
  std::string id;    // as JSON, in the words of bson::to_json
  std::string path;  // "items.qty"; empty: the whole document
};

// Reads the disk. Errors: those of the log.
[[nodiscard]] Result<PathLife> path_life(const outbox::Outbox& outbox,
                                         const PathQuestion& question);

}  // namespace outrigger
