#include "replication/causality/promises.h"

#include <algorithm>

namespace outrigger {

void Promises::linked(const Origin& site) {
  Site& known = sites_[site.site];
  ++known.links[site.epoch];
  known.linked_epoch = site.epoch;
}

void Promises::parted(const Origin& site) {
  const auto known = sites_.find(site.site);
  if (known == sites_.end()) return;
  const auto link = known->second.links.find(site.epoch);
  if (link != known->second.links.end() && --link->second == 0) known->second.links.erase(link);
}

bool Promises::is_linked(const SiteId& site) const {
  const auto known = sites_.find(site);
  return known != sites_.end() && !known->second.links.empty();
}

Word Promises::word_of(const Origin& from, const Origin& about, uint64_t present_epoch) const {
  if (is_linked(about.site)) {
    const bool present = sites_.at(about.site).linked_epoch == about.epoch;
    return from == about && present ? Word::kOwn : Word::kNone;
  }
  return from.site != about.site && about.epoch == present_epoch ? Word::kHearsay : Word::kNone;
}

void Promises::raise(const Origin& origin, Hlc through, Word word) {
  if (word == Word::kNone) return;
  Site& site = sites_[origin.site];
  if (site.epoch != origin.epoch) {
    site.epoch = origin.epoch;
    site.own = site.hearsay = 0;
  }
  Hlc& said = word == Word::kOwn ? site.own : site.hearsay;
  said = std::max(said, through);
}

Hlc Promises::promised(const Site& site) const {
  return site.links.empty() ? std::max(site.own, site.hearsay) : site.own;
}

Hlc Promises::get(const Origin& origin) const {
  const auto known = sites_.find(origin.site);
  if (known == sites_.end() || known->second.epoch != origin.epoch) return 0;
  return promised(known->second);
}

void Promises::raise_in(VersionVector& vector) const {
  for (const auto& [id, site] : sites_) {
    if (site.epoch != kRetired) vector.raise(Origin{id, site.epoch}, promised(site));
  }
}

}  // namespace outrigger
