// Lists in a body: where they begin, and what becomes of them when something else is assigned.
//
// In a full state the path of a list has a register of its own, which holds the empty array for
// the one whose elements the list has. A row leaves it out where the container above, or the floor,
// says as much.
#include <algorithm>

#include "replication/bson/fields.h"
#include "replication/merge/body.h"
#include "replication/merge/inside.h"
#include "replication/merge/types/paths.h"

namespace outrigger::merge {
namespace {

const bson::OwnedValue kEmptyArray(bson::Type::kArray, bson::Writer().finish());

bool is_array(const std::optional<bson::Value>& value) {
  return value && value->type == bson::Type::kArray;
}

std::optional<bson::Value> value_of(const Register& reg) {
  if (reg.content == Content::kValue) return reg.value.view();
  return std::nullopt;
}

// What a governor that stands above the path holds there.
std::optional<bson::Value> value_below(const Governor& governor, const Body& body,
                                       const Path& path) {
  if (governor.reg != nullptr && governor.reg->content != Content::kDocument) return std::nullopt;
  const SharedBytes& fields = governor.reg == nullptr ? body.floor : governor.reg->fields;
  return bson::PathFinder(fields.document()).find(path, governor.depth);
}

}  // namespace

void leave_to_list(Register& reg) {
  reg.content = Content::kValue;
  reg.value = kEmptyArray;
  reg.fields = {};
}

bool is_left_to_list(const Register& reg) {
  return reg.content == Content::kValue && reg.value == kEmptyArray;
}

Dot stamp_above(const Body& body, const Path& path) {
  const Governor governor = governor_of(body, path);
  return governor.reg == nullptr ? body.floor_stamp : governor.stamp;
}

void begin_list(Body& body, const Path& path) {
  if (body.lists.contains(path)) return;
  const Governor governor = governor_of(body, path);
  List& list = body.lists[path];
  if (governor.is_own) {
    Register& own = body.registers.at(path);
    if (is_array(value_of(own))) {
      list = list_of(own.value.view());
      leave_to_list(own);
    }
    return;
  }
  const std::optional<bson::Value> value = value_below(governor, body, path);
  Register base;
  base.stamp = stamp_above(body, path);
  if (is_array(value)) {
    list = list_of(*value);
    leave_to_list(base);
  } else if (value) {
    hold(base, path, *value, governor.reg == nullptr ? body.floor : governor.reg->fields);
    if (governor.reg == nullptr && base.content == Content::kDocument) base.stamp = Dot();
  } else if (governor.reg == nullptr) {
    base.stamp = Dot();
  }
  body.registers.insert_or_assign(path, std::move(base));
}

void begin_local_list(Body& body, const PathChange& change) {
  const auto [at, is_new] = body.lists.try_emplace(change.path);
  List& list = at->second;
  const std::optional<bson::Value> before =
      change.base ? std::optional(change.base->view()) : std::nullopt;
  if (!is_new) {
    if (list.settled) take_values(list, before);
    return;
  }
  const auto own = body.registers.find(change.path);
  if (is_array(before)) {
    list = list_of(*before);
    const bool is_missing = change.base_may_be_missing && own != body.registers.end() &&
                            own->second.content == Content::kAbsent;
    if (own != body.registers.end() && !is_missing) leave_to_list(own->second);
  } else if (own == body.registers.end()) {
    Register absent;
    absent.stamp = governor_of(body, change.path).stamp;
    body.registers.emplace(change.path, std::move(absent));
  }
}

void apply_edit(Body& body, const Effect& effect, const Authorship& author) {
  begin_list(body, effect.path);
  const auto own = body.registers.find(effect.path);
  const bool knows_base = own == body.registers.end() || author.saw(own->second.stamp);
  List& list = body.lists.at(effect.path);
  edit(list, effect.edit, author, knows_base, author.removals_seen(effect.path));
  take_away(list, effect.taken, author.stamp);
}

void begin_lists_after(Body& body, const Effect& effect, const Authorship& author) {
  for_each_below(author.removals, effect.path, [&](const Path& path, const VersionVector& after) {
    const Governor governor = governor_of(body, path);
    if (effect.is_birth() || governor.stamp != author.stamp || body.lists.contains(path)) return;
    const std::optional<bson::Value> value =
        governor.is_own ? value_of(*governor.reg) : value_below(governor, body, path);
    if (!is_array(value) || value->as_document().empty()) return;
    begin_list(body, path);
    for (ListElement& each : body.lists.at(path).elements) each.after = after;
  });
}

void take_from_assigned(Body& body, const Effect& effect, const Authorship& author) {
  if (effect.taken.empty()) return;
  begin_list(body, effect.path);
  List& list = body.lists.at(effect.path);
  note_edit(list, author);
  take_away(list, effect.taken, author.stamp);
}

void apply_inside(Body& body, const Effect& effect, const Authorship& author) {
  const Path array = path_of_array(effect.path);
  begin_list(body, array);
  List& list = body.lists.at(array);
  note_edit(list, author);
  const std::optional<ElementId> id = element_named(effect.path[array.size()]);
  const auto own = body.registers.find(array);
  const bool knows_base = own == body.registers.end() || author.saw(own->second.stamp);
  ListElement* element = id ? element_meant(list, *id, author, knows_base) : nullptr;
  if (element == nullptr) return;
  apply_in_element(*element, effect, author);
  if (element->changed != author.stamp) return;
  element->after = author.removals_seen(array);
  note_removals_seen(element->after, list, author);
}

void show_insides(Body& body) {
  for (auto& [path, list] : body.lists) {
    for (ListElement& each : list.elements) show_inside(each);
  }
}

void assign_lists(Body& body, const Path& path, Register& fresh, const Authorship& author) {
  std::optional<bson::PathFinder> fields;
  auto at = body.lists.lower_bound(path);
  while (at != body.lists.end() && has_prefix(at->first, path)) {
    auto& [list_path, list] = *at;
    drop_observed(list, author);
    const auto own = body.registers.find(list_path);
    const bool stands = own != body.registers.end() && !(own->second.stamp < author.stamp);
    if (stands) {
      ++at;
      continue;
    }
    if (!has_added(list) && list.taken.empty() && list.asserted <= author.stamp) {
      at = body.lists.erase(at);
      continue;
    }
    const bool is_here = list_path.size() == path.size();
    std::optional<bson::Value> value;
    if (is_here) {
      value = value_of(fresh);
    } else if (fresh.content == Content::kDocument) {
      if (!fields) fields.emplace(fresh.fields.document());
      value = fields->find(list_path, path.size());
    }
    VersionVector after = author.removals_seen(list_path);
    note_removals_seen(after, list, author);
    assign(list, value, after);
    list.hidden = !is_array(value);  // of what an author has seen nothing else is left to show
    if (is_here) {
      if (is_array(value)) leave_to_list(fresh);
    } else {
      Register base;
      base.stamp = author.stamp;
      if (is_array(value)) {
        leave_to_list(base);
      } else if (value) {
        hold(base, list_path, *value, fresh.fields);
      }
      body.registers.insert_or_assign(list_path, std::move(base));
    }
    ++at;
  }
}

void note_removals(Authorship& author, const DocumentState& state) {
  if (state.incarnations.size() + state.gone.size() < 2) return;  // its own array tells
  for (const auto* all : {&state.incarnations, &state.gone}) {
    for (const Incarnation& each : *all) {
      for (const auto& [path, list] : each.body.lists) {
        if (!list.taken.empty()) note_removals_seen(author.removals[path], list, author);
      }
    }
  }
}

void complete_lists(Body& body) {
  for (const auto& [path, list] : body.lists) {
    if (body.registers.contains(path)) continue;
    Register base;
    base.stamp = stamp_above(body, path);
    leave_to_list(base);
    body.registers.emplace(path, std::move(base));
  }
}

void purge_lists(Body& body) {
  for (auto at = body.lists.begin(); at != body.lists.end();) {
    List& list = at->second;
    if (!list.asserted.is_zero() && list.asserted <= governor_of(body, at->first).stamp) {
      list.asserted = Dot();
    }
    at = says_nothing(list) ? body.lists.erase(at) : std::next(at);
  }
}

void join_lists(Body& joined, const std::vector<const Body*>& bodies) {
  std::map<Path, std::vector<const Body*>> holders;
  for (const Body* body : bodies) {
    for (const auto& [path, list] : body->lists) holders[path].push_back(body);
  }
  for (const auto& [path, of] : holders) {
    // Of the assigned elements, those of the register that governs now.
    const Governor governor = governor_of(joined, path);
    List list;
    bool has_base = false;
    for (const Body* body : of) {
      List part = body->lists.at(path);
      const auto own = body->registers.find(path);
      const bool governs =
          governor.is_own && own != body->registers.end() && own->second.stamp == governor.stamp;
      if (!governs) assign(part, std::nullopt);
      has_base = has_base || governs;
      join(list, part);
    }
    if (!has_base) {
      begin_list(joined, path);
      join(list, joined.lists.at(path));
    } else if (Register& own = joined.registers.at(path); is_array(value_of(own))) {
      leave_to_list(own);
    }
    joined.lists[path] = std::move(list);
  }
}

}  // namespace outrigger::merge
