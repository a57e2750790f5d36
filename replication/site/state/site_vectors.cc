#include "replication/site/state/site_vectors.h"

namespace outrigger {

std::shared_ptr<const VersionVector> SiteVectors::seen() const {
  if (!seen_) seen_ = std::make_shared<const VersionVector>(visible_);
  return seen_;
}

VersionVector SiteVectors::deps_of(Hlc stamp) const {
  VersionVector deps = visible_;
  deps.raise(self_, stamp - 1);
  return deps;
}

VersionVector SiteVectors::delivered() const {
  VersionVector vector = visible_;
  vector.raise(self_, durable_.at(self_));
  return vector;
}

void SiteVectors::recovered(const Dot& dot) {
  durable_.raise(dot.origin, dot.hlc);
  visible_.raise(dot.origin, dot.hlc);
  seen_.reset();
}

void SiteVectors::stored(const VersionVector& after) {
  durable_.raise(after);
  visible_.raise(after);
  seen_.reset();
}

VersionVector SiteVectors::old_epochs() const {
  VersionVector old;
  for (const auto& [origin, last] : durable_.entries()) {
    if (origin.site == self_.site && origin != self_ && origin.epoch != kRetired) {
      old.raise(origin, last);
    }
  }
  return old;
}

void SiteVectors::retired(const VersionVector& epochs, Hlc watermark) {
  const Origin mark = VersionVector::retired_of(epochs.entries().front().first.site);
  visible_.raise(mark, watermark);
  seen_.reset();
  durable_.raise(mark, watermark);
  for (const auto& [origin, last] : epochs.entries()) floor_.erase(origin);
}

// All its stamps are at or below the watermark, all of later epochs beyond.
bool SiteVectors::is_retired(const Segment& segment) const {
  if (visible_.at(segment.origin) != 0) return false;
  const Hlc first = segment.records.empty() ? segment.through : segment.records.front().hlc;
  return first <= visible_.at(VersionVector::retired_of(segment.origin.site));
}

void SiteVectors::forget_floors_of_retired() {
  const VersionVector kept = floor_;
  for (const auto& [origin, stamp] : kept.entries()) {
    if (durable_.at(origin) == 0) floor_.erase(origin);
  }
}

}  // namespace outrigger
