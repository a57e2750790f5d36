#include "replication/site/state/open_writes.h"

namespace outrigger {

void OpenWrites::settle(const SettledWrite& write, uint64_t append) {
  OpenWrite& open = open_[write.dot.hlc];
  open.settled = true;
  open.wrote = write.record_bytes > 0;
  for (const auto slot : open.documents) unsynced_.settled(slot, append, open.by_content);
}

bool OpenWrites::durable(Hlc stamp) {
  const auto write = open_.find(stamp);
  if (write == open_.end()) return false;
  if (write->second.wrote) unpublished_.insert(unpublished_.end(), stamp);
  open_.erase(write);
  return true;
}

OpenWrites::Published OpenWrites::raise_published(Hlc issued) {
  const Hlc through = open_.empty() ? issued : open_.begin()->first - 1;
  if (through <= published_ || issued == 0) return {};
  published_ = through;
  Published published{true, 0};
  while (!unpublished_.empty() && *unpublished_.begin() <= published_) {
    published.newest_record = *unpublished_.begin();
    unpublished_.erase(unpublished_.begin());
  }
  return published;
}

const std::pair<const Hlc, OpenWrite>* OpenWrites::first_unanswered() const {
  for (const auto& each : open_) {
    if (!each.second.settled) return &each;
  }
  return nullptr;
}

Unsynced OpenWrites::unsynced(UnsyncedDocuments::Slot slot) const {
  if (unsynced_.has_recoverable_by_content(slot)) return Unsynced::kRecoverableByContent;
  return unsynced_.has_any(slot) ? Unsynced::kRecoverableFromOplog : Unsynced::kNone;
}

OpenWrites::Waiting OpenWrites::waiting() const {
  Waiting waiting;
  for (const auto& [stamp, write] : open_) {
    if (write.settled) continue;
    if (waiting.count++ == 0) waiting.oldest_since_us = write.since_us;
  }
  return waiting;
}

}  // namespace outrigger
