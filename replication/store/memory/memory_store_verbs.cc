// What tests tell a MemoryStore, and what they ask it.
#include "replication/store/memory/memory_store.h"

namespace outrigger {

void MemoryStore::put(const std::string& ns, const std::string& document) {
  const MutexLock lock(mutex_);
  const auto id = bson::Document(document).find("_id");
  OUTRIGGER_ASSERT(id.has_value());
  documents_[memory_key(ns, *id)] = document;
}

void MemoryStore::remove(const std::string& ns, const bson::OwnedValue& id) {
  const MutexLock lock(mutex_);
  documents_.erase(memory_key(ns, id.view()));
}

std::optional<std::string> MemoryStore::document(const std::string& ns,
                                                 const bson::OwnedValue& id) const {
  const MutexLock lock(mutex_);
  const auto it = documents_.find(memory_key(ns, id.view()));
  return it == documents_.end() ? std::nullopt : std::optional(it->second);
}

std::vector<std::string> MemoryStore::documents(const std::string& ns) const {
  const MutexLock lock(mutex_);
  std::vector<std::string> all;
  for (auto at = documents_.lower_bound({ns, ""}); at != documents_.end(); ++at) {
    if (at->first.first != ns) break;
    all.push_back(at->second);
  }
  return all;
}

size_t MemoryStore::size() const {
  const MutexLock lock(mutex_);
  return documents_.size();
}

void MemoryStore::watch(std::function<void(const StoreWrite&)> seen) {
  const MutexLock lock(mutex_);
  seen_ = std::move(seen);
}

void MemoryStore::set_info(StoreInfo info) {
  const MutexLock lock(mutex_);
  info_ = std::move(info);
}

void MemoryStore::set_missing_rights(std::vector<std::string> rights) {
  const MutexLock lock(mutex_);
  missing_rights_ = std::move(rights);
}

void MemoryStore::set_collection(const std::string& ns, CollectionInfo info) {
  const MutexLock lock(mutex_);
  collections_[ns] = std::move(info);
}

size_t MemoryStore::reads() const {
  const MutexLock lock(mutex_);
  return reads_;
}

size_t MemoryStore::shown_bytes() const { return shown_bytes_; }

size_t MemoryStore::applied() const {
  const MutexLock lock(mutex_);
  return applied_;
}

size_t MemoryStore::applies() const {
  const MutexLock lock(mutex_);
  return applies_;
}

}  // namespace outrigger
