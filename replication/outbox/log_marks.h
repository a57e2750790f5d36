// How much of one origin's log lies behind a stamp, without reading the log: how far a peer is
// behind. A mark notes how many records and bytes there were at a stamp.
//
// A peer may be away for months while records pile up on disk, so the marks are thinned out: when
// kMarksMax of them are kept, every second one goes and the next ones are set twice as far apart.
// Memory is at most kMarksMax * 24 bytes an origin, and an answer is too high by at most kEvery
// records or 1 in kMarksMax / 4 of those marked, whichever is more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "replication/causality/stamp.h"

namespace outrigger {

// Not thread-safe: lives under the lock of SiteState.
class LogMarks {
 public:
  static constexpr size_t kMarksMax = 1024;
  static constexpr uint64_t kEvery = 64;

  struct Amount {
    uint64_t records = 0;
    uint64_t bytes = 0;
  };

  // A record was written to the log. Stamps may come slightly out of order.
  void add(Hlc stamp, size_t bytes);
  // Records up to `through` are gone, nobody will ask about earlier stamps.
  void drop(Hlc through);
  // What was added after `stamp`: never too low, if stamps came in order.
  [[nodiscard]] Amount after(Hlc stamp) const;
  [[nodiscard]] size_t size() const { return marks_.size(); }

 private:
  struct Mark {
    Hlc stamp = 0;
    Amount through;  // of all added, up to and with that stamp
  };

  void thin_out();

  std::vector<Mark> marks_;  // by stamp
  Amount total_;
  uint64_t every_ = kEvery;
};

}  // namespace outrigger
