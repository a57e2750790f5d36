#include "replication/merge/body.h"

#include <algorithm>
#include <set>

#include "replication/bson/fields.h"
#include "replication/merge/types/decompose.h"
#include "replication/merge/types/paths.h"
#include "replication/record/path.h"

namespace outrigger::merge {
namespace {

void assert_at(Body& body, const Path& path, const Dot& stamp) {
  Dot& asserted = body.asserted[path];
  asserted = std::max(asserted, stamp);
}

// What is asserted with this very stamp is so with everything above it.
void assert_containers(Body& body, const Path& path, const Dot& stamp) {
  Path above = path;
  while (above.size() > 1) {
    above.pop_back();
    Dot& asserted = body.asserted[above];
    if (asserted == stamp) return;
    asserted = std::max(asserted, stamp);
  }
}

// What stands beside registers at `path` and below loses what its author had folded into a value.
void overwrite(Body& body, const Path& path, const Authorship& author) {
  auto at = body.counters.lower_bound(path);
  while (at != body.counters.end() && has_prefix(at->first, path)) {
    drop_folded(at->second, author.named(at->first), author);
    at = at->second.empty() ? body.counters.erase(at) : std::next(at);
  }
}

void put(Body& body, const Path& path, Register&& fresh) {
  const auto [at, is_new] = body.registers.try_emplace(path, std::move(fresh));
  if (!is_new) join(at->second, fresh);  // then it was not moved from
}

// What stands under the contests that are left below `path`: should they end by a write that knows
// nothing of this one, it shows. The store shows something else there.
void put_contest_bases(Body& body, const Path& path, const Register& whole) {
  std::optional<bson::PathFinder> fields;
  for_each_below(body.contests, path, [&](const Path& at, const Contest&) {
    if (at == path) return;
    Register base;
    base.stamp = whole.stamp;
    if (whole.content == Content::kDocument) {
      if (!fields) fields.emplace(whole.fields.document());
      const auto value = fields->find(at, path.size());
      if (value) hold(base, at, *value, whole.fields);
    }
    put(body, at, std::move(base));
  });
}

// Values beside each other are replaced by who has seen them.
void end_contests(Body& body, const Path& path, const Authorship& author) {
  auto at = body.contests.lower_bound(path);
  while (at != body.contests.end() && has_prefix(at->first, path)) {
    drop_observed(at->second, author);
    at = at->second.contenders.empty() ? body.contests.erase(at) : std::next(at);
  }
}

// Where something is counted below `path`, what was assigned there is a register of its own: the
// document will show a sum.
void put_counter_bases(Body& body, const Effect& effect, const Register& whole,
                       const Authorship& author) {
  std::set<Path> counted;
  for_each_below(body.counters, effect.path,
                 [&](const Path& path, const CounterEntries&) { counted.insert(path); });
  for (const Baseline& seen : effect.baselines) {
    if (has_prefix(seen.path, effect.path)) counted.insert(seen.path);
  }
  counted.erase(effect.path);
  if (counted.empty()) return;
  bson::PathFinder fields(whole.fields.document());
  for (const Path& path : counted) {
    Register base;
    base.stamp = author.stamp;
    const bool inside = whole.content == Content::kDocument;
    const auto value = inside ? fields.find(path, effect.path.size()) : std::nullopt;
    if (value) hold(base, path, *value, whole.fields);
    base.baseline = sorted(author.named(path));
    put(body, path, std::move(base));
  }
}

// What its author has seen there of incarnations it does not reach; a birth has ended those.
void note_replaced(Body& body, const Effect& effect, const Authorship& author) {
  if (effect.is_birth()) return;
  for_each_below(author.unreached, effect.path, [&](const Path& path, const VersionVector& seen) {
    body.replaced[path].raise(seen);
  });
}

// Once they are joined.
void drop_replaced(Body& body) {
  for (const auto& [path, seen] : body.replaced) {
    const auto list = body.lists.find(path);
    if (list != body.lists.end()) drop_covered(list->second, seen);
    const auto contest = body.contests.find(path);
    if (contest == body.contests.end()) continue;
    auto& all = contest->second.contenders;
    std::erase_if(all, [&](const Contender& each) { return seen.covers(each.dot); });
    if (all.empty()) body.contests.erase(contest);
  }
}

void apply_assign(Body& body, const Effect& effect, Authorship& author) {
  note_replaced(body, effect, author);
  overwrite(body, effect.path, author);
  end_contests(body, effect.path, author);
  if (effect.rule.is_contest()) contend(body.contests[effect.path], effect, author);
  Register fresh = assigned(effect, author);
  put_counter_bases(body, effect, fresh, author);
  put_contest_bases(body, effect.path, fresh);
  assign_lists(body, effect.path, fresh, author);
  if (effect.path.empty()) body.floor = {};
  put(body, effect.path, std::move(fresh));
  begin_lists_after(body, effect, author);
  take_from_assigned(body, effect, author);
  assert_containers(body, effect.path, author.stamp);
}

// A floor says nothing of what is not in it: only what the birth itself counts begins here.
void apply_weak_birth(Body& body, const Effect& effect, const Authorship& author) {
  body.floor = SharedBytes::of(effect.value.bytes);
  body.floor_stamp = author.stamp;
  bson::PathFinder born(body.floor.document());
  for (const Baseline& seen : effect.baselines) {
    const auto value = born.find(seen.path);
    if (!value) continue;
    Register base;
    base.stamp = author.stamp;
    hold(base, seen.path, *value, body.floor);
    base.baseline = sorted(seen.entries);
    put(body, seen.path, std::move(base));
  }
}

void apply_increment(Body& body, const Effect& effect, const Authorship& author) {
  count(body.counters[effect.path], effect.entry, author);
  assert_containers(body, effect.path, author.stamp);
}

void make_bases_explicit(Body& body, const std::vector<const Path*>& paths) {
  std::map<const char*, bson::PathFinder> finders;  // by the bytes they look in
  for (const Path* path : paths) {
    const Governor governor = governor_of(body, *path);
    if (governor.is_own) continue;
    if (governor.reg != nullptr && governor.reg->content != Content::kDocument) continue;
    const SharedBytes fields = governor.reg == nullptr ? body.floor : governor.reg->fields;
    if (fields.bytes.empty()) continue;
    auto& finder = finders.try_emplace(fields.bytes.data(), fields.document()).first->second;
    const auto value = finder.find(*path, governor.depth);
    if (!value) continue;
    Register base;
    hold(base, *path, *value, fields);
    if (governor.reg != nullptr) {
      base.stamp = governor.stamp;
    } else if (base.content == Content::kValue) {
      base.stamp = body.floor_stamp;
    }
    body.registers.insert_or_assign(*path, std::move(base));
  }
}

// Likewise where values stand beside each other; also that there was none.
void make_contested_explicit(Body& body, const std::vector<const Path*>& paths) {
  if (paths.empty()) return;
  make_bases_explicit(body, paths);
  for (const Path* path : paths) {
    if (body.registers.contains(*path)) continue;
    Register absent;
    absent.stamp = governor_of(body, *path).stamp;
    body.registers.emplace(*path, std::move(absent));
  }
}

// The fields of a floor as registers of their own, so that bodies can be joined path by path.
// Containers need none: what lies in them asserts them.
void make_floor_explicit(Body& body) {
  if (body.floor.bytes.empty()) return;
  Body leaves;
  Path path;
  const bson::Value whole{bson::Type::kDocument, body.floor.bytes};
  for_each_leaf(path, whole, [&](const Path& at, const bson::Value& value) {
    if (body.counters.contains(at)) return;
    Register leaf;
    leaf.stamp = body.floor_stamp;
    hold(leaf, at, value, body.floor);
    if (leaf.content == Content::kDocument) {
      leaf.stamp = Dot();
      if (!at.empty()) leaves.asserted[at] = body.floor_stamp;
    }
    assert_containers(leaves, at, body.floor_stamp);
    leaves.registers.emplace(at, std::move(leaf));
  });
  for (auto& [at, leaf] : leaves.registers) body.registers.try_emplace(at, std::move(leaf));
  for (const auto& [at, stamp] : leaves.asserted) assert_at(body, at, stamp);
  body.floor = {};
  body.floor_stamp = Dot();
}

template <MergeState State>
void join_each(std::map<Path, State>& joined, const std::map<Path, State>& states) {
  for (const auto& [path, state] : states) {
    const auto [at, is_new] = joined.try_emplace(path, state);
    if (!is_new) join(at->second, state);
  }
}

void join_into(Body& joined, const Body& body) {
  join_each(joined.registers, body.registers);
  join_each(joined.counters, body.counters);
  join_each(joined.contests, body.contests);
  for (const auto& [path, stamp] : body.asserted) assert_at(joined, path, stamp);
  for (const auto& [path, seen] : body.replaced) joined.replaced[path].raise(seen);
}

}  // namespace

Governor governor_of(const Body& body, const Path& path) {
  Governor governor;
  const auto consider = [&](const Path& at) {
    const auto found = body.registers.find(at);
    if (found == body.registers.end() || found->second.stamp < governor.stamp) return;
    governor = {found->second.stamp, &found->second, at.size() == path.size(), at.size()};
  };
  Path at;
  at.reserve(path.size());
  consider(at);
  for (const std::string& name : path) {
    at.push_back(name);
    consider(at);
  }
  return governor;
}

Body join(const std::vector<const Body*>& bodies) {
  Body joined;
  for (const Body* body : bodies) {
    if (body->floor.bytes.empty()) {
      join_into(joined, *body);
    } else {
      Body of_paths = *body;
      make_floor_explicit(of_paths);
      join_into(joined, of_paths);
    }
  }
  join_lists(joined, bodies);
  drop_replaced(joined);
  std::vector<const Path*> counted;
  for (const auto& [path, entries] : joined.counters) counted.push_back(&path);
  make_bases_explicit(joined, counted);
  complete_contests(joined);
  return joined;
}

Body join(const std::vector<Incarnation>& incarnations) {
  std::vector<const Body*> bodies;
  for (const Incarnation& incarnation : incarnations) bodies.push_back(&incarnation.body);
  return join(bodies);
}

void begin_counters(Body& body, const DocumentEffects& effects) {
  std::vector<const Path*> counted;
  for (const Effect& effect : effects.effects) {
    const bool adds = effect.kind == Operation::kIncrement && !is_into_element(effect.path);
    if (adds && !body.counters.contains(effect.path)) counted.push_back(&effect.path);
  }
  make_bases_explicit(body, counted);
  std::vector<const Path*> contested;
  for (const Effect& effect : effects.effects) {
    const bool contends = effect.rule.is_contest() && !is_into_element(effect.path);
    if (contends) contested.push_back(&effect.path);
  }
  make_contested_explicit(body, contested);
}

void complete_contests(Body& body) {
  std::vector<const Path*> contested;
  for (const auto& [path, contest] : body.contests) contested.push_back(&path);
  make_contested_explicit(body, contested);
}

void apply_effect(Body& body, const Effect& effect, Authorship& author) {
  if (is_into_element(effect.path)) {
    apply_inside(body, effect, author);
    return assert_containers(body, path_of_array(effect.path), author.stamp);
  }
  switch (effect.kind) {
    case Operation::kUnknown:
    case Operation::kRemove:
      break;
    case Operation::kIncrement:
      return apply_increment(body, effect, author);
    case Operation::kEdit:
      apply_edit(body, effect, author);
      return assert_containers(body, effect.path, author.stamp);
    case Operation::kWeakBirth:
      return apply_weak_birth(body, effect, author);
    case Operation::kBirth:
    case Operation::kAssign:
    case Operation::kUnset:
      return apply_assign(body, effect, author);
  }
}

void purge(Body& body) {
  StampsAbove governing;
  for (auto at = body.registers.begin(); at != body.registers.end();) {
    const Dot* above = governing.nearest(at->first);
    if (above != nullptr && *above > at->second.stamp) {
      at = body.registers.erase(at);
      continue;
    }
    governing.note(at->first, at->second.stamp);
    ++at;
  }
  governing = {};
  auto reg = body.registers.begin();
  for (auto at = body.asserted.begin(); at != body.asserted.end();) {
    for (; reg != body.registers.end() && reg->first <= at->first; ++reg) {
      governing.note(reg->first, reg->second.stamp);
    }
    const Dot* above = governing.nearest(at->first);
    at =
        at->second <= (above == nullptr ? Dot() : *above) ? body.asserted.erase(at) : std::next(at);
  }
  purge_lists(body);
}

void give_up_shown(Body& body) {
  for (auto& [path, reg] : body.registers) give_up_shown(reg, path);
}

}  // namespace outrigger::merge
