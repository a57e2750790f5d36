// What was written to a log and is not known to be on disk.
//
// The problem: a write goes to the store while its prepare, or its record, is only in the page
// cache. When the sync fails, the disk may hold any part of that, or nothing, and the store has
// done it all the same: peers would never hear of it. So whoever writes keeps each batch until a
// sync has covered it, and writes them all again, in their order, once the disk is whole. A batch
// says what stands under its keys, not what changes there; so it makes no difference how many of
// them had been there already.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/outbox/batch.h"

namespace outrigger::outbox {

// Thread-safe.
class UnsyncedBatches {
 public:
  // It has been written, or an attempt to do so has failed. In the order in which they are to be
  // written again: who builds on another one has seen that added.
  void add(Batch&& batch);
  // How many were added so far. A sync that begins after this covers them...
  [[nodiscard]] uint64_t added() const;
  // ...and so they need not be kept when it has succeeded.
  void synced(uint64_t added);
  // Memory of those kept, about.
  [[nodiscard]] size_t bytes() const;
  // Those kept, in their order, as if nothing were known of what they were written upon. Stops at
  // the first error, which is the result. `write` must not use this.
  [[nodiscard]] Status for_each_again(const std::function<Status(const Batch&)>& write);

 private:
  static size_t footprint(const Batch& batch);

  mutable Mutex mutex_;
  std::deque<Batch> batches_ GUARDED_BY(mutex_);
  uint64_t gone_ GUARDED_BY(mutex_) = 0;  // of all that were added
  size_t bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace outrigger::outbox
