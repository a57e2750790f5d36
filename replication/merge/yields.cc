#include "replication/merge/yields.h"

#include <algorithm>
#include <set>

#include "replication/merge/body.h"

namespace outrigger::merge {
namespace {

bool are_named(const std::vector<NotedRemoval>& removals, const std::vector<Dot>& names) {
  return std::any_of(removals.begin(), removals.end(), [&](const NotedRemoval& each) {
    return std::find(names.begin(), names.end(), each.dot) != names.end();
  });
}

bool share_removal(const Incarnation& a, const Incarnation& b) {
  return std::any_of(a.removals.begin(), a.removals.end(), [&](const NotedRemoval& each) {
    return std::any_of(b.removals.begin(), b.removals.end(),
                       [&](const NotedRemoval& other) { return each.dot == other.dot; });
  });
}

// Takes those that met removals of the first one, and of these, out of `all`.
std::vector<Incarnation> take_group(std::vector<Incarnation>& all) {
  std::vector<Incarnation> group;
  group.push_back(std::move(all.front()));
  all.erase(all.begin());
  for (size_t i = 0; i < group.size(); ++i) {
    for (auto at = all.begin(); at != all.end();) {
      if (!share_removal(group[i], *at)) {
        ++at;
        continue;
      }
      group.push_back(std::move(*at));
      at = all.erase(at);
    }
  }
  return group;
}

// Have the removals seen all of what these make together?
bool is_seen(const std::vector<Incarnation>& group) {
  VersionVector seen;
  bool all = true;
  const auto check = [&](const Dot& stamp, bool) { all = all && seen.covers(stamp); };
  for (const Incarnation& each : group) seen.raise(each.seen);
  for (const Incarnation& each : group) {
    for (const Dot& birth : each.births) check(birth, false);
    // Each by itself: what one of them overwrites in another is a write all the same.
    for_each_stamp_in(each.body, check);
    all = all && seen.includes(each.overwritten);
  }
  return all;
}

}  // namespace

bool all_observed(const std::vector<Dot>& births, const Record& record) {
  return std::all_of(births.begin(), births.end(),
                     [&](const Dot& birth) { return record.deps.covers(birth); });
}

bool reaches(const Record& record, const DocumentEffects& effects, const Incarnation& incarnation,
             bool is_gone) {
  if (!all_observed(incarnation.births, record)) return false;
  const auto& removals = incarnation.removals;
  if (are_named(removals, effects.there)) return true;
  if (are_named(removals, effects.gone)) return false;
  // By removals that its author remembers no more it was gone there, too.
  return !is_gone || !std::all_of(removals.begin(), removals.end(), [&](const NotedRemoval& each) {
    return record.deps.covers(each.dot);
  });
}

void note_removal(Incarnation& incarnation, const Dot& dot, Removal why,
                  const VersionVector* deps) {
  auto& all = incarnation.removals;
  const auto before = [](const NotedRemoval& a, const Dot& b) { return a.dot < b; };
  const auto at = std::lower_bound(all.begin(), all.end(), dot, before);
  if (at == all.end() || at->dot != dot) all.insert(at, {dot, why});
  // Of what its author had seen, what is left of it here says as much: the rest is overwritten.
  const auto see = [&](const Dot& stamp, bool) {
    const bool sees = deps == nullptr || deps->covers(stamp);
    if (sees && !stamp.is_zero()) incarnation.seen.raise(stamp.origin, stamp.hlc);
  };
  for (const Dot& birth : incarnation.births) see(birth, false);
  for_each_stamp_in(incarnation.body, see);
  for (const auto& [origin, hlc] : incarnation.overwritten.entries()) see({hlc, origin}, false);
  incarnation.seen.raise(dot.origin, dot.hlc);
  note_yielding(incarnation.holding, dot, deps);
}

VersionVector newest_in(const Body& body) {
  VersionVector newest;
  for_each_stamp_in(body, [&](const Dot& stamp, bool) { newest.raise(stamp.origin, stamp.hlc); });
  return newest;
}

bool knows_all_of(const Record& record, const Body& body) {
  bool all = true;
  for_each_stamp_in(body, [&](const Dot& stamp, bool) { all = all && record.deps.covers(stamp); });
  return all;
}

VersionVector beyond(const VersionVector& writes, const VersionVector& known) {
  VersionVector left;
  for (const auto& [origin, hlc] : writes.entries()) {
    if (!known.covers({hlc, origin})) left.raise(origin, hlc);
  }
  return left;
}

void note_overwritten(Incarnation& incarnation, const VersionVector& before, const Record& record) {
  const VersionVector after = newest_in(incarnation.body);
  const auto note = [&](const Dot& stamp) {
    if (!after.covers(stamp)) incarnation.overwritten.raise(stamp.origin, stamp.hlc);
  };
  note(record.dot());
  for (const auto& [origin, hlc] : before.entries()) {
    if (!record.deps.covers({hlc, origin})) note({hlc, origin});
  }
}

// Of each origin the newest: whoever has seen that has seen what was before it. What was assigned
// with an array, and registers, are told by their stamps; increments, by baselines.
void note_unreached(Authorship& author, const Body& body) {
  const auto note = [&](const Path& path, const Dot& dot) {
    if (!dot.is_zero() && author.observed(dot)) author.unreached[path].raise(dot.origin, dot.hlc);
  };
  for (const auto& [path, list] : body.lists) {
    for (const ListElement& each : list.elements) note(path, each.id().dot);
  }
  for (const auto& [path, contest] : body.contests) {
    for (const Contender& each : contest.contenders) note(path, each.dot);
  }
}

void part(DocumentState& state) {
  const auto is_met = [](const Incarnation& each) { return !each.removals.empty(); };
  if (state.gone.empty() &&
      std::none_of(state.incarnations.begin(), state.incarnations.end(), is_met)) {
    return;
  }
  std::vector<Incarnation> met = std::move(state.gone);
  state.gone.clear();
  const auto untouched =
      std::stable_partition(state.incarnations.begin(), state.incarnations.end(),
                            [&](const Incarnation& each) { return !is_met(each); });
  std::move(untouched, state.incarnations.end(), std::back_inserter(met));
  state.incarnations.erase(untouched, state.incarnations.end());
  while (!met.empty()) {
    std::vector<Incarnation> group = take_group(met);
    auto& into = is_seen(group) ? state.gone : state.incarnations;
    std::move(group.begin(), group.end(), std::back_inserter(into));
  }
}

Dot newest_unseen(const Incarnation& incarnation) {
  Dot newest;
  const auto look = [&](const Dot& stamp, bool) {
    if (!incarnation.seen.covers(stamp)) newest = std::max(newest, stamp);
  };
  for_each_stamp_in(incarnation.body, look);
  for (const auto& [origin, hlc] : incarnation.overwritten.entries()) look({hlc, origin}, false);
  return newest;
}

Removal removal_of(const DocumentState& state, const DocumentChange& change) {
  const bool can_be_kept = !change.document.empty() || state.detached;
  return can_be_kept ? change.removal : Removal::kPlain;
}

void name_removals(const DocumentState& state, DocumentEffects& effects) {
  const auto name = [](const std::vector<Incarnation>& all, std::vector<Dot>& names) {
    for (const Incarnation& incarnation : all) {
      for (const NotedRemoval& each : incarnation.removals) names.push_back(each.dot);
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
  };
  name(state.gone, effects.gone);
  name(state.incarnations, effects.there);
}

bool is_stable(const Incarnation& incarnation, const VersionVector& stable) {
  bool all = true;
  for_each_stamp_in(incarnation,
                    [&](const Dot& stamp, bool) { all = all && stable.covers(stamp); });
  return all;
}

void note_withstood(const DocumentState& after, const Record& record,
                    const std::vector<Dot>& called, std::vector<Loss>& losses) {
  std::set<Dot> told;
  const auto tell = [&](const NotedRemoval& removal, const Dot& winner) {
    if (removal.why != Removal::kUpdateWins || !told.insert(removal.dot).second) return;
    Loss& loss = losses.emplace_back();
    loss.kind = LossKind::kUpdateDelete;
    loss.shape = Shape::kAbsent;
    loss.loser = removal.dot;
    loss.winner = winner;
  };
  for (const Incarnation& each : after.incarnations) {
    const bool is_back =
        std::find(called.begin(), called.end(), each.births.front()) != called.end();
    for (const NotedRemoval& removal : each.removals) {
      if (is_back) tell(removal, record.dot());
      if (removal.dot != record.dot()) continue;
      const Dot newest = newest_unseen(each);
      if (!newest.is_zero()) tell(removal, newest);
    }
  }
}

}  // namespace outrigger::merge
