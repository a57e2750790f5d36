#include "replication/merge/body.h"

#include <algorithm>
#include <set>

#include "replication/bson/number.h"

namespace outrigger::merge {
namespace {

bool first_before(const CounterEntry& entry, const Dot& first) { return entry.first < first; }

// Adds an entry, or moves it forward; an older state of it changes nothing.
void raise_entry(std::vector<CounterEntry>& entries, const CounterEntry& entry) {
  const auto at = std::lower_bound(entries.begin(), entries.end(), entry.first, first_before);
  if (at == entries.end() || at->first != entry.first) {
    entries.insert(at, entry);
  } else if (at->last < entry.last) {
    *at = entry;
  }
}

void sort_entries(std::vector<CounterEntry>& entries) {
  std::sort(entries.begin(), entries.end(),
            [](const CounterEntry& a, const CounterEntry& b) { return a.first < b.first; });
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

// Entries the author had seen but does not name were part of the value it replaced: it had already
// folded them, so nothing of them may count on top of the new one.
void drop_collected(Body& body, const Path& path, const Authorship& author) {
  auto at = body.counters.lower_bound(path);
  while (at != body.counters.end() && has_prefix(at->first, path)) {
    const auto named = author.named.find(at->first);
    std::erase_if(at->second, [&](const CounterEntry& entry) {
      const bool named_here =
          named != author.named.end() && find_entry(*named->second, entry.first) != nullptr;
      return !named_here && author.observed(entry.newest());
    });
    at = at->second.empty() ? body.counters.erase(at) : std::next(at);
  }
}

void put(Body& body, const Path& path, Register fresh) {
  const auto [at, is_new] = body.registers.try_emplace(path, fresh);
  if (!is_new) at->second = newer(at->second, fresh);
}

// Where something is counted below `path`, what was assigned there is a register of its own: the
// document will show a sum.
void put_counter_bases(Body& body, const Effect& effect, const Register& whole,
                       const Authorship& author) {
  std::set<Path> counted;
  for (auto at = body.counters.lower_bound(effect.path);
       at != body.counters.end() && has_prefix(at->first, effect.path); ++at) {
    counted.insert(at->first);
  }
  for (const Baseline& seen : effect.baselines) {
    if (has_prefix(seen.path, effect.path)) counted.insert(seen.path);
  }
  counted.erase(effect.path);
  if (counted.empty()) return;
  bson::PathFinder assigned(whole.fields.document());
  for (const Path& path : counted) {
    Register base;
    base.stamp = author.stamp;
    const bool inside = whole.content == Content::kDocument;
    const auto value = inside ? assigned.find(path, effect.path.size()) : std::nullopt;
    if (value) set_content(base, path, *value, whole.fields);
    const auto named = author.named.find(path);
    if (named != author.named.end()) base.baseline = *named->second;
    sort_entries(base.baseline);
    put(body, path, std::move(base));
  }
}

void apply_assign(Body& body, const Effect& effect, Authorship& author) {
  drop_collected(body, effect.path, author);
  Register fresh;
  fresh.stamp = author.stamp;
  if (effect.kind != Operation::kUnset) {
    const bool container = is_container(effect.value.view(), effect.path);
    SharedBytes bytes;
    if (container) bytes = SharedBytes::of(effect.value.bytes);
    const bson::Value value{effect.value.type, container ? bytes.bytes : effect.value.bytes};
    set_content(fresh, effect.path, value, bytes);
  }
  const auto named = author.named.find(effect.path);
  if (named != author.named.end()) fresh.baseline = *named->second;
  sort_entries(fresh.baseline);
  fresh.order = author.next_order++;
  put_counter_bases(body, effect, fresh, author);
  if (effect.path.empty()) body.floor = {};
  put(body, effect.path, std::move(fresh));
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
    set_content(base, seen.path, *value, body.floor);
    base.baseline = seen.entries;
    sort_entries(base.baseline);
    put(body, seen.path, std::move(base));
  }
}

void apply_increment(Body& body, const Effect& effect, const Authorship& author) {
  CounterEntry entry = effect.entry;
  entry.last = author.stamp.hlc;
  raise_entry(body.counters[effect.path], entry);
  assert_containers(body, effect.path, author.stamp);
}

// The nearest register on the way to a path that governs it, or the floor.
struct Nearest {
  Dot stamp;
  const Register* reg = nullptr;  // null: the floor
  size_t depth = 0;
};

Nearest nearest_above(const Body& body, const Path& path) {
  Nearest nearest;
  const auto consider = [&](const Path& at) {
    const auto found = body.registers.find(at);
    if (found == body.registers.end() || found->second.stamp < nearest.stamp) return;
    nearest = {found->second.stamp, &found->second, at.size()};
  };
  Path at;
  consider(at);
  for (const std::string& name : path) {
    at.push_back(name);
    consider(at);
  }
  return nearest;
}

void make_bases_explicit(Body& body, const std::vector<const Path*>& paths) {
  std::map<const char*, bson::PathFinder> finders;  // by the bytes they look in
  for (const Path* path : paths) {
    const Nearest nearest = nearest_above(body, *path);
    if (nearest.reg != nullptr && nearest.depth == path->size()) continue;
    if (nearest.reg != nullptr && nearest.reg->content != Content::kDocument) continue;
    const SharedBytes fields = nearest.reg == nullptr ? body.floor : nearest.reg->fields;
    if (fields.bytes.empty()) continue;
    auto& finder = finders.try_emplace(fields.bytes.data(), fields.document()).first->second;
    const auto value = finder.find(*path, nearest.depth);
    if (!value) continue;
    Register base;
    set_content(base, *path, *value, fields);
    if (nearest.reg != nullptr) {
      base.stamp = nearest.stamp;
    } else if (base.content == Content::kValue) {
      base.stamp = body.floor_stamp;
    }
    body.registers.insert_or_assign(*path, std::move(base));
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
    set_content(leaf, at, value, body.floor);
    if (leaf.content == Content::kDocument) {
      leaf.stamp = Dot();
      if (!at.empty()) leaves.asserted[at] = body.floor_stamp;
    }
    assert_containers(leaves, at, body.floor_stamp);
    leaves.registers.emplace(at, std::move(leaf));
  });
  for (auto& [at, leaf] : leaves.registers) body.registers.try_emplace(at, std::move(leaf));
  for (const auto& [at, stamp] : leaves.asserted) {
    Dot& asserted = body.asserted[at];
    asserted = std::max(asserted, stamp);
  }
  body.floor = {};
  body.floor_stamp = Dot();
}

void join_into(Body& joined, const Body& body) {
  for (const auto& [path, reg] : body.registers) put(joined, path, reg);
  for (const auto& [path, entries] : body.counters) {
    for (const CounterEntry& entry : entries) raise_entry(joined.counters[path], entry);
  }
  for (const auto& [path, stamp] : body.asserted) {
    Dot& asserted = joined.asserted[path];
    asserted = std::max(asserted, stamp);
  }
}

}  // namespace

