#include "replication/merge/losses.h"

#include <algorithm>

namespace outrigger::merge {
namespace {

// Borrows the bytes of a container.
Register register_of(const Path& path, const bson::Value& value, const Dot& stamp) {
  Register reg;
  reg.stamp = stamp;
  set_content(reg, path, value, {});
  return reg;
}

// The fields of a value that each can lose by themselves; a value with too many is one.
template <typename Visit>
void for_each_loser(const Path& path, const bson::Value& value, const Visit& visit) {
  const bool container = value.type == bson::Type::kDocument;
  if (container && names_in_paths(value.as_document()) > kNamesTakenApartMax) {
    return visit(path, value);
  }
  Path at = path;
  for_each_leaf(at, value, visit);
}

bool shows_leaf(const Node& node) {
  return node.shows == Node::Shows::kRegister || node.shows == Node::Shows::kCounter;
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
  collect(root, path, single ? before.incarnations.front().body.floor_stamp : Dot());
}

// What the record had not seen and what shows (or, for an unset, holds) before it.
void LossFinder::collect(const Node& node, Path& path, const Dot& floor) {
  if (node.governs && unseen(node.reg->stamp)) {
    const bool unset = node.content == Content::kAbsent && node.reg->baseline.empty();
    const bool leaf = node.content == Content::kValue && shows_leaf(node);
    const bool empty_document = node.shows == Node::Shows::kDocument && node.children.empty() &&
                                node.content == Content::kDocument && node.fields.empty();
    if (leaf || (!path.empty() && (unset || empty_document))) {
      registers_.push_back({path, *node.reg});
    } else if (node.shows == Node::Shows::kDocument) {
      collect_fields(node, path, node.reg->stamp);
    }
  } else if (path.empty() && !node.governs && unseen(floor)) {
    collect_fields(node, path, floor);
  }
  if (node.shows == Node::Shows::kCounter) {
    for (const CounterEntry& entry : *node.entries) {
      if (unseen(entry.newest())) counters_.push_back({path, entry});
    }
  }
  if (node.shows != Node::Shows::kDocument) return;
  for (const Node& child : node.children) {
    path.emplace_back(child.name);
    collect(child, path, floor);
    path.pop_back();
  }
}

// Fields that stand in the bytes of a node and have no register of their own.
void LossFinder::collect_fields(const Node& node, Path& path, const Dot& stamp) {
  if (node.content != Content::kDocument) return;
  if (names_in_paths(node.fields) > kNamesTakenApartMax) {
    return contest(path, {bson::Type::kDocument, node.fields.bytes()}, stamp);
  }
  for (const bson::Element& field : node.fields) {
    const Node* child = node.child(field.name);
    if (child != nullptr && child->governs) continue;
    path.emplace_back(field.name);
    if (child == nullptr) {
      for_each_leaf(path, field.value,
                    [&](const Path& at, const bson::Value& value) { contest(at, value, stamp); });
    } else if (child->shows == Node::Shows::kDocument) {
      collect_fields(*child, path, stamp);
    } else if (child->shows == Node::Shows::kRegister) {
      contest(path, child->value, stamp);
    }
    path.pop_back();
  }
}

// `value` lies in the state before, which the merge changes before it is compared.
void LossFinder::contest(const Path& path, const bson::Value& value, const Dot& stamp) {
  Register reg = register_of(path, value, stamp);
  if (reg.content == Content::kDocument) reg.fields = SharedBytes::of(reg.fields.bytes);
  registers_.push_back({path, std::move(reg)});
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
    for (const CounterEntry& entry : entries) consider(entry.newest());
  }
  for (const auto& [path, stamp] : body.asserted) consider(stamp);
  removed_ = true;
  if (newest.is_zero()) return;
  Loss loss;
  loss.kind = LossKind::kDeleteUpdate;
  loss.shape = Shape::kDocument;
  loss.value = bson::make_document(document_of(before).value_or(std::string()));
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
    if (effect.kind == Operation::kIncrement) {
      loss.value = effect.entry.sum;
    } else if (effect.kind == Operation::kUnset) {
      loss.shape = Shape::kAbsent;
    } else if (effect.kind == Operation::kAssign) {
      const bool document = is_container(effect.value.view(), effect.path);
      loss.shape = document ? Shape::kDocument : Shape::kValue;
      loss.value = effect.value;
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
  const Dot dot = record_.dot();
  for (const Effect& effect : effects_.effects) {
    if (!well_formed(effect, dot, effects_.id) || effect.kind == Operation::kRemove) continue;
    if (effect.kind == Operation::kIncrement) {
      CounterEntry entry = effect.entry;
      entry.last = record_.hlc;
      check_counter(root, effect.path, entry);
    } else if (effect.kind == Operation::kUnset) {
      Register unset;
      unset.stamp = dot;
      check_register(root, effect.path, unset);
    } else {
      for_each_loser(effect.path, effect.value.view(),
                     [&](const Path& at, const bson::Value& value) {
                       check_register(root, at, register_of(at, value, dot));
                     });
    }
  }
}

LossFinder::Place LossFinder::look(const Node& root, const Path& path, const Dot& stamp) {
  Place place;
  const Node* node = &root;
  for (const std::string& name : path) {
    bson::Document fields;
    if (node != nullptr) {
      if (place.leaf == nullptr && shows_leaf(*node)) place.leaf = node;
      if (node->governs) place.governor = node;
      if (node->governs && node->reg->stamp > stamp) place.newer = node;
      if (node->content == Content::kDocument) fields = node->fields;
      node = node->child(name);
    } else if (place.value && place.value->type == bson::Type::kDocument) {
      fields = place.value->as_document();
    }
    place.value.reset();
    if (node != nullptr) continue;  // it holds what it would find there
    auto& finder = finders_.try_emplace(fields.bytes().data(), fields).first->second;
    place.value = finder.find(name);
  }
  place.node = node;
  if (node != nullptr && !node->governs) {
    if (node->content == Content::kValue) place.value = node->value;
    if (node->content == Content::kDocument) {
      place.value = bson::Value{bson::Type::kDocument, node->fields.bytes()};
    }
  }
  return place;
}

// Has another write to the path itself won? What was assigned with a container above counts too.
bool LossFinder::is_beaten(const Place& place, const Path& path, const Register& reg) {
  Register winner;
  if (place.node != nullptr && place.node->reg != nullptr && place.node->reg->stamp > reg.stamp) {
    winner = *place.node->reg;
  } else if (place.newer != nullptr && place.newer == place.governor && place.value) {
    winner = register_of(path, *place.value, place.newer->reg->stamp);
  } else {
    return false;
  }
  if (winner.content == reg.content && winner.value == reg.value) return true;  // nothing differs
  const bson::Value value = winner.value.view();
  report(between(reg.stamp, winner.stamp, LossKind::kSetSet), path, reg, winner.stamp,
         winner.content == Content::kValue ? &value : nullptr);
  return true;
}

// Does a write to `path` still stand? Its own register must govern and must not be hidden.
void LossFinder::check_register(const Node& root, const Path& path, const Register& reg) {
  const Place place = look(root, path, reg.stamp);
  if (is_beaten(place, path, reg)) return;
  if (reg.content == Content::kAbsent) return;  // gone with its container either way
  const Node* node = place.node;
  const auto beaten_by = [&](const Node& by, const Dot& stamp, LossKind kind) {
    const bool tells = by.content == Content::kValue;
    report(kind, path, reg, stamp, tells ? &by.value : nullptr);
  };
  if (place.newer != nullptr) {
    const Dot& stamp = place.newer->reg->stamp;
    beaten_by(*place.newer, stamp, between(reg.stamp, stamp, LossKind::kContainer));
  } else if (place.leaf != nullptr) {
    beaten_by(*place.leaf, place.leaf->stamp, LossKind::kContainer);
  } else if (node != nullptr && node->reg != nullptr && node->shows == Node::Shows::kDocument &&
             reg.content == Content::kValue) {
    report(LossKind::kContainer, path, reg, node->asserted, nullptr);
  }
}

void LossFinder::check_counter(const Node& root, const Path& path, const CounterEntry& entry) {
  const Place place = look(root, path, entry.newest());
  const Node* node = place.node;
  if (node == nullptr || node->entries == nullptr) return;
  const CounterEntry* kept = find_entry(*node->entries, entry.first);
  if (kept == nullptr) return;
  if (node->governs) {
    const CounterEntry* seen = find_entry(node->reg->baseline, entry.first);
    if (seen != nullptr && seen->last >= entry.last) return;  // overwritten by one who had seen it
  }
  const Node* hider = place.leaf;
  if (hider == nullptr && node->shows != Node::Shows::kCounter) hider = node;
  if (hider == nullptr) return;
  Loss loss;
  loss.kind = LossKind::kHiddenCounter;
  loss.path = path;
  loss.value = gained(*node, entry);
  loss.loser = entry.newest();
  loss.winner = std::max(hider->stamp, hider->asserted);
  if (hider->shows == Node::Shows::kRegister) loss.winning = bson::OwnedValue(hider->value);
  losses_->push_back(std::move(loss));
}

void LossFinder::report(LossKind kind, const Path& path, const Register& reg, const Dot& winner,
                        const bson::Value* winning) {
  Loss loss;
  loss.kind = kind;
  loss.path = path;
  loss.loser = reg.stamp;
  loss.winner = winner;
  if (reg.content == Content::kAbsent) loss.shape = Shape::kAbsent;
  if (reg.content == Content::kDocument) {
    loss.shape = Shape::kDocument;
    loss.value = bson::make_document(std::string(reg.fields.document().bytes()));
  }
  if (reg.content == Content::kValue) loss.value = reg.value;
  if (winning != nullptr) loss.winning = bson::OwnedValue(*winning);
  losses_->push_back(std::move(loss));
}

LossKind LossFinder::between(const Dot& loser, const Dot& winner, LossKind otherwise) const {
  const auto is_birth = [&](const Dot& dot) {
    return std::find(births_.begin(), births_.end(), dot) != births_.end();
  };
  return is_birth(loser) && is_birth(winner) ? LossKind::kInsertInsert : otherwise;
}

}  // namespace outrigger::merge
