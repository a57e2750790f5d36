// Effects of a local write: what it did, put so that peers can merge it.
#include <algorithm>
#include <iterator>

#include "replication/bson/number.h"
#include "replication/merge/body.h"

namespace outrigger::merge {
namespace {

class EffectMaker {
 public:
  EffectMaker(const DocumentState& state, const LocalContext& context)
      : context_(context),
        replaces_(!state.incarnations.empty() && !state.detached),
        single_(state.incarnations.size() == 1) {
    if (!single_) joined_ = join(state.incarnations);
    body_ = single_ ? &state.incarnations.front().body : &joined_;
  }

  void birth(Operation kind, const std::string& document) {
    Effect& effect = add(kind, {});
    effect.value = bson::make_document(document);
  }
  void remove() { add(Operation::kRemove, {}); }
  [[nodiscard]] bool replaces() const { return replaces_; }

  void assign(const Path& path, const bson::Value& value) {
    Effect& effect = add(Operation::kAssign, path);
    effect.value = bson::OwnedValue(value);
    effect.baselines = seen_below(path);
  }

  void unset(const Path& path) { add(Operation::kUnset, path).baselines = seen_below(path); }

  // Counted by an upsert: its document shows the sums already.
  void birth_increments(const std::vector<PathChange>& changes) {
    std::vector<Baseline> counted;
    std::vector<Effect> increments;
    for (const PathChange& change : changes) {
      if (change.kind != Operation::kIncrement) continue;
      const CounterEntry entry{context_.dot, context_.dot.hlc, change.value};
      counted.push_back({change.path, {entry}});
      Effect& effect = increments.emplace_back();
      effect.kind = Operation::kIncrement;
      effect.path = change.path;
      effect.entry = entry;
    }
    effects_.back().baselines = std::move(counted);
    std::move(increments.begin(), increments.end(), std::back_inserter(effects_));
  }

  void increment(const PathChange& change) {
    Effect& effect = add(Operation::kIncrement, change.path);
    const auto found = body_->counters.find(change.path);
    const auto& entries = found == body_->counters.end() ? kNoEntries : found->second;
    effect.entry = extended(change, entries)
                       .value_or(CounterEntry{context_.dot, context_.dot.hlc, change.value});
  }

  std::vector<Effect> take() { return std::move(effects_); }

 private:
  Effect& add(Operation kind, const Path& path) {
    Effect& effect = effects_.emplace_back();
    effect.kind = kind;
    effect.path = path;
    return effect;
  }

  std::vector<Baseline> seen_below(const Path& path) const {
    std::vector<Baseline> seen;
    for (auto at = body_->counters.lower_bound(path);
         at != body_->counters.end() && has_prefix(at->first, path); ++at) {
      seen.push_back({at->first, at->second});
    }
    return seen;
  }

  // Our newest entry with the delta added to its sum, where that is allowed and exact. Nothing: a
  // new entry has to be opened, because
  //  - a base has covered the old one (its baseline would no longer tell what it had seen), or
  //  - the old one is closed: a site may have folded it into a value already, or
  //  - the store has just computed (value + delta), and base + sums added in dot order would not
  //    give the same bytes: doubles, decimals, and integers that got wider on the way.
  [[nodiscard]] std::optional<CounterEntry> extended(
      const PathChange& change, const std::vector<CounterEntry>& entries) const {
    const Base base = base_of(*body_, change.path);
    const CounterEntry* mine = nullptr;
    for (const CounterEntry& entry : entries) {
      if (entry.first.origin != context_.dot.origin || entry.last <= context_.closed) continue;
      if (find_entry(base.baseline(), entry.first) == nullptr) mine = &entry;
    }
    std::optional<bson::OwnedValue> start;
    if (base.content() == Content::kValue) start = base.own->value;
    const bool usable = base.content() == Content::kAbsent || (start && start->view().is_number());
    if (mine == nullptr || !usable) return std::nullopt;
    const bson::Sum sum = bson::add(mine->sum.view(), change.value.view());
    CounterEntry longer{mine->first, context_.dot.hlc, sum.value};
    std::vector<CounterEntry> after = entries;
    after[static_cast<size_t>(mine - entries.data())] = longer;
    const CounterValue was = counter_value(start, base.baseline(), entries);
    const CounterValue now = counter_value(start, base.baseline(), after);
    const bson::OwnedValue stored =
        was.value ? bson::increment(was.value->view(), change.value.view()).value : change.value;
    if (sum.clamped || now.clamped || now.value != stored) return std::nullopt;
    return longer;
  }

  const LocalContext& context_;
  const bool replaces_;  // the store was to hold a document
  const bool single_;
  Body joined_;
  const Body* body_;
  std::vector<Effect> effects_;
};

void make_update(EffectMaker& maker, const std::vector<PathChange>& changes) {
  for (const PathChange& change : changes) {
    switch (change.kind) {
      case Operation::kAssign:
        maker.assign(change.path, change.value.view());
        break;
      case Operation::kUnset:
        maker.unset(change.path);
        break;
      case Operation::kIncrement:
        maker.increment(change);
        break;
      default:
        OUTRIGGER_ASSERT(false);
    }
  }
}

void make_birth(EffectMaker& maker, const DocumentChange& change) {
  if (is_weak_birth(change)) {
    maker.birth(Operation::kWeakBirth, change.document);
    maker.birth_increments(change.changes);
    return;
  }
  // The store had no such document: what the row still speaks of went behind our back. If the store
  // had never taken it, the app did not mean it either: then both births stand, as if apart.
  if (maker.replaces()) maker.remove();
  maker.birth(Operation::kBirth, change.document);
}

}  // namespace

bool is_weak_birth(const DocumentChange& change) {
  if (change.kind != DocumentChange::Kind::kUpsert) return false;
  const bson::Document document(change.document);
  return !bson::repeats_names(document) && names_in_paths(document) <= kNamesTakenApartMax;
}

DocumentEffects local_effects(const DocumentState& state, const DocumentChange& change,
                              const LocalContext& context) {
  EffectMaker maker(state, context);
  switch (change.kind) {
    case DocumentChange::Kind::kInsert:
    case DocumentChange::Kind::kUpsert:
      make_birth(maker, change);
      break;
    case DocumentChange::Kind::kReplace:
      maker.assign({}, bson::Value{bson::Type::kDocument, change.document});
      break;
    case DocumentChange::Kind::kUpdate:
      make_update(maker, change.changes);
      break;
    case DocumentChange::Kind::kRemove:
      maker.remove();
      break;
  }
  DocumentEffects effects;
  effects.ns = change.ns;
  effects.id = change.id;
  effects.effects = maker.take();
  return effects;
}

}  // namespace outrigger::merge