SharedBytes SharedBytes::of(bson::Bytes document) {
  auto owner = std::make_shared<const std::string>(document);
  const bson::Bytes bytes = *owner;
  return {std::move(owner), bytes};
}

void set_content(Register& reg, const Path& path, const bson::Value& value,
                 const SharedBytes& within) {
  if (is_container(value, path)) {
    reg.content = Content::kDocument;
    reg.fields = within.part(value.bytes);
  } else {
    reg.content = Content::kValue;
    reg.value = bson::OwnedValue(value);
  }
}

const std::vector<CounterEntry>& Base::baseline() const {
  return own == nullptr ? kNoEntries : own->baseline;
}

Dot stamp_above(const Body& body, const Path& path) {
  Dot above;
  Path prefix = path;
  while (!prefix.empty()) {
    prefix.pop_back();
    const auto at = body.registers.find(prefix);
    if (at != body.registers.end()) above = std::max(above, at->second.stamp);
  }
  return above;
}

Base base_of(const Body& body, const Path& path) {
  const Dot above = stamp_above(body, path);
  const auto own = body.registers.find(path);
  if (own == body.registers.end() || above > own->second.stamp) return Base{above, nullptr};
  return Base{own->second.stamp, &own->second};
}

const CounterEntry* find_entry(const std::vector<CounterEntry>& entries, const Dot& first) {
  const auto at = std::lower_bound(entries.begin(), entries.end(), first, first_before);
  return at != entries.end() && at->first == first ? &*at : nullptr;
}

