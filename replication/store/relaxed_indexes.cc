#include "replication/store/relaxed_indexes.h"

#include "replication/store/key_guard.h"

namespace outrigger {

void RelaxedIndexes::put(const std::string& ns, const std::string& spec) {
  const MutexLock lock(mutex_);
  specs_[ns].insert_or_assign(std::string(index_name_of(bson::Document(spec))), spec);
}

void RelaxedIndexes::erase(const std::string& ns, std::string_view name) {
  const MutexLock lock(mutex_);
  const auto known = specs_.find(ns);
  if (known == specs_.end()) return;
  const auto at = known->second.find(name);
  if (at != known->second.end()) known->second.erase(at);
  if (known->second.empty()) specs_.erase(known);
}

void RelaxedIndexes::clear() {
  const MutexLock lock(mutex_);
  specs_.clear();
}

void RelaxedIndexes::erase_all(const std::string& ns) {
  const MutexLock lock(mutex_);
  specs_.erase(ns);
}

std::optional<std::string> RelaxedIndexes::find(const std::string& ns,
                                                std::string_view name) const {
  const MutexLock lock(mutex_);
  const auto known = specs_.find(ns);
  if (known == specs_.end()) return std::nullopt;
  const auto at = known->second.find(name);
  return at == known->second.end() ? std::nullopt : std::optional(at->second);
}

std::vector<std::string> RelaxedIndexes::in(const std::string& ns) const {
  std::vector<std::string> found;
  const MutexLock lock(mutex_);
  const auto known = specs_.find(ns);
  if (known == specs_.end()) return found;
  for (const auto& [name, spec] : known->second) found.push_back(spec);
  return found;
}

std::string RelaxedIndexes::shown(const std::string& ns, const bson::Document& listed) const {
  const auto known = find(ns, index_name_of(listed));
  if (!known || !is_same_index(bson::Document(*known), listed)) return std::string(listed.bytes());
  return with_guard(listed, KeyGuard::kAll);
}

// ---- builds

RelaxedIndexes::Begun RelaxedIndexes::begin_build(const std::string& ns, const std::string& name) {
  const MutexLock lock(mutex_);
  const auto known = specs_.find(ns);
  if (known == specs_.end() || !known->second.contains(name)) return Begun::kGone;
  if (held_.contains(ns)) return Begun::kHeld;
  building_[ns].insert(name);
  return Begun::kYes;
}

void RelaxedIndexes::end_build(const std::string& ns, const std::string& name) {
  const MutexLock lock(mutex_);
  const auto known = building_.find(ns);
  if (known == building_.end()) return;
  known->second.erase(name);
  if (known->second.empty()) building_.erase(known);
}

bool RelaxedIndexes::is_being_built(const std::string& ns, std::string_view name) const {
  const MutexLock lock(mutex_);
  const auto known = building_.find(ns);
  return known != building_.end() && known->second.contains(name);
}

void RelaxedIndexes::hold(const std::string& ns) {
  const MutexLock lock(mutex_);
  held_.insert(ns);
}

void RelaxedIndexes::release(const std::string& ns) {
  const MutexLock lock(mutex_);
  const auto known = held_.find(ns);
  if (known != held_.end()) held_.erase(known);
}

}  // namespace outrigger
