#include "replication/merge/losses.h"

#include <algorithm>

namespace outrigger::merge {
namespace {

Register register_of(const Effect& effect, const Dot& stamp) {
  Register reg;
  reg.stamp = stamp;
  if (effect.shape == Shape::kDocument) reg.content = Content::kDocument;
  if (effect.shape == Shape::kValue) {
    reg.content = Content::kValue;
    reg.value = effect.value;
  }
  return reg;
}

// A document counts as lost only when it was empty; otherwise its fields are reported.
bool has_fields(const DocumentEffects& effects, const Path& path) {
  return std::any_of(effects.effects.begin(), effects.effects.end(), [&](const Effect& effect) {
    return effect.kind == EffectKind::kAssign && effect.path.size() > path.size() &&
           has_prefix(effect.path, path);
  });
}

// The node that keeps `path` from showing although its own register governs: a container above that
// shows a leaf. Null when there is none.
const Node* leaf_above(const std::vector<const Node*>& above) {
  for (const Node* node : above) {
    if (node->shows == Node::Shows::kRegister || node->shows == Node::Shows::kCounter) return node;
  }
  return nullptr;
}

const Node* newest_above(const std::vector<const Node*>& above, const Dot& stamp) {
  for (auto node = above.rbegin(); node != above.rend(); ++node) {
    if ((*node)->governs && (*node)->reg->stamp > stamp) return *node;
  }
  return nullptr;
}

bson::OwnedValue gained(const Node& node, const CounterEntry& entry) {
  const std::vector<CounterEntry> one = {entry};
  static const std::vector<CounterEntry> kNone;
  const auto value = counter_value(std::nullopt, node.governs ? node.reg->baseline : kNone, one);
  return value.value.value_or(entry.sum);
}

}  // namespace

LossFinder::LossFinder(const DocumentState& before, const Record& record,
                       const DocumentEffects& effects, std::vector<Loss>* losses)
    : record_(record), effects_(effects), losses_(losses) {
  if (losses_ == nullptr || before.incarnations.empty()) return;
  concurrent_ = !record_.deps.includes(stamps(before));
  if (!concurrent_) return;
  Body joined;
  const bool single = before.incarnations.size() == 1;
  if (!single) joined = join(before.incarnations);
  const Node root = view_tree(single ? before.incarnations.front().body : joined);
  Path path;
  collect(root, path);
}

// What the record had not seen and what shows (or, for an unset, holds) before it.
void LossFinder::collect(const Node& node, Path& path) {
  if (node.governs && unseen(node.reg->stamp)) {
    const bool empty_document = node.shows == Node::Shows::kDocument && node.children.empty() &&
                                node.reg->content == Content::kDocument;
    const bool unset = node.reg->content == Content::kAbsent && node.reg->baseline.empty();
    const bool leaf = node.reg->content == Content::kValue &&
                      (node.shows == Node::Shows::kRegister || node.shows == Node::Shows::kCounter);
    if (leaf || (!path.empty() && (unset || empty_document))) {
      registers_.push_back({path, *node.reg});
    }
  }
  if (node.shows == Node::Shows::kCounter) {
    for (const CounterEntry& entry : *node.entries) {
      if (unseen(Dot{entry.last, entry.first.origin})) counters_.push_back({path, entry});
    }
  }
  if (node.shows != Node::Shows::kDocument) return;
  for (const Node& child : node.children) {
    path.emplace_back(child.name);
    collect(child, path);
    path.pop_back();
  }
}

void LossFinder::removed(const DocumentState& before, const Incarnation& incarnation) {
  if (losses_ == nullptr || !concurrent_) return;
  Dot newest;
  const Body& body = incarnation.body;
  auto consider = [&](const Dot& dot) {
    if (unseen(dot)) newest = std::max(newest, dot);
  };
  for (const auto& [path, reg] : body.registers) consider(reg.stamp);
  for (const auto& [path, entries] : body.counters) {
    for (const CounterEntry& entry : entries) consider(Dot{entry.last, entry.first.origin});
  }
  for (const auto& [path, stamp] : body.asserted) consider(stamp);
  removed_ = true;
  if (newest.is_zero()) return;
  Loss loss;
  loss.kind = LossKind::kDeleteUpdate;
  loss.shape = Shape::kDocument;
  loss.value = bson::make_document(visible(before).value_or(std::string()));
  loss.loser = newest;
  loss.winner = record_.dot();
  losses_->push_back(std::move(loss));
}

void LossFinder::discarded() {
  if (losses_ == nullptr) return;
  for (const Effect& effect : effects_.effects) {
    Loss loss;
    loss.kind = LossKind::kDeleteUpdate;
    loss.path = effect.path;
    loss.loser = record_.dot();
    if (effect.kind == EffectKind::kIncrement) {
      loss.value = effect.entry.sum;
    } else if (effect.kind == EffectKind::kAssign) {
      if (effect.shape == Shape::kDocument && has_fields(effects_, effect.path)) continue;
      loss.shape = effect.shape;
      loss.value = effect.shape == Shape::kDocument ? bson::make_document(bson::Writer().finish())
                                                    : effect.value;
    } else {
      continue;
    }
    losses_->push_back(std::move(loss));
  }
}

void LossFinder::finish(const DocumentState& after) {
  if (losses_ == nullptr || !concurrent_ || after.incarnations.empty()) return;
  for (const Incarnation& incarnation : after.incarnations) {
    births_.insert(births_.end(), incarnation.births.begin(), incarnation.births.end());
  }
  Body joined;
  const bool single = after.incarnations.size() == 1;
  if (!single) joined = join(after.incarnations);
  const Node root = view_tree(single ? after.incarnations.front().body : joined);
  // What a removal took along was reported as a whole.
  if (!removed_) {
    for (const Contested& old : registers_) check_register(root, old.path, old.reg);
    for (const ContestedCounter& old : counters_) check_counter(root, old.path, old.entry);
  }
  check_new(root);
}

void LossFinder::check_new(const Node& root) {
  for (const Effect& effect : effects_.effects) {
    if (!well_formed(effect, record_.dot())) continue;
    if (effect.kind == EffectKind::kIncrement) {
      CounterEntry entry = effect.entry;
      entry.last = record_.hlc;
      check_counter(root, effect.path, entry);
    } else if (effect.kind == EffectKind::kAssign && !effect.path.empty()) {
      if (effect.shape == Shape::kDocument && has_fields(effects_, effect.path)) continue;
      check_register(root, effect.path, register_of(effect, record_.dot()));
    }
  }
}

// Does a write to `path` still stand? Its own register must govern and must not be hidden.
void LossFinder::check_register(const Node& root, const Path& path, const Register& reg) {
  std::vector<const Node*> above;
  const Node* node = find_node(root, path, &above);
  const bool own = node != nullptr && node->reg != nullptr;
  if (own && node->reg->stamp > reg.stamp) {
    const Register& winner = *node->reg;
    if (winner.content == reg.content && winner.value == reg.value) return;  // nothing differs
    const bool births = both_births(reg.stamp, winner.stamp);
    report(births ? LossKind::kInsertInsert : LossKind::kSetSet, path, reg, node, winner.stamp);
    return;
  }
  if (reg.content == Content::kAbsent) return;  // gone with its container either way
  if (const Node* killer = newest_above(above, reg.stamp)) {
    const bool births = both_births(reg.stamp, killer->reg->stamp);
    report(births ? LossKind::kInsertInsert : LossKind::kContainer, path, reg, killer,
           killer->reg->stamp);
  } else if (const Node* leaf = leaf_above(above)) {
    report(LossKind::kContainer, path, reg, leaf, leaf->stamp);
  } else if (own && node->shows == Node::Shows::kDocument && reg.content == Content::kValue) {
    report(LossKind::kContainer, path, reg, nullptr, node->asserted);
  }
}

void LossFinder::check_counter(const Node& root, const Path& path, const CounterEntry& entry) {
  std::vector<const Node*> above;
  const Node* node = find_node(root, path, &above);
  if (node == nullptr || node->entries == nullptr) return;
  const CounterEntry* kept = find_entry(*node->entries, entry.first);
  if (kept == nullptr) return;
  if (node->governs) {
    const CounterEntry* seen = find_entry(node->reg->baseline, entry.first);
    if (seen != nullptr && seen->last >= entry.last) return;  // overwritten by one who had seen it
  }
  const Node* hider = leaf_above(above);
  if (hider == nullptr && node->shows != Node::Shows::kCounter) hider = node;
  if (hider == nullptr) return;
  Loss loss;
  loss.kind = LossKind::kHiddenCounter;
  loss.path = path;
  loss.value = gained(*node, entry);
  loss.loser = Dot{entry.last, entry.first.origin};
  loss.winner = std::max(hider->stamp, hider->asserted);
  if (hider->shows == Node::Shows::kRegister) loss.winning = hider->reg->value;
  losses_->push_back(std::move(loss));
}

void LossFinder::report(LossKind kind, const Path& path, const Register& reg, const Node* beaten_by,
                        const Dot& winner) {
  Loss loss;
  loss.kind = kind;
  loss.path = path;
  loss.loser = reg.stamp;
  loss.winner = winner;
  if (reg.content == Content::kAbsent) loss.shape = Shape::kAbsent;
  if (reg.content == Content::kDocument) {
    loss.shape = Shape::kDocument;
    loss.value = bson::make_document(bson::Writer().finish());
  }
  if (reg.content == Content::kValue) loss.value = reg.value;
  if (beaten_by != nullptr && beaten_by->content() == Content::kValue) {
    loss.winning = beaten_by->reg->value;
  }
  losses_->push_back(std::move(loss));
}

bool LossFinder::both_births(const Dot& a, const Dot& b) const {
  const auto is_birth = [&](const Dot& dot) {
    return std::find(births_.begin(), births_.end(), dot) != births_.end();
  };
  return is_birth(a) && is_birth(b);
}

}  // namespace outrigger::merge
