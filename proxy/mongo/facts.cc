#include "proxy/mongo/facts.h"

namespace outrigger {

void CatalogueChanges::forget_all() {
  for (Counts& each : counts_) ++each.forgotten;
}

CatalogueChanges::Seen CatalogueChanges::seen(const std::string& ns) const {
  const Counts& counts = counts_[place_of(ns)];
  return {counts.forgotten.load(), counts.made.load()};
}

uint64_t CatalogueChanges::forgotten() const {
  uint64_t all = 0;
  for (const Counts& each : counts_) all += each.forgotten.load();
  return all;
}

const CollectionInfo* Facts::known(const std::string& ns) const {
  const auto found = known_.find(ns);
  if (found == known_.end()) return nullptr;
  const Entry& entry = found->second;
  const bool exists = entry.info.exists();
  const CatalogueChanges::Seen now = changes_.seen(ns);
  if (now.forgotten != entry.before.forgotten) return nullptr;
  if (!exists && now.made != entry.before.made) return nullptr;
  if (clock_.monotonic_us() - entry.learned_us > (exists ? kKeepUs : kKeepNoneUs)) return nullptr;
  return &entry.info;
}

void Facts::made(const std::string& ns) {
  const auto found = known_.find(ns);
  const bool was_known = found != known_.end() && found->second.info.exists() &&
                         found->second.before.forgotten == forgotten(ns);
  if (!was_known) changes_.made(ns);
}

net::Task<Result<CollectionInfo>> Facts::learn(std::string ns) {
  const CatalogueChanges::Seen before = changes_.seen(ns);
  std::function<Result<CollectionInfo>(Store&)> job = [ns](Store& store) {
    return store.collection(ns);
  };
  Result<CollectionInfo> info = co_await store_.ask(std::move(job));
  // An answer from before a change of the catalogue is not kept.
  if (!info || forgotten(ns) != before.forgotten) co_return info;
  if (known_.size() >= kNamespacesMax) known_.clear();
  Entry entry;
  entry.info = *info;
  entry.learned_us = clock_.monotonic_us();
  entry.before = before;
  known_[ns] = entry;
  co_return info;
}

}  // namespace outrigger
