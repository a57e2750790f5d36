// A record is one local commit: a run of statements. It is immutable, named by
// its dot, and applied at a peer only when everything in `deps` has been applied there.
#pragma once

#include <vector>

#include "config/result.h"
#include "replication/record/effect.h"

namespace outrigger {

struct Record {
  Origin origin;
  Hlc hlc = 0;
  VersionVector
      deps;  // what the author had applied, its own earlier stamps included (origin: hlc - 1)
  std::vector<DocumentEffects> documents;
  // Old epochs of the author's site that are over, with their last stamps: every member has all of
  // them, and their place in vectors is taken by a watermark (version_vector.h). The dependencies
  // name them once more.
  VersionVector retired;
  // What the author's site says of how paths merge from here on: Settings::rules_text. Empty:
  // nothing, as nearly always.
  std::string rules{};
  // What the author's site tells of values that lost, as BSON: outbox/ledger_news.h. Empty:
  // likewise.
  std::string news{};
  // The app that wrote, as its driver names it (`appName`); empty: nobody knows.
  std::string app{};
  [[nodiscard]] Dot dot() const { return Dot{hlc, origin}; }
  friend bool operator==(const Record&, const Record&) = default;
};

// A gap-free stretch of one origin's log: every record of `origin` in (after, through], and the
// promise that there is no other. `after` is the stamp of the record before it (0: there was none),
// so that a receiver can tell that it continues what it has. An empty stretch is a promise alone.
struct Segment {
  Origin origin;
  Hlc after = 0;
  Hlc through = 0;
  std::vector<Record> records;  // ascending
  friend bool operator==(const Segment&, const Segment&) = default;
};

}  // namespace outrigger
