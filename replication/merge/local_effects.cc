// Effects of a local write: what it did, put so that peers can merge it.
#include <algorithm>
#include <set>

#include "replication/bson/number.h"
#include "replication/merge/body.h"

namespace outrigger::merge {
namespace {

const std::vector<CounterEntry> kNoEntries;

class EffectMaker {
 public:
  EffectMaker(const DocumentState& state, const LocalContext& context)
      : context_(context), single_(state.incarnations.size() == 1) {
    if (!single_) joined_ = join(state.incarnations);
    body_ = single_ ? &state.incarnations.front().body : &joined_;
  }

  void birth() { add(EffectKind::kBirth, {}); }
  void remove() { add(EffectKind::kRemove, {}); }

  // The value and all below it; counters below that got no value of their own restart, absent.
  void assign(const Path& path, const bson::Value& value) {
    std::set<Path> assigned;
    Path at = path;
    decompose(at, value, [&](const Path& p, Shape shape, const bson::Value& leaf) {
      assign_one(p, shape, leaf);
      if (body_->counters.contains(p)) assigned.insert(p);
    });
    rebase_below(path, assigned);
  }

  void unset(const Path& path) {
    assign_one(path, Shape::kAbsent, {});
    rebase_below(path, {path});
  }

  // What an upsert stored: leaves only, so that another upsert's fields stay beside them. Empty
  // documents are leaves here; the containers of the others are implied.
  void assign_leaves(const bson::Document& document, const std::set<Path>& except) {
    Path at;
    decompose(at, {bson::Type::kDocument, document.bytes()},
              [&](const Path& p, Shape shape, const bson::Value& value) {
                if (p.empty() || except.contains(p)) return;
                const bool filled = shape == Shape::kDocument && !value.as_document().empty();
                if (!filled) assign_one(p, shape, value);
              });
  }

  void increment(const PathChange& change) {
    Effect& effect = add(EffectKind::kIncrement, change.path);
    const auto found = body_->counters.find(change.path);
    const auto& entries = found == body_->counters.end() ? kNoEntries : found->second;
    effect.entry = extended(change, entries)
                       .value_or(CounterEntry{context_.dot, context_.dot.hlc, change.value});
  }

  std::vector<Effect> take() { return std::move(effects_); }

 private:
  Effect& add(EffectKind kind, const Path& path) {
    Effect& effect = effects_.emplace_back();
    effect.kind = kind;
    effect.path = path;
    return effect;
  }

  void assign_one(const Path& path, Shape shape, const bson::Value& value) {
    Effect& effect = add(EffectKind::kAssign, path);
    effect.shape = shape;
    if (shape == Shape::kValue) effect.value = bson::OwnedValue(value);
    const auto seen = body_->counters.find(path);
    if (seen != body_->counters.end()) effect.baseline = seen->second;
  }

  void rebase_below(const Path& path, const std::set<Path>& assigned) {
    for (auto at = body_->counters.lower_bound(path);
         at != body_->counters.end() && has_prefix(at->first, path); ++at) {
      if (!assigned.contains(at->first)) add(EffectKind::kRebase, at->first).baseline = at->second;
    }
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
        was.value ? bson::add(was.value->view(), change.value.view()).value : change.value;
    if (sum.clamped || now.clamped || now.value != stored) return std::nullopt;
    return longer;
  }

  const LocalContext& context_;
  const bool single_;
  Body joined_;
  const Body* body_;
  std::vector<Effect> effects_;
};

void make_update(EffectMaker& maker, const std::vector<PathChange>& changes) {
  for (const PathChange& change : changes) {
    switch (change.kind) {
      case PathChange::Kind::kSet:
        maker.assign(change.path, change.value.view());
        break;
      case PathChange::Kind::kUnset:
        maker.unset(change.path);
        break;
      case PathChange::Kind::kIncrement:
        maker.increment(change);
        break;
    }
  }
}

void make_upsert(EffectMaker& maker, const DocumentChange& change) {
  std::set<Path> counted;
  for (const PathChange& part : change.changes) {
    if (part.kind == PathChange::Kind::kIncrement) counted.insert(part.path);
  }
  maker.birth();
  maker.assign_leaves(bson::Document(change.document), counted);
  for (const PathChange& part : change.changes) {
    if (part.kind == PathChange::Kind::kIncrement) maker.increment(part);
  }
}

}  // namespace

DocumentEffects local_effects(const DocumentState& state, const DocumentChange& change,
                              const LocalContext& context) {
  EffectMaker maker(state, context);
  const bson::Value whole{bson::Type::kDocument, change.document};
  switch (change.kind) {
    case DocumentChange::Kind::kInsert:
      maker.birth();
      maker.assign({}, whole);
      break;
    case DocumentChange::Kind::kUpsert:
      make_upsert(maker, change);
      break;
    case DocumentChange::Kind::kReplace:
      maker.assign({}, whole);
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
