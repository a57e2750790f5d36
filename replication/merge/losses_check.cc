// The second half of finding what lost: does what was contested, and what the record brought, still
// show after the merge?
#include <algorithm>

#include "replication/merge/losses.h"
#include "replication/merge/types/decompose.h"
#include "replication/record/path.h"

namespace outrigger::merge {
namespace {

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

// A part of a value that the record gives by a rule, too, beside that of a container above.
bool is_told_by_rule(const Node& root, const Path& path, const Dot& record) {
  const Node* node = &root;
  for (const std::string& name : path) {
    node = node->child(name);
    if (node == nullptr) return false;
    if (node->contest == nullptr) continue;
    const auto& all = node->contest->contenders;
    return std::any_of(all.begin(), all.end(),
                       [&](const Contender& each) { return each.dot == record; });
  }
  return false;
}

// Do fields or elements show where a value stands that has none?
bool is_over(const Node& node, const Register& reg) {
  if (node.shows == Node::Shows::kList) return reg.value.type != bson::Type::kArray;
  return node.shows == Node::Shows::kDocument;
}

bool still_holds(const DocumentState& state, const Dot& dot) {
  return std::any_of(
      state.incarnations.begin(), state.incarnations.end(), [&](const Incarnation& each) {
        bool holds = each.body.floor_stamp == dot ||
                     std::find(each.births.begin(), each.births.end(), dot) != each.births.end();
        for (const auto& [path, reg] : each.body.registers) holds = holds || reg.stamp == dot;
        for (const auto& [path, contest] : each.body.contests) {
          for_each_stamp(contest, [&](const Dot& stamp, bool) { holds = holds || stamp == dot; });
        }
        return holds;
      });
}

bool is_at(const bson::Document& shown, const Path& path, const bson::OwnedValue& value) {
  const auto at = bson::PathFinder(shown).find(path);
  return at && *at == value.view();
}

bool replaces(const Touched& touched, const Loss& loss) {
  const VersionVector& seen = touched.record->deps;
  const bool knew_both = loss.winner == touched.record->dot() || seen.covers(loss.winner);
  if (!seen.covers(loss.loser) || knew_both) return false;
  const auto& all = touched.effects->effects;
  return std::any_of(all.begin(), all.end(), [&](const Effect& each) {
    if (each.kind == Operation::kRemove) return each.removal == Removal::kPlain;
    const bool gives = each.kind == Operation::kAssign || each.kind == Operation::kUnset;
    return gives && has_prefix(loss.path, each.path);
  });
}

}  // namespace

// What a removal took is a whole, with values of several authors; elements come and go by name.
void leave_out_overtaken(std::vector<Loss>& losses, const std::vector<Touched>& touched,
                         const DocumentState& after, const std::optional<std::string>& shown) {
  if (touched.size() < 2) return;
  std::erase_if(losses, [&](const Loss& loss) {
    const bool is_plain = loss.kind == LossKind::kSetSet || loss.kind == LossKind::kInsertInsert ||
                          loss.kind == LossKind::kContainer;
    if (!is_plain || loss.is_element || is_into_element(loss.path)) return false;
    const bool stands = loss.shape != Shape::kAbsent && shown &&
                        is_at(bson::Document(*shown), loss.path, loss.value) &&
                        still_holds(after, loss.loser);
    return stands || std::any_of(touched.begin(), touched.end(),
                                 [&](const Touched& each) { return replaces(each, loss); });
  });
}

void LossFinder::check_new(const Node& root) {
  const Dot dot = record_.dot();
  for (const Effect& effect : effects_.effects) {
    if (!well_formed(effect, dot, effects_.id) || effect.kind == Operation::kRemove) continue;
    if (effect.is_version && check_version(root, dot, effect.value.bytes)) continue;
    if (is_into_element(effect.path)) {
      elements_.check_inside(look_at_array(root, path_of_array(effect.path), dot), effect);
    } else if (effect.kind == Operation::kIncrement) {
      CounterEntry entry = effect.entry;
      entry.last = record_.hlc;
      check_counter(root, effect.path, entry);
    } else if (effect.kind == Operation::kEdit) {
      elements_.check_edit(look_at_array(root, effect.path, dot), effect);
    } else if (effect.kind == Operation::kUnset || effect.rule.is_contest()) {
      Register whole;
      whole.stamp = dot;
      if (effect.kind == Operation::kAssign) {
        whole.content = Content::kValue;
        whole.value = effect.value;
      }
      check_register(root, effect.path, whole);
    } else {
      for_each_loser(effect.path, effect.value.view(),
                     [&](const Path& at, const bson::Value& value) {
                       if (is_told_by_rule(root, at, dot)) return;
                       check_register(root, at, register_of(at, value, dot));
                     });
    }
  }
}

ElementLosses::Seen LossFinder::look_at_array(const Node& root, const Path& path,
                                              const Dot& stamp) {
  const Place place = look(root, path, stamp);
  return {place.node, place.leaf != nullptr ? place.leaf : place.node};
}

LossFinder::Place LossFinder::look(const Node& root, const Path& path, const Dot& stamp) {
  Place place;
  const Node* node = &root;
  for (const std::string& name : path) {
    bson::Document fields;
    if (node != nullptr) {
      if (place.leaf == nullptr && node->shows_leaf()) place.leaf = node;
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
    if (place.node->shows == Node::Shows::kList) winner.value = place.node->array;
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

// As it was written: what came into it since is looked for by itself.
bool LossFinder::check_version(const Node& root, const Dot& stamp, bson::Bytes given) {
  if (!root.governs || root.reg->stamp <= stamp) return false;
  const Register& winner = *root.reg;
  const bool is_equal = winner.is_version && winner.given.bytes == given;
  const LossKind kind = between(stamp, winner.stamp, LossKind::kSetSet);
  const Register loser = register_of({}, {bson::Type::kDocument, given}, stamp);
  if (!is_equal) report(kind, {}, loser, winner.stamp, nullptr);
  return true;
}

bool LossFinder::check_contest(const Place& place, const Path& path, const Register& reg) {
  const Node* node = place.node;
  if (node == nullptr || node->chosen == nullptr) return false;
  const Contender& chosen = *node->chosen;
  if (place.leaf != nullptr) {
    const bool tells = place.leaf->content == Content::kValue;
    report(LossKind::kContainer, path, reg, place.leaf->stamp,
           tells ? &place.leaf->value : nullptr);
    return true;
  }
  if (chosen.dot == reg.stamp) return true;
  if (node->is_union && has_given(*node->contest, reg.stamp)) return true;
  const bool is_absent = reg.content == Content::kAbsent;
  if (chosen.absent == is_absent && (is_absent || chosen.value == reg.value)) return true;
  const bson::Value value = chosen.value.view();
  const ContestRule& rule = node->contest->contenders.back().rule;
  const bool unites = rule.kind == ContestKind::kUnion && !is_absent && !chosen.absent;
  if (unites && compare_values(value, reg.value.view()) == 0) return true;
  report(LossKind::kSetSet, path, reg, chosen.dot, chosen.absent ? nullptr : &value, rule);
  return true;
}

// Does a write to `path` still stand? Its own register must govern and must not be hidden.
void LossFinder::check_register(const Node& root, const Path& path, const Register& reg) {
  const Place place = look(root, path, reg.stamp);
  if (check_contest(place, path, reg)) return;
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
  } else if (node != nullptr && reg.content == Content::kValue && is_over(*node, reg)) {
    const Dot below = node->list == nullptr ? Dot() : node->list->asserted;
    report(LossKind::kContainer, path, reg, std::max(node->asserted, below), nullptr);
  }
}

void LossFinder::check_counter(const Node& root, const Path& path, const CounterEntry& entry) {
  const Place place = look(root, path, entry.newest());
  const Node* node = place.node;
  if (node == nullptr || node->entries == nullptr) return;
  const CounterEntries& baseline = node->baseline();
  if (!still_counts(entry, *node->entries, baseline)) return;  // overwritten by one who had seen it
  const Node* hider = place.leaf;
  if (hider == nullptr && node->shows != Node::Shows::kCounter) hider = node;
  if (hider == nullptr) return;
  Loss loss;
  loss.kind = LossKind::kHiddenCounter;
  loss.path = path;
  loss.value = gained(entry, baseline).value_or(entry.sum);
  loss.loser = entry.newest();
  loss.winner = std::max(hider->stamp, hider->asserted);
  if (hider->shows == Node::Shows::kRegister) loss.winning = bson::OwnedValue(hider->value);
  losses_->push_back(std::move(loss));
}

void LossFinder::report(LossKind kind, const Path& path, const Register& reg, const Dot& winner,
                        const bson::Value* winning, const ContestRule& rule) {
  Loss loss;
  loss.kind = kind;
  loss.rule = rule;
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
