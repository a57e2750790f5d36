#include "replication/site/state/aside_documents.h"

#include <algorithm>

#include "replication/store/store_errors.h"

namespace outrigger {

void AsideDocuments::load(const std::string& row_key, Aside aside) {
  const MutexLock lock(mutex_);
  aside_.emplace(row_key, std::move(aside));
  retries_.insert(row_key);
}

void AsideDocuments::replace(const std::set<std::string>& row_keys,
                             std::map<std::string, Aside> aside) {
  const MutexLock lock(mutex_);
  for (const std::string& key : row_keys) aside_.erase(key);
  for (auto& [key, each] : aside) aside_[key] = std::move(each);
}

void AsideDocuments::remove(const std::string& row_key) {
  const MutexLock lock(mutex_);
  aside_.erase(row_key);
}

size_t AsideDocuments::size() const {
  const MutexLock lock(mutex_);
  return aside_.size();
}

std::optional<Aside> AsideDocuments::find(const std::string& row_key) const {
  const MutexLock lock(mutex_);
  const auto known = aside_.find(row_key);
  return known == aside_.end() ? std::nullopt : std::optional(known->second);
}

std::map<std::string, Aside> AsideDocuments::unresolved(int64_t since_ms, size_t count) const {
  std::map<std::string, Aside> found;
  const MutexLock lock(mutex_);
  for (const auto& [key, aside] : aside_) {
    if (found.size() == count) break;
    const bool ours = store_error_is_about_the_document(aside.code) && !aside.met.empty();
    if (ours && aside.since_ms <= since_ms && !retries_.contains(key)) found.emplace(key, aside);
  }
  return found;
}

bool AsideDocuments::try_again(const std::vector<std::string>& row_keys) {
  bool is_new = false;
  const MutexLock lock(mutex_);
  for (const std::string& key : row_keys) is_new = retries_.insert(key).second || is_new;
  return is_new;
}

std::string AsideDocuments::try_some_again(std::string cursor, size_t count) {
  const MutexLock lock(mutex_);
  auto at = aside_.upper_bound(cursor);
  for (size_t i = 0; i < std::min(count, aside_.size()); ++i) {
    if (at == aside_.end()) at = aside_.begin();
    cursor = at->first;
    retries_.insert(at->first);
    ++at;
  }
  return cursor;
}

std::map<std::string, Aside> AsideDocuments::due() {
  std::map<std::string, Aside> due;
  const MutexLock lock(mutex_);
  for (const std::string& key : retries_) {
    const auto found = aside_.find(key);
    if (found != aside_.end()) due.insert(*found);
  }
  if (due.empty()) retries_.clear();
  return due;
}

void AsideDocuments::taken(const std::string& row_key) {
  const MutexLock lock(mutex_);
  retries_.erase(row_key);
}

void AsideDocuments::put_back(const std::string& row_key) {
  const MutexLock lock(mutex_);
  if (aside_.contains(row_key)) retries_.insert(row_key);
}

}  // namespace outrigger
