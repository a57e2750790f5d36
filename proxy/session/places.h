// The places for connections of apps, of all loops together, and which of them strangers have.
//
// How many connections there may be is a bound of the process, whichever loop serves them; and when
// all places are taken a newcomer gets that of the stranger who should go first, whichever loop has
// it. So both are kept here, under one mutex that is taken when a connection comes, goes, or speaks
// before it is let in, and never for a command of an app.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/thread_annotations.h"
#include "proxy/session/strangers.h"

namespace outrigger {

// A connection: the number of the loop that serves it, and its own there.
struct Guest {
  size_t loop = 0;
  uint64_t number = 0;
};

// Thread-safe. Times are of the loops' clock, which is one for all.
class Places {
 public:
  // `loops`: how many serve connections.
  Places(uint64_t places_max, size_t loops) : places_max_(places_max), strangers_(loops) {}

  // False: all are taken.
  [[nodiscard]] bool take();
  void give_back();
  [[nodiscard]] uint64_t taken() const;

  // ---- strangers among the guests
  void add(Guest guest, uint64_t now_us);
  void spoke(Guest guest, uint64_t now_us);
  void remove(Guest guest);  // it was let in, or is gone
  // Who goes first, which is no stranger any more; whoever asks makes it go.
  [[nodiscard]] std::optional<Guest> take_first_to_go();
  // Numbers of those of one loop; of those that have said nothing for too long.
  [[nodiscard]] std::vector<uint64_t> strangers_of(size_t loop) const;
  [[nodiscard]] std::vector<uint64_t> overdue(size_t loop, uint64_t now_us) const;

 private:
  const uint64_t places_max_;
  mutable Mutex mutex_;
  uint64_t taken_ GUARDED_BY(mutex_) = 0;
  std::vector<Strangers<uint64_t>> strangers_ GUARDED_BY(mutex_);  // by loop
};

}  // namespace outrigger
