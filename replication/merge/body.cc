#include "replication/merge/body.h"

#include <algorithm>

#include "replication/bson/number.h"

namespace outrigger::merge {
namespace {

const std::vector<CounterEntry> kNoEntries;

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

void assert_containers(Body& body, const Path& path, const Dot& stamp) {
  Path above = path;
  while (above.size() > 1) {
    above.pop_back();
    Dot& asserted = body.asserted[above];
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
      return !named_here && author.observed(Dot{entry.last, entry.first.origin});
    });
    at = at->second.empty() ? body.counters.erase(at) : std::next(at);
  }
}

Content content_of(const Effect& effect) {
  if (effect.kind == EffectKind::kRebase) return Content::kAbsent;
  switch (effect.shape) {
    case Shape::kDocument:
      return Content::kDocument;
    case Shape::kValue:
      return Content::kValue;
    case Shape::kAbsent:
      break;
  }
  return Content::kAbsent;
}

// A field that is there keeps its place, as in MongoDB; a container assigned anew orders its own.
uint32_t place(const Body& body, const Effect& effect, Authorship& author) {
  const auto old = body.registers.find(effect.path);
  const bool there = old != body.registers.end() && old->second.content != Content::kAbsent;
  if (there && stamp_above(body, effect.path) < author.stamp) return old->second.order;
  return author.next_order++;
}

void apply_assign(Body& body, const Effect& effect, Authorship& author) {
  drop_collected(body, effect.path, author);
  Register fresh;
  fresh.stamp = author.stamp;
  fresh.content = content_of(effect);
  if (fresh.content == Content::kValue) fresh.value = effect.value;
  fresh.baseline = effect.baseline;
  std::sort(fresh.baseline.begin(), fresh.baseline.end(),
            [](const CounterEntry& a, const CounterEntry& b) { return a.first < b.first; });
  fresh.order = place(body, effect, author);
  const auto [at, is_new] = body.registers.try_emplace(effect.path, fresh);
  if (!is_new) at->second = newer(at->second, fresh);
  if (effect.kind == EffectKind::kAssign) assert_containers(body, effect.path, author.stamp);
}

void apply_increment(Body& body, const Effect& effect, const Authorship& author) {
  CounterEntry entry = effect.entry;
  entry.last = author.stamp.hlc;
  raise_entry(body.counters[effect.path], entry);
  assert_containers(body, effect.path, author.stamp);
}

}  // namespace

bool has_prefix(const Path& path, const Path& prefix) {
  return path.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
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
    bson::Sum sum = bson::add(result.value->view(), gained.view());
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
    for (const auto& [path, reg] : incarnation.body.registers) {
      const auto [at, is_new] = joined.registers.try_emplace(path, reg);
      if (!is_new) at->second = newer(at->second, reg);
    }
    for (const auto& [path, entries] : incarnation.body.counters) {
      for (const CounterEntry& entry : entries) raise_entry(joined.counters[path], entry);
    }
    for (const auto& [path, stamp] : incarnation.body.asserted) {
      Dot& asserted = joined.asserted[path];
      asserted = std::max(asserted, stamp);
    }
  }
  return joined;
}

Authorship::Authorship(const Dot& dot, const VersionVector* seen, const DocumentEffects& effects)
    : stamp(dot), deps(seen) {
  for (const Effect& effect : effects.effects) {
    if (effect.kind == EffectKind::kAssign || effect.kind == EffectKind::kRebase) {
      named[effect.path] = &effect.baseline;
    }
  }
}

bool well_formed(const Effect& effect, const Dot& stamp) {
  if (effect.path.size() > kPathDepthMax) return false;
  for (const std::string& name : effect.path) {
    if (name.find('\0') != std::string::npos) return false;
  }
  for (const CounterEntry& entry : effect.baseline) {
    if (!entry.sum.view().is_number()) return false;
  }
  switch (effect.kind) {
    case EffectKind::kBirth:
    case EffectKind::kRemove:
      return true;
    case EffectKind::kAssign:
      return !effect.path.empty() || effect.shape == Shape::kDocument;
    case EffectKind::kRebase:
      return !effect.path.empty();
    case EffectKind::kIncrement:
      return !effect.path.empty() && effect.entry.sum.view().is_number() &&
             effect.entry.first.origin == stamp.origin;
  }
  return false;
}

void apply_effect(Body& body, const Effect& effect, Authorship& author) {
  if (effect.kind == EffectKind::kIncrement) {
    apply_increment(body, effect, author);
  } else {
    apply_assign(body, effect, author);
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
  std::erase_if(body.asserted, [&](const auto& asserted) {
    return asserted.second <= base_of(body, asserted.first).stamp;
  });
}

}  // namespace outrigger::merge
