#include "replication/causality/version_vector.h"

#include <algorithm>

namespace outrigger {
namespace {

bool before(const VersionVector::Entry& entry, const Origin& origin) {
  return entry.first < origin;
}

}  // namespace

Hlc VersionVector::at(const Origin& origin) const {
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), origin, before);
  return found != entries_.end() && found->first == origin ? found->second : 0;
}

Hlc VersionVector::get(const Origin& origin) const {
  const Hlc own = at(origin);
  return own != 0 ? own : at(retired_of(origin.site));
}

void VersionVector::raise(const Origin& origin, Hlc hlc) {
  if (hlc <= get(origin)) return;
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), origin, before);
  if (found != entries_.end() && found->first == origin) {
    found->second = hlc;
  } else {
    entries_.insert(found, {origin, hlc});
  }
  if (origin.epoch != kRetired) return;
  std::erase_if(entries_, [&](const Entry& entry) {
    return entry.first.site == origin.site && entry.first != origin && entry.second <= hlc;
  });
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

size_t VersionVector::entries_of(const SiteId& site) const {
  const auto of_site = [&](const Entry& entry) { return entry.first.site == site; };
  const auto begin = std::lower_bound(entries_.begin(), entries_.end(), retired_of(site), before);
  return static_cast<size_t>(std::find_if_not(begin, entries_.end(), of_site) - begin);
}

VersionVector VersionVector::minimum(const VersionVector& a, const VersionVector& b) {
  VersionVector result;
  // Watermarks sort before the epochs of their site, so what they cover is never put in.
  for (const auto& [origin, hlc] : a.entries_) result.raise(origin, std::min(hlc, b.get(origin)));
  for (const auto& [origin, hlc] : b.entries_) result.raise(origin, std::min(hlc, a.get(origin)));
  return result;
}

}  // namespace outrigger
