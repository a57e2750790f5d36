#include "replication/merge/claims/claim.h"

#include <algorithm>

#include "replication/merge/body.h"
#include "replication/merge/paths.h"
#include "replication/merge/yields.h"

namespace outrigger::merge {
namespace {

// What is one value with all that is in it holds the fields in it.
template <typename Map, typename Visit>
void for_each_above(const Map& map, const Path& path, const Visit& visit) {
  Path at = path;
  while (!at.empty()) {
    at.pop_back();
    const auto found = map.find(at);
    if (found != map.end()) visit(at, found->second);
  }
}

Dot claim_at(const Body& body, const Path& path) {
  const Governor governor = governor_of(body, path);
  Dot claim = governor.reg == nullptr ? body.floor_stamp : governor.stamp;
  const auto raise = [&](const Dot& dot, bool) { claim = std::max(claim, dot); };
  const auto raise_all = [&](const Path&, const auto& state) { for_each_stamp(state, raise); };
  const auto raise_list = [&](const Path&, const List& list) { raise(list.asserted, false); };
  for_each_below(body.registers, path,
                 [&](const Path&, const Register& reg) { raise(reg.stamp, false); });
  for_each_below(body.counters, path, raise_all);
  for_each_below(body.contests, path, raise_all);
  for_each_below(body.lists, path, raise_list);
  for_each_above(body.contests, path, raise_all);
  for_each_above(body.lists, path, raise_list);
  return claim;
}

}  // namespace

Dot claim_of(const DocumentState& state, std::span<const Path> fields) {
  if (state.incarnations.empty()) return {};
  const WholeBody body(state);
  Dot claim;
  for (const Path& field : fields) claim = std::max(claim, claim_at(*body, field));
  for (const Incarnation& incarnation : state.incarnations) {
    if (incarnation.removals.empty()) continue;
    claim = std::max(claim, newest_unseen(incarnation));
    for (const NotedRemoval& each : incarnation.removals) claim = std::max(claim, each.dot);
  }
  return claim;
}

}  // namespace outrigger::merge
