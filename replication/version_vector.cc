#include "replication/version_vector.h"

#include <algorithm>

namespace outrigger {
namespace {

bool before(const VersionVector::Entry& entry, const Origin& origin) {
  return entry.first < origin;
}

}  // namespace

Hlc VersionVector::get(const Origin& origin) const {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), origin, before);
  return at != entries_.end() && at->first == origin ? at->second : 0;
}

void VersionVector::raise(const Origin& origin, Hlc hlc) {
  if (hlc == 0) return;
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), origin, before);
  if (at == entries_.end() || at->first != origin) {
    entries_.insert(at, {origin, hlc});
  } else {
    at->second = std::max(at->second, hlc);
  }
}

void VersionVector::raise(const VersionVector& other) {
  for (const auto& [origin, hlc] : other.entries_) raise(origin, hlc);
}

void VersionVector::erase(const Origin& origin) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.first == origin; });
}

bool VersionVector::includes(const VersionVector& other) const {
  return std::all_of(other.entries_.begin(), other.entries_.end(),
                     [&](const Entry& entry) { return get(entry.first) >= entry.second; });
}

VersionVector VersionVector::minimum(const VersionVector& a, const VersionVector& b) {
  VersionVector result;
  for (const auto& [origin, hlc] : a.entries_) result.raise(origin, std::min(hlc, b.get(origin)));
  return result;
}

}  // namespace outrigger
