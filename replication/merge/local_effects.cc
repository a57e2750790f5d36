// Effects of a local write: what it did, put so that peers can merge it.
#include "replication/bson/fields.h"
#include "replication/merge/body.h"
#include "replication/merge/paths.h"
#include "replication/merge/types/decompose.h"

namespace outrigger::merge {
namespace {

class EffectMaker {
 public:
  EffectMaker(const DocumentState& state, const DocumentChange& change, const LocalContext& context)
      : context_(context),
        is_detached_(state.detached),
        is_remembered_(!state.incarnations.empty()),
        body_(state) {
    if (context.policy != nullptr) rules_ = context.policy->merge_rules(change.ns);
  }

  void birth(const DocumentChange& change) {
    // The store had no such document: what the row still speaks of went behind our back. So may
    // have what nobody here remembers any more and peers still hold (a TTL index takes documents);
    // fields of an upsert would stand beside it, and its increments be added to it. If the store
    // had never taken the document, the app did not mean it either: both births stand.
    const bool is_upsert = change.kind == DocumentChange::Kind::kUpsert;
    if (!is_detached_ && (is_remembered_ || is_upsert)) remove();
    if (is_weak_birth(change)) {
      add(Operation::kWeakBirth, {}).value = bson::make_document(change.document);
      return birth_increments(change.changes);
    }
    add(Operation::kBirth, {}).value = bson::make_document(change.document);
  }
  void remove() { add(Operation::kRemove, {}); }
  void replace(const std::string& document) {
    add(Operation::kAssign, {}).value = bson::make_document(document);
    effects_.back().baselines = seen_below({});
  }
  // Where the type that merges what was written is chosen.
  void update(const PathChange& change) {
    OUTRIGGER_ASSERT(change.kind == Operation::kAssign || change.kind == Operation::kUnset ||
                     change.kind == Operation::kIncrement);
    Effect& effect = add(change.kind, change.path);
    switch (type_of(change.kind, rules_.at(change.path))) {
      case MergeType::kRegister:
        if (change.kind == Operation::kAssign) effect.value = change.value;
        effect.baselines = seen_below(change.path);
        break;
      case MergeType::kCounter: {
        const auto found = body_->counters.find(change.path);
        const auto& entries = found == body_->counters.end() ? kNoEntries : found->second;
        const Register* own = governor_of(*body_, change.path).own();
        effect.entry = counted(change.value.view(), own, entries, context_);
        break;
      }
    }
  }

  std::vector<Effect> take() { return std::move(effects_); }

 private:
  Effect& add(Operation kind, const Path& path) {
    Effect& effect = effects_.emplace_back();
    effect.kind = kind;
    effect.path = path;
    return effect;
  }

  // Counted by an upsert: its document shows the sums already.
  void birth_increments(const std::vector<PathChange>& changes) {
    const size_t birth = effects_.size() - 1;
    std::vector<Baseline> counted_here;
    for (const PathChange& change : changes) {
      if (type_of(change.kind, rules_.at(change.path)) != MergeType::kCounter) continue;
      Effect& effect = add(change.kind, change.path);
      effect.entry = new_entry(change.value, context_);
      counted_here.push_back({change.path, {effect.entry}});
    }
    effects_[birth].baselines = std::move(counted_here);
  }

  // What the author of a value has seen beside registers, at its path and below.
  std::vector<Baseline> seen_below(const Path& path) const {
    std::vector<Baseline> seen;
    for_each_below(body_->counters, path, [&](const Path& at, const CounterEntries& entries) {
      seen.push_back({at, entries});
    });
    return seen;
  }

  const LocalContext& context_;
  const bool is_detached_;  // the store has never taken what is remembered
  const bool is_remembered_;
  const WholeBody body_;
  MergeRules rules_;
  std::vector<Effect> effects_;
};

}  // namespace

bool is_weak_birth(const DocumentChange& change) {
  if (change.kind != DocumentChange::Kind::kUpsert) return false;
  const bson::Document document(change.document);
  return !bson::repeats_names(document) && names_in_paths(document) <= kNamesTakenApartMax;
}

DocumentEffects local_effects(const DocumentState& state, const DocumentChange& change,
                              const LocalContext& context) {
  EffectMaker maker(state, change, context);
  switch (change.kind) {
    case DocumentChange::Kind::kInsert:
    case DocumentChange::Kind::kUpsert:
      maker.birth(change);
      break;
    case DocumentChange::Kind::kReplace:
      maker.replace(change.document);
      break;
    case DocumentChange::Kind::kUpdate:
      for (const PathChange& part : change.changes) maker.update(part);
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