CounterValue counter_value(const std::optional<bson::OwnedValue>& base,
                           const std::vector<CounterEntry>& baseline,
                           const std::vector<CounterEntry>& entries) {
  CounterValue result{base, false};
  for (const CounterEntry& entry : entries) {
    const CounterEntry* seen = find_entry(baseline, entry.first);
    if (seen != nullptr && seen->last >= entry.last) continue;
    bson::OwnedValue gained = entry.sum;
    if (seen != nullptr) {
      gained = bson::add(entry.sum.view(), bson::negate(seen->sum.view()).view()).value;
    }
    if (!result.value) {
      result.value = std::move(gained);
      continue;
    }
    bson::Sum sum = bson::increment(result.value->view(), gained.view());
    result.clamped |= sum.clamped;
    result.value = std::move(sum.value);
  }
  return result;
}

Register newer(const Register& a, const Register& b) {
  if (a.stamp != b.stamp) return a.stamp > b.stamp ? a : b;
  Register both = a;
  for (const CounterEntry& entry : b.baseline) raise_entry(both.baseline, entry);
  return both;
}

Body join(const std::vector<Incarnation>& incarnations) {
  Body joined;
  for (const Incarnation& incarnation : incarnations) {
    if (incarnation.body.floor.bytes.empty()) {
      join_into(joined, incarnation.body);
    } else {
      Body body = incarnation.body;
      make_floor_explicit(body);
      join_into(joined, body);
    }
  }
  std::vector<const Path*> counted;
  for (const auto& [path, entries] : joined.counters) counted.push_back(&path);
  make_bases_explicit(joined, counted);
  return joined;
}

void begin_counters(Body& body, const DocumentEffects& effects) {
  std::vector<const Path*> counted;
  for (const Effect& effect : effects.effects) {
    const bool adds = effect.kind == Operation::kIncrement;
    if (adds && !body.counters.contains(effect.path)) counted.push_back(&effect.path);
  }
  make_bases_explicit(body, counted);
}

Authorship::Authorship(const Dot& dot, const VersionVector* seen, const DocumentEffects& effects)
    : stamp(dot), deps(seen) {
  for (const Effect& effect : effects.effects) {
    for (const Baseline& baseline : effect.baselines) named[baseline.path] = &baseline.entries;
  }
}

void apply_effect(Body& body, const Effect& effect, Authorship& author) {
  switch (effect.kind) {
    case Operation::kUnknown:
    case Operation::kRemove:
      break;
    case Operation::kIncrement:
      return apply_increment(body, effect, author);
    case Operation::kWeakBirth:
      return apply_weak_birth(body, effect, author);
    case Operation::kBirth:
    case Operation::kAssign:
    case Operation::kUnset:
      return apply_assign(body, effect, author);
  }
}

void purge(Body& body) {
  // Registers are sorted so that a container comes right before what lies below it.
  std::vector<std::pair<const Path*, Dot>> above;
  for (auto at = body.registers.begin(); at != body.registers.end();) {
    while (!above.empty() && !has_prefix(at->first, *above.back().first)) above.pop_back();
    if (!above.empty() && above.back().second > at->second.stamp) {
      at = body.registers.erase(at);
      continue;
    }
    above.emplace_back(&at->first, at->second.stamp);
    ++at;
  }
  above.clear();
  auto reg = body.registers.begin();
  for (auto at = body.asserted.begin(); at != body.asserted.end();) {
    for (; reg != body.registers.end() && reg->first <= at->first; ++reg) {
      while (!above.empty() && !has_prefix(reg->first, *above.back().first)) above.pop_back();
      above.emplace_back(&reg->first, reg->second.stamp);
    }
    while (!above.empty() && !has_prefix(at->first, *above.back().first)) above.pop_back();
    const Dot governing = above.empty() ? Dot() : above.back().second;
    at = at->second <= governing ? body.asserted.erase(at) : std::next(at);
  }
}

}  // namespace outrigger::merge
