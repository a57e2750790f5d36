// What tests tell a MemoryStore, and what they ask it.
#include "replication/store/memory/memory_store.h"

namespace outrigger {

void MemoryStore::put(const std::string& ns, const std::string& document) {
  const MutexLock lock(mutex_);
  const auto id = bson::Document(document).find("_id");
  OUTRIGGER_ASSERT(id.has_value());
  documents_[key(ns, *id)] = document;
}

void MemoryStore::remove(const std::string& ns, const bson::OwnedValue& id) {
  const MutexLock lock(mutex_);
  documents_.erase(key(ns, id.view()));
}

std::optional<std::string> MemoryStore::document(const std::string& ns,
                                                 const bson::OwnedValue& id) const {
  const MutexLock lock(mutex_);
  const auto it = documents_.find(key(ns, id.view()));
  return it == documents_.end() ? std::nullopt : std::optional(it->second);
}

std::vector<std::string> MemoryStore::documents(const std::string& ns) const {
  const MutexLock lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [at, bytes] : documents_) {
    if (at.first == ns) all.push_back(bytes);
  }
  return all;
}

size_t MemoryStore::size() const {
  const MutexLock lock(mutex_);
  return documents_.size();
}

void MemoryStore::reject(const std::string& ns, const bson::OwnedValue& id, int32_t code,
                         const std::string& message) {
  const MutexLock lock(mutex_);
  rejected_[key(ns, id.view())] = {WriteOutcome::Kind::kRejected, code, message};
}

void MemoryStore::allow(const std::string& ns, const bson::OwnedValue& id) {
  const MutexLock lock(mutex_);
  rejected_.erase(key(ns, id.view()));
}

void MemoryStore::refuse_when(std::function<int32_t(const bson::Document&)> code,
                              std::string words) {
  const MutexLock lock(mutex_);
  rule_ = std::move(code);
  rule_words_ = std::move(words);
}

void MemoryStore::fail_next(size_t calls, ErrorCode code) {
  const MutexLock lock(mutex_);
  failures_left_ = calls;
  failure_ = code;
}

void MemoryStore::crash_after(size_t writes) {
  const MutexLock lock(mutex_);
  crash_after_ = writes;
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

void MemoryStore::forbid(const std::string& ns, bool readable) {
  const MutexLock lock(mutex_);
  forbidden_[ns] = readable;
}

void MemoryStore::permit(const std::string& ns) {
  const MutexLock lock(mutex_);
  forbidden_.erase(ns);
}

void MemoryStore::set_collection(const std::string& ns, CollectionInfo info) {
  const MutexLock lock(mutex_);
  collections_[ns] = std::move(info);
}

void MemoryStore::add_oplog(OplogWrite write) {
  const MutexLock lock(mutex_);
  oplog_.push_back(std::move(write));
}

void MemoryStore::cut_oplog(Timestamp oldest) {
  const MutexLock lock(mutex_);
  oldest_oplog_ = oldest;
  std::erase_if(oplog_, [&](const OplogWrite& write) { return write.at < oldest; });
}

void MemoryStore::drop_oplog_after(Timestamp newest) {
  const std::lock_guard lock(mutex_);
  std::erase_if(oplog_, [&](const OplogWrite& write) { return write.at > newest; });
}

void MemoryStore::add_running(const std::string& lsid_id, const std::string& client,
                              bool stubborn) {
  const MutexLock lock(mutex_);
  running_.push_back({lsid_id, client, stubborn});
}

size_t MemoryStore::running() const {
  const MutexLock lock(mutex_);
  return running_.size();
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
