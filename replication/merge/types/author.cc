#include "replication/merge/types/author.h"

namespace outrigger::merge {

Authorship::Authorship(const Dot& dot, const VersionVector* seen, const DocumentEffects& effects)
    : stamp(dot), deps(seen) {
  for (const Effect& effect : effects.effects) {
    for (const Baseline& baseline : effect.baselines) named_[baseline.path] = &baseline.entries;
  }
}

const CounterEntries& Authorship::named(const Path& path) const {
  const auto at = named_.find(path);
  return at == named_.end() ? kNoEntries : *at->second;
}

}  // namespace outrigger::merge
