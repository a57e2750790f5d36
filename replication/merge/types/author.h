// Who wrote what is being merged, and what that author had seen: the two things every type asks
// for before it says what of its state stays.
#pragma once

#include <map>

#include "config/policy.h"
#include "replication/merge/types/counter.h"
#include "replication/record/effect.h"

namespace outrigger::merge {

// A write of this site, whose effects are being made.
struct LocalContext {
  Dot dot;                         // of this write
  Hlc closed = 0;                  // own closed bound: entries up to here are never extended
  const Policy* policy = nullptr;  // which type merges what; null: the default for every path
  [[nodiscard]] std::string site() const { return policy == nullptr ? "" : policy->site(); }
};

// The author of one record's effects on one document. Borrows what they name.
struct Authorship {
  Dot stamp;
  const VersionVector* deps = nullptr;  // null: a local write, which has seen everything here
  uint32_t next_order = 0;              // place of the next new field
  // Removals of values that it has seen in other incarnations' arrays, where removals win.
  std::map<Path, VersionVector> removals{};

  Authorship(const Dot& dot, const VersionVector* seen, const DocumentEffects& effects);
  [[nodiscard]] bool observed(const Dot& dot) const { return deps == nullptr || deps->covers(dot); }
  // Or was it this very commit's?
  [[nodiscard]] bool saw(const Dot& dot) const { return dot == stamp || observed(dot); }
  // The entries the record says its author had seen at a path.
  [[nodiscard]] const CounterEntries& named(const Path& path) const;

  // What it has seen beside registers in incarnations that it does not reach.
  std::map<Path, VersionVector> unreached{};
  [[nodiscard]] VersionVector removals_seen(const Path& path) const {
    const auto at = removals.find(path);
    return at == removals.end() ? VersionVector() : at->second;
  }

 private:
  std::map<Path, const CounterEntries*> named_;
};

}  // namespace outrigger::merge
