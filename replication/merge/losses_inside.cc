#include "replication/merge/losses_inside.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "replication/merge/losses.h"
#include "replication/merge/types/decompose.h"

namespace outrigger::merge {
namespace {

// Of one element in one entry of the ledger.
constexpr size_t kBesideBytesMax = 1024;
constexpr size_t kBesideFieldMax = 128;

DocumentState as_document(const ListElement& element) {
  DocumentState state;
  Incarnation& only = state.incarnations.emplace_back();
  only.births.emplace_back();
  only.body = body_in(element);
  state.full = true;
  return state;
}

bool shows_it(const ElementLosses::Seen& array) {
  return array.node != nullptr && array.node->list != nullptr &&
         array.hider->shows == Node::Shows::kList;
}

// The small fields of an element in which nothing was lost now: a person who chooses later does not
// mean another element, though it have the same name.
bson::OwnedValue beside_losses(const ListElement& element, const std::vector<Loss>& lost) {
  bson::Writer out;
  if (lost.empty()) return bson::make_document(out.finish());
  size_t room = kBesideBytesMax;
  const bson::Value value = element.value.view();
  std::set<std::string_view> lost_in;  // names of fields
  for (const Loss& each : lost) {
    if (each.path.size() > 1) lost_in.insert(each.path[1]);
  }
  const bson::Document fields =
      value.type == bson::Type::kDocument ? value.as_document() : bson::Document();
  for (const bson::Element& field : fields) {
    const size_t bytes = field.name.size() + field.value.bytes.size();
    if (bytes > room || bytes > kBesideFieldMax || lost_in.contains(field.name)) continue;
    room -= bytes;
    out.element(field);
  }
  return bson::make_document(out.finish());
}

Dot hidden_by(const ElementLosses::Seen& array, const Dot& otherwise) {
  return array.hider == nullptr ? otherwise : std::max(array.hider->stamp, array.hider->asserted);
}

}  // namespace

std::vector<std::pair<ElementId, bson::OwnedValue>> values_of(const ListEdit& edit) {
  std::vector<std::pair<ElementId, bson::OwnedValue>> values;
  for (const ChangedElement& each : edit.changed) values.emplace_back(each.id, each.value);
  for (const AddedElement& each : edit.added) {
    values.emplace_back(each.place.back().id, each.value);
  }
  return values;
}

ElementLosses::ElementLosses(const Record& record, const DocumentEffects& effects,
                             std::vector<Loss>* losses)
    : record_(record), effects_(effects), losses_(losses) {}

ElementLosses::~ElementLosses() = default;

void ElementLosses::collect(const List& list, const Path& path) {
  if (!list.taken.empty()) {
    const TakenValues taken(list);
    for (const ListElement& each : list.elements) {
      if (taken.has(each)) lost_before_.emplace(path, each.id());
    }
  }
  for (const size_t i : shown_of(list)) {
    const ListElement& each = list.elements[i];
    Dot stamp = each.changed.is_zero() ? each.id().dot : each.changed;
    if (each.inside != nullptr) {
      each.inside->for_each_stamp([&](const Dot& dot, bool) {
        if (unseen(dot) && (!unseen(stamp) || stamp < dot)) stamp = dot;
      });
    }
    if (unseen(stamp)) contested_.push_back({path, each.id(), each.value, stamp, each.inside});
  }
}

// What the record does in elements, array by array.
void ElementLosses::collect_insides(const Body& body) {
  if (body.lists.empty()) return;
  std::map<Path, std::map<ElementId, DocumentEffects>> into;
  for (const Effect& effect : effects_.effects) {
    if (!well_formed(effect, record_.dot(), effects_.id)) continue;
    if (is_into_element(effect.path)) {
      const auto id = element_named(effect.path[element_in(effect.path)]);
      into[path_of_array(effect.path)][*id].effects.push_back(effect_in_element(effect));
    }
    if (effect.kind != Operation::kEdit) continue;
    const auto list = body.lists.find(effect.path);
    if (list == body.lists.end()) continue;
    for (const ChangedElement& each : effect.edit.changed) {
      const ListElement* element = find_element(list->second, each.id);
      if (element == nullptr || element->inside == nullptr) continue;
      Effect& whole = into[effect.path][each.id].effects.emplace_back();
      whole.path = {""};
      whole.value = each.value;
    }
  }
  for (auto& [path, elements] : into) {
    const auto list = body.lists.find(path);
    if (list == body.lists.end()) continue;
    const bool knows_base = !unseen(stamp_above(body, path));
    for (auto& [id, effects] : elements) {
      const ListElement* element = find_element(list->second, id);
      const bool is_meant = !id.dot.is_zero() || knows_base;
      if (element != nullptr && is_meant) collect_inside(path, *element, std::move(effects));
    }
  }
}

void ElementLosses::collect_inside(const Path& path, const ListElement& element,
                                   DocumentEffects effects) {
  Written& inside = written_.emplace_back();
  looked_into_.emplace(path, element.id());
  inside.path = path;
  inside.id = element.id();
  inside.before = as_document(element);
  inside.effects = std::move(effects);
  inside.finder =
      std::make_unique<LossFinder>(inside.before, record_, inside.effects, &inside.lost);
}

bool ElementLosses::is_looked_into(const Path& path, const ElementId& id) const {
  return looked_into_.contains({path, id});
}

void ElementLosses::check_insides(const Body& body) {
  for (Written& each : written_) {
    const auto list = body.lists.find(each.path);
    if (list == body.lists.end()) continue;
    const ListElement* element = find_element(list->second, each.id);
    if (element == nullptr) continue;
    each.finder->finish(as_document(*element));
    const bson::OwnedValue beside = beside_losses(*element, each.lost);
    for (Loss& loss : each.lost) {
      loss.is_element = loss.path.size() < 2;
      if (!loss.is_element) loss.beside = beside;
      loss.path = loss.is_element ? each.path : path_of_inside(each.path, each.id, loss.path);
      losses_->push_back(std::move(loss));
    }
  }
}

void ElementLosses::check_taken(const Seen& array, const Path& path, const List& list) {
  if (!shows_it(array)) return;  // it is what the array lost to
  const TakenValues taken(list);
  for (const ListElement& each : list.elements) {
    const std::vector<Dot> against = taken.against(each);
    if (against.empty()) continue;
    const Dot named = each.id().dot.is_zero() ? array.node->stamp : each.id().dot;
    const Dot giver = each.changed.is_zero() ? named : each.changed;
    const bool is_brought = giver == record_.dot();
    const bool is_first = against.size() == 1 && against.front() == record_.dot() &&
                          !lost_before_.contains({path, each.id()});
    if (!is_brought && !(is_first && unseen(giver))) continue;
    Loss& loss = losses_->emplace_back();
    loss.kind = LossKind::kDeleteUpdate;
    loss.path = path;
    loss.value = each.value;
    loss.loser = giver;
    loss.winner = *std::max_element(against.begin(), against.end());
    loss.is_element = true;
    loss.removal_wins = true;
  }
}

void ElementLosses::check_inside(const Seen& array, const Effect& effect) {
  std::optional<Loss> loss = brought_by(effect, record_.dot());
  if (!loss) return;
  const Node* node = array.node;
  if (!shows_it(array)) {
    loss->kind = LossKind::kContainer;
    loss->winner = hidden_by(array, record_.dot());
  } else {
    const auto id = element_named(effect.path[element_in(effect.path)]);
    const bool is_of_other = id && id->dot.is_zero() && unseen(node->stamp);
    if (id && !is_of_other && find_element(*node->list, *id) != nullptr) return;
    if (is_of_other) loss->kind = LossKind::kContainer;
    loss->winner = is_of_other ? node->stamp : std::max(node->stamp, node->list->asserted);
  }
  losses_->push_back(*std::move(loss));
}

void ElementLosses::check_edit(const Seen& array, const Effect& effect) {
  for (auto& [id, value] : values_of(effect.edit)) {
    if (is_looked_into(effect.path, id)) continue;
    check(array, {effect.path, id, std::move(value), record_.dot()}, Dot());
  }
}

void ElementLosses::check(const Seen& array, const Contested& contested, const Dot& winner) {
  Loss loss;
  loss.path = contested.path;
  loss.value = contested.value;
  loss.loser = contested.stamp;
  loss.is_element = true;
  const Node* node = array.node;
  const auto lose = [&](LossKind kind, const Dot& to) {
    loss.kind = kind;
    loss.winner = to;
    losses_->push_back(std::move(loss));
  };
  if (!shows_it(array)) return lose(LossKind::kContainer, hidden_by(array, record_.dot()));
  const bool is_of_other = contested.id.dot.is_zero() && node->stamp == record_.dot();
  if (contested.inside != nullptr && is_of_other) return lose(LossKind::kContainer, node->stamp);
  const ListElement* at = find_element(*node->list, contested.id);
  if (at == nullptr) {
    const Dot last = std::max(node->stamp, node->list->asserted);
    return lose(LossKind::kDeleteUpdate, winner.is_zero() ? last : winner);
  }
  // See check_taken.
  const bool is_same = (at->changed.is_zero() ? at->id().dot : at->changed) == contested.stamp;
  if (is_same && TakenValues(*node->list).has(*at)) return;
  // See check_insides.
  if (contested.inside != nullptr || is_looked_into(contested.path, contested.id)) return;
  const Dot stamp = at->changed.is_zero() ? at->id().dot : at->changed;
  if (stamp == contested.stamp || at->value == contested.value) return;
  loss.winning = at->value;
  // Unchanged, it is of another array, which was assigned since.
  lose(LossKind::kSetSet, stamp < contested.stamp ? node->stamp : stamp);
}

}  // namespace outrigger::merge
