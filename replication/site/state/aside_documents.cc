#include "replication/site/state/aside_documents.h"

#include <algorithm>

#include "replication/outbox/batch.h"
#include "replication/record/catalog.h"
#include "replication/series/measurement.h"
#include "replication/store/store_errors.h"

namespace outrigger {
namespace {

constexpr char kBehindNamespace = '\1';  // behind all row keys of it

std::string namespace_of(const std::string& row_key) {
  return row_key.substr(0, row_key.find('\0'));
}

}  // namespace

void AsideDocuments::put(const std::string& row_key, Aside aside) {
  erase(row_key);
  if (outrigger::is_parked(aside)) ++parked_;
  aside_.emplace(row_key, std::move(aside));
}

void AsideDocuments::erase(const std::string& row_key) {
  const auto known = aside_.find(row_key);
  if (known == aside_.end()) return;
  if (outrigger::is_parked(known->second)) --parked_;
  aside_.erase(known);
  const auto before = before_.find(row_key);
  if (before == before_.end()) return;
  const auto others = behind_.find(before->second);
  others->second.erase(row_key);
  if (others->second.empty()) behind_.erase(others);
  before_.erase(before);
}

void AsideDocuments::load(const std::string& row_key, Aside aside) {
  const MutexLock lock(mutex_);
  put(row_key, std::move(aside));
  retries_.insert(row_key);
}

void AsideDocuments::replace(const std::set<std::string>& row_keys,
                             std::map<std::string, Aside> aside) {
  const MutexLock lock(mutex_);
  for (const std::string& key : row_keys) erase(key);
  for (auto& [key, each] : aside) {
    if (outrigger::is_parked(each)) retries_.insert(key);
    put(key, std::move(each));
  }
}

void AsideDocuments::remove(const std::string& row_key) {
  const MutexLock lock(mutex_);
  erase(row_key);
}

void AsideDocuments::stays(const std::string& row_key, Aside aside, const std::string& behind) {
  const MutexLock lock(mutex_);
  put(row_key, std::move(aside));
  retries_.erase(row_key);
  if (behind.empty()) return;
  behind_[behind].insert(row_key);
  before_[row_key] = behind;
}

std::vector<std::string> AsideDocuments::behind(const std::vector<std::string>& row_keys) const {
  std::vector<std::string> found;
  if (!has_parked()) return found;
  const MutexLock lock(mutex_);
  for (const std::string& key : row_keys) {
    const auto known = behind_.find(key);
    if (known != behind_.end()) {
      found.insert(found.end(), known->second.begin(), known->second.end());
    }
  }
  return found;
}

bool AsideDocuments::is_parked(const std::string& row_key) const {
  if (!has_parked()) return false;
  const auto known = find(row_key);
  return known && outrigger::is_parked(*known);
}

std::vector<std::string> AsideDocuments::measured_in(const std::set<std::string>& row_keys) const {
  std::vector<std::string> found;
  const auto entry = row_keys.lower_bound(std::string(kCatalogNs));
  if (entry == row_keys.end() || namespace_of(*entry) != kCatalogNs) return found;
  for (const auto& [ns, in] : in_namespaces(SIZE_MAX)) {
    if (!series::holds_measurements(ns)) continue;
    const bson::OwnedValue name = bson::make_string(series::collection_of(ns));
    const std::string key = outbox::row_key(kCatalogNs, bson::canonical_key(name.view()));
    if (row_keys.contains(key)) found.insert(found.end(), in.row_keys.begin(), in.row_keys.end());
  }
  return found;
}

std::map<std::string, AsideIn> AsideDocuments::in_namespaces(size_t documents_max) const {
  std::map<std::string, AsideIn> found;
  const MutexLock lock(mutex_);
  for (auto at = aside_.begin(); at != aside_.end();) {
    const std::string ns = namespace_of(at->first);
    AsideIn& in = found[ns];
    const auto known = unique_.find(ns);
    if (known != unique_.end()) in.has_unique_index = known->second;
    const auto end = aside_.lower_bound(ns + kBehindNamespace);
    for (; at != end && in.row_keys.size() <= documents_max; ++at) in.row_keys.push_back(at->first);
    if (at != end) in.row_keys.clear();
    at = end;
  }
  return found;
}

std::vector<std::string> AsideDocuments::without_indexes() const {
  std::vector<std::string> found;
  const MutexLock lock(mutex_);
  for (auto at = aside_.begin(); at != aside_.end();) {
    const std::string ns = namespace_of(at->first);
    if (!unique_.contains(ns)) found.push_back(ns);
    at = aside_.lower_bound(ns + kBehindNamespace);
  }
  return found;
}

void AsideDocuments::note_unique_index(const std::string& ns, std::optional<bool> has_one) {
  const MutexLock lock(mutex_);
  unique_.insert_or_assign(ns, has_one);
}

void AsideDocuments::forget_indexes() {
  const MutexLock lock(mutex_);
  unique_.clear();
}

bool AsideDocuments::has_parked_in(const std::string& ns) const {
  if (!has_parked()) return false;
  const MutexLock lock(mutex_);
  const std::string begin = ns + '\0';
  for (auto at = aside_.lower_bound(begin); at != aside_.end() && at->first.starts_with(begin);
       ++at) {
    if (outrigger::is_parked(at->second)) return true;
  }
  return false;
}

void AsideDocuments::try_parked_again(const std::string& ns) {
  const MutexLock lock(mutex_);
  unique_.erase(ns);
  const std::string begin = ns + '\0';
  for (auto at = aside_.lower_bound(begin); at != aside_.end() && at->first.starts_with(begin);
       ++at) {
    if (outrigger::is_parked(at->second)) retries_.insert(at->first);
  }
}

size_t AsideDocuments::size() const {
  const MutexLock lock(mutex_);
  return aside_.size();
}

size_t AsideDocuments::unparked() const {
  const MutexLock lock(mutex_);
  return aside_.size() - parked_;
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
    if (found != aside_.end() && !outrigger::is_parked(found->second)) due.insert(*found);
  }
  for (auto at = retries_.begin(); due.empty() && at != retries_.end();) {
    at = aside_.contains(*at) ? std::next(at) : retries_.erase(at);
  }
  return due;
}

std::map<std::string, Aside> AsideDocuments::parked_due(const std::string& cursor,
                                                        size_t count) const {
  std::map<std::string, Aside> due;
  if (!has_parked()) return due;
  const MutexLock lock(mutex_);
  for (auto at = retries_.upper_bound(cursor); at != retries_.end() && due.size() < count; ++at) {
    const auto found = aside_.find(*at);
    if (found != aside_.end() && outrigger::is_parked(found->second)) due.insert(*found);
  }
  return due;
}

bool AsideDocuments::is_due(const std::string& row_key) const {
  const MutexLock lock(mutex_);
  const auto found = aside_.find(row_key);
  return found != aside_.end() && outrigger::is_parked(found->second) && retries_.contains(row_key);
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
