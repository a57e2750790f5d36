#include "proxy/mongo/facts.h"

namespace outrigger {

const CollectionInfo* Facts::known(const std::string& ns) const {
  const auto found = known_.find(ns);
  if (found == known_.end()) return nullptr;
  const int64_t keep_us = found->second.info.exists() ? kKeepUs : kKeepNoneUs;
  if (clock_.monotonic_us() - found->second.learned_us > keep_us) return nullptr;
  return &found->second.info;
}

void Facts::made(const std::string& ns) {
  const auto found = known_.find(ns);
  if (found != known_.end() && !found->second.info.exists()) known_.erase(found);
}

void Facts::forget(const std::string& ns) {
  known_.erase(ns);
  ++forgotten_[std::hash<std::string>()(ns) % forgotten_.size()];
}

void Facts::forget_all() {
  known_.clear();
  for (uint64_t& each : forgotten_) ++each;
}

uint64_t Facts::forgotten(const std::string& ns) const {
  return forgotten_[std::hash<std::string>()(ns) % forgotten_.size()];
}

net::Task<Result<CollectionInfo>> Facts::learn(std::string ns) {
  const uint64_t forgotten_before = forgotten(ns);
  std::function<Result<CollectionInfo>(Store&)> job = [ns](Store& store) {
    return store.collection(ns);
  };
  Result<CollectionInfo> info = co_await worker_.ask(std::move(job));
  // An answer from before a change of the catalogue is not kept.
  if (!info || forgotten(ns) != forgotten_before) co_return info;
  if (known_.size() >= kNamespacesMax) known_.clear();
  Entry entry;
  entry.info = *info;
  entry.learned_us = clock_.monotonic_us();
  known_[ns] = entry;
  co_return info;
}

}  // namespace outrigger
