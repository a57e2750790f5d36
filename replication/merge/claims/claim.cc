#include "replication/merge/claims/claim.h"

#include <algorithm>
#include <optional>

namespace outrigger::merge {

Dot claim_of(const DocumentState& state) {
  Dot claim;
  for (const Incarnation& each : state.incarnations) claim = std::max(claim, claim_of(each));
  return claim;
}

Dot least_claim_of(const DocumentState& state) {
  std::optional<Dot> least;
  for (const auto* all : {&state.incarnations, &state.gone}) {
    for (const Incarnation& each : *all) {
      least = least ? std::min(*least, claim_of(each)) : claim_of(each);
    }
  }
  return least.value_or(Dot());
}

}  // namespace outrigger::merge
