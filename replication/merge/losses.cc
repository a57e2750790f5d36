#include "replication/merge/losses.h"

#include <algorithm>

#include "replication/merge/types/decompose.h"

namespace outrigger::merge {
namespace {

Register as_register(const Contender& contender) {
  Register reg;
  reg.stamp = contender.dot;
  if (contender.absent) return reg;
  reg.content = Content::kValue;
  reg.value = contender.value;
  return reg;
}

// An effect that found no document to act on.
void note_discarded(const Effect& effect, const Dot& dot, std::vector<Loss>& losses) {
  if (effect.kind == Operation::kEdit) {
    for (const auto& [id, value] : values_of(effect.edit)) {
      Loss& lost = losses.emplace_back();
      lost.kind = LossKind::kDeleteUpdate;
      lost.path = effect.path;
      lost.value = value;
      lost.loser = dot;
      lost.is_element = true;
    }
    return;
  }
  if (auto loss = brought_by(effect, dot)) losses.push_back(*std::move(loss));
}

}  // namespace

std::optional<Loss> brought_by(const Effect& effect, const Dot& dot) {
  Loss loss;
  loss.kind = LossKind::kDeleteUpdate;
  loss.path = effect.path;
  loss.loser = dot;
  if (effect.kind == Operation::kIncrement) {
    loss.value = effect.entry.sum;
  } else if (effect.kind == Operation::kUnset) {
    loss.shape = Shape::kAbsent;
  } else if (effect.kind == Operation::kAssign) {
    const bool document = is_container(effect.value.view(), effect.path);
    loss.shape = document ? Shape::kDocument : Shape::kValue;
    loss.value = effect.value;
  } else {
    return std::nullopt;
  }
  return loss;
}

LossFinder::LossFinder(const DocumentState& before, const Record& record,
                       const DocumentEffects& effects, std::vector<Loss>* losses)
    : record_(record), effects_(effects), losses_(losses), elements_(record, effects, losses) {
  if (losses_ == nullptr || before.incarnations.empty()) return;
  concurrent_ = !record_.deps.includes(stamps(before));
  if (!concurrent_) return;
  const WholeBody body(before);
  const Node root = view_tree(*body);
  if (root.governs && root.reg->is_version && unseen(root.reg->stamp)) version_ = *root.reg;
  Path path;
  collect(root, path, body->floor_stamp);
  elements_.collect_insides(*body);
}

// What the record had not seen and what shows (or, for an unset, holds) before it.
void LossFinder::collect(const Node& node, Path& path, const Dot& floor) {
  if (node.chosen != nullptr) {
    for (const Contender& each : node.contest->contenders) {
      const bool shows = node.is_union ? !each.absent : &each == node.chosen;
      if (shows && unseen(each.dot)) registers_.push_back({path, as_register(each)});
    }
    return;
  }
  if (node.shows == Node::Shows::kList) {
    elements_.collect(*node.list, path);
    if (node.governs && unseen(node.reg->stamp) && node.content == Content::kValue) {
      contest(path, node.value, node.reg->stamp);
    }
  } else if (node.governs && unseen(node.reg->stamp)) {
    const bool unset = node.content == Content::kAbsent && node.reg->baseline.empty();
    const bool leaf = node.content == Content::kValue && node.shows_leaf();
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
    } else if (child->chosen != nullptr) {
      // By itself.
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

// Borrows the bytes of a container.
Register LossFinder::register_of(const Path& path, const bson::Value& value, const Dot& stamp) {
  Register reg;
  reg.stamp = stamp;
  hold(reg, path, value, {});
  return reg;
}

void LossFinder::removed(const DocumentState& before, const Incarnation& incarnation) {
  if (losses_ == nullptr || !concurrent_) return;
  Dot newest;
  const Body& body = incarnation.body;
  auto consider = [&](const Dot& dot) {
    if (unseen(dot)) newest = std::max(newest, dot);
    removed_.insert(dot);
  };
  removed_.insert(incarnation.births.begin(), incarnation.births.end());
  removed_.insert(body.floor_stamp);
  for (const auto& [path, reg] : body.registers) consider(reg.stamp);
  for (const auto& [path, entries] : body.counters) {
    for (const CounterEntry& entry : entries) consider(entry.newest());
  }
  const auto consider_each = [&](const Dot& stamp, bool) { consider(stamp); };
  for (const auto& [path, list] : body.lists) for_each_stamp(list, consider_each);
  for (const auto& [path, contest] : body.contests) for_each_stamp(contest, consider_each);
  for (const auto& [path, stamp] : body.asserted) consider(stamp);
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
  for (const Effect& effect : effects_.effects) note_discarded(effect, record_.dot(), *losses_);
}

void LossFinder::finish(const DocumentState& after) {
  if (losses_ == nullptr || !concurrent_ || after.incarnations.empty()) return;
  for (const Incarnation& incarnation : after.incarnations) {
    births_.insert(births_.end(), incarnation.births.begin(), incarnation.births.end());
    for (const auto& [path, reg] : incarnation.body.registers) removed_.erase(reg.stamp);
    for (const auto& [path, list] : incarnation.body.lists) {
      for_each_stamp(list, [&](const Dot& stamp, bool) { removed_.erase(stamp); });
    }
    for (const auto& [path, contest] : incarnation.body.contests) {
      for_each_stamp(contest, [&](const Dot& stamp, bool) { removed_.erase(stamp); });
    }
  }
  for (const Dot& birth : births_) removed_.erase(birth);
  const WholeBody body(after);
  const Node root = view_tree(*body);
  // What a removal took along was reported as a whole. So is a version.
  if (version_ && !removed_.contains(version_->stamp) &&
      check_version(root, version_->stamp, version_->given.bytes)) {
    removed_.insert(version_->stamp);
  }
  for (const Contested& old : registers_) {
    if (!removed_.contains(old.reg.stamp)) check_register(root, old.path, old.reg);
  }
  for (const ContestedCounter& old : counters_) {
    if (!removed_.contains(old.entry.newest())) check_counter(root, old.path, old.entry);
  }
  for (const ElementLosses::Contested& old : elements_.contested()) {
    if (removed_.contains(old.stamp)) continue;
    elements_.check(look_at_array(root, old.path, old.stamp), old, record_.dot());
  }
  elements_.check_insides(*body);
  for (const auto& [path, list] : body->lists) {
    if (list.taken.empty()) continue;
    elements_.check_taken(look_at_array(root, path, record_.dot()), path, list);
  }
  check_new(root);
}

}  // namespace outrigger::merge
