#include "replication/outbox/unsynced_batches.h"

#include <utility>

namespace outrigger::outbox {

size_t UnsyncedBatches::footprint(const Batch& batch) {
  return sizeof batch + batch.bytes() + batch.changes().size() * sizeof(Batch::Change);
}

void UnsyncedBatches::add(Batch&& batch) {
  const MutexLock lock(mutex_);
  bytes_ += footprint(batch);
  batches_.push_back(std::move(batch));
}

uint64_t UnsyncedBatches::added() const {
  const MutexLock lock(mutex_);
  return gone_ + batches_.size();
}

void UnsyncedBatches::synced(uint64_t added) {
  std::deque<Batch> gone;  // goes after the lock: nobody waits for it
  const MutexLock lock(mutex_);
  for (; gone_ < added; ++gone_) {
    bytes_ -= footprint(batches_.front());
    gone.push_back(std::move(batches_.front()));
    batches_.pop_front();
  }
}

size_t UnsyncedBatches::bytes() const {
  const MutexLock lock(mutex_);
  return bytes_;
}

Status UnsyncedBatches::for_each_again(const std::function<Status(const Batch&)>& write) {
  const MutexLock lock(mutex_);
  for (Batch& batch : batches_) {
    if (Status written = write(batch.doubt()); !written) return written;
  }
  return {};
}

}  // namespace outrigger::outbox
