// What an update did, by the document before and after it.
#include <charconv>
#include <set>

#include "proxy/capture/shape/update_shape.h"
#include "replication/bson/fields.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

PathChange set_change(Path path, const Value& value) {
  PathChange change;
  change.kind = Operation::kAssign;
  change.path = std::move(path);
  change.value = bson::OwnedValue(value);
  return change;
}

PathChange unset_change(Path path) {
  PathChange change;
  change.kind = Operation::kUnset;
  change.path = std::move(path);
  return change;
}

// Where an array is on the way the whole array is the change, where a container is missing there is
// none.
std::optional<PathChange> change_at(bson::PathFinder& after, Path path) {
  if (path.front() == "_id") path.resize(1);  // it is one value
  const bson::PathFinder::Reached reached = after.walk(path);
  const bool whole = reached.names == path.size();
  if (!reached.value) return whole ? std::optional(unset_change(path)) : std::nullopt;
  if (!whole && reached.value->type != Type::kArray) return std::nullopt;
  Path here(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(reached.names));
  return set_change(std::move(here), *reached.value);
}

// By a field of theirs; without one, by all that is in them.
bool are_told_apart(const Value& before, const Value& after, std::string_view key) {
  if (key.empty()) return before.type == Type::kArray && after.type == Type::kArray;
  return bson::is_keyed_by(before, key) && bson::is_keyed_by(after, key);
}

void say_edit(PathChange& change, ArrayEdit how, const std::optional<Value>& before) {
  change.kind = Operation::kEdit;
  change.base_known = true;
  change.edit = how;
  if (before) change.base = bson::OwnedValue(*before);
}

// An array of which only elements were edited: at the end of the path, or on the way.
void say_edit(PathChange& change, const UpdateShape::Edit& edit, ArrayEdit how,
              const std::optional<Document>& before) {
  if (change.kind != Operation::kAssign || change.value.type != Type::kArray) return;
  if (!edit.appends) {
    if (!before) return;
    const auto was = bson::PathFinder(*before).find(change.path);
    const bool told_apart = was && are_told_apart(*was, change.value.view(), edit.key);
    if (edit.is_given && !told_apart) return;
    if (told_apart) change.key = edit.key;
    if (!was || was->type == Type::kArray) say_edit(change, how, was);
    return;
  }
  std::vector<Value> all;
  for (const Element& each : change.value.view().as_document()) all.push_back(each.value);
  const size_t more = edit.appends->size();
  if (all.size() < more) return;
  if (before && all.size() == more) {
    const auto was = bson::PathFinder(*before).find(change.path);
    if (!was || was->type == Type::kArray) say_edit(change, how, was);
    return;
  }
  bson::Writer out;
  for (size_t i = 0; i + more < all.size(); ++i) out.value(bson::index_name(i), all[i]);
  const std::string was = out.finish();
  say_edit(change, how, Value{Type::kArray, was});
  change.base_may_be_missing = all.size() == more;
}

// What the operators named in the elements of the array that was edited in place.
void say_parts(PathChange& change, const UpdateShape& shape) {
  if (change.kind != Operation::kEdit || change.edit != ArrayEdit::kInPlace) return;
  const auto begin = static_cast<ptrdiff_t>(change.path.size());
  for (const UpdateShape::InArray& each : shape.in_arrays) {
    if (each.path.size() <= change.path.size() || !has_prefix(each.path, change.path)) continue;
    ElementPart& part = change.parts.emplace_back();
    const std::string& name = each.path[change.path.size()];
    uint32_t position = 0;
    const char* const end = name.data() + name.size();
    const auto [last, wrong] = std::from_chars(name.data(), end, position);
    if (wrong == std::errc{} && last == end) part.position = position;
    const Path below(each.path.begin() + begin + 1, each.path.end());
    part.path = in_front_of_position(below);
    if (each.delta && part.path.size() == below.size()) part.delta = bson::OwnedValue(*each.delta);
  }
}

// A number to which one was added.
void say_increment(PathChange& change, const Value& delta, const Document& before) {
  if (change.kind != Operation::kAssign || !change.value.view().is_number()) return;
  const auto was = bson::PathFinder(before).find(change.path);
  if (was && !was->is_number()) return;
  change.kind = Operation::kIncrement;
  change.value = bson::OwnedValue(delta);
  change.base_known = true;
  if (was) change.base = bson::OwnedValue(*was);
}

void diff_level(const Document& before, const Document& after, Path& path,
                std::vector<PathChange>& out) {
  bson::FieldFinder old_fields(before);
  for (const Element& field : after) {
    const auto old = old_fields.find(field.name);
    if (old && *old == field.value) continue;
    path.emplace_back(field.name);
    const bool inside = old && old->type == Type::kDocument &&
                        field.value.type == Type::kDocument && path != Path{"_id"};
    if (inside) {
      diff_level(old->as_document(), field.value.as_document(), path, out);
    } else {
      PathChange& change = out.emplace_back(set_change(path, field.value));
      const bool edits = old && old->type == Type::kArray && field.value.type == Type::kArray;
      if (edits) say_edit(change, ArrayEdit::kComputed, *old);
    }
    path.pop_back();
  }
  bson::FieldFinder new_fields(after);
  for (const Element& field : before) {
    if (new_fields.find(field.name)) continue;
    path.emplace_back(field.name);
    out.push_back(unset_change(path));
    path.pop_back();
  }
}

// Of an array before and after, nobody says what was done to it.
void tell_elements_apart(PathChange& change, const PathRuling& ruling) {
  const bool is_computed = change.kind == Operation::kEdit && change.edit == ArrayEdit::kComputed;
  if (!is_computed || !change.base || ruling.depth != change.path.size()) return;
  if (ruling.type == PathType::kSet) {
    change.edit = ArrayEdit::kAddsSet;
    return;
  }
  const std::string_view key = element_key_of(ruling);
  if (key.empty() || !are_told_apart(change.base->view(), change.value.view(), key)) return;
  change.edit = ArrayEdit::kKeyed;
  change.key = key;
}

}  // namespace

void follow_rules(std::vector<PathChange>& changes, const MergeRules& rules,
                  const Document& after) {
  for (PathChange& change : changes) tell_elements_apart(change, rules.at(change.path));
  if (rules.empty()) return;
  std::vector<PathChange> out;
  std::set<Path> wholes;
  bson::PathFinder finder(after);
  for (PathChange& change : changes) {
    const PathRuling ruling = rules.at(change.path);
    if (ruling.depth == change.path.size()) {
      if (change.kind == Operation::kEdit && is_assigned(ruling.type)) {
        change.kind = Operation::kAssign;
      }
      out.push_back(std::move(change));
      continue;
    }
    Path whole(change.path.begin(),
               change.path.begin() + static_cast<std::ptrdiff_t>(ruling.depth));
    if (!wholes.insert(whole).second) continue;
    if (auto change_of_whole = change_at(finder, std::move(whole))) {
      out.push_back(*std::move(change_of_whole));
    }
  }
  changes = std::move(out);
}

std::vector<PathChange> changes_from_image(const UpdateShape& shape, const Document& after,
                                           const std::optional<Document>& before) {
  std::vector<PathChange> out;
  std::set<Path> known;  // several paths may lead into one array
  bson::PathFinder finder(after);
  for (const Path& path : shape.touched) {
    std::optional<PathChange> change = change_at(finder, path);
    if (!change) continue;
    const auto found = shape.edits.find(path);
    const UpdateShape::Edit* edit = found == shape.edits.end() ? nullptr : &found->second;
    const bool is_array = change->value.type == Type::kArray;
    if (is_array && change->path.size() < path.size()) {
      // No field can be in an array: an operator that finds one there does nothing.
      if (edit == nullptr || !edit->has_digits) continue;
      say_edit(*change, *edit, ArrayEdit::kInPlace, before);
    } else if (edit != nullptr && edit->is_of_part) {
      // Who names a part neither takes the whole away nor gives it anew by doing nothing.
      if (change->kind == Operation::kUnset) continue;
      const auto was = before ? bson::PathFinder(*before).find(path) : std::nullopt;
      if (was && !shape.asserts && change->value.view() == *was) continue;
    } else if (edit != nullptr) {
      // What takes elements from no array leaves none.
      const bool is_gone = change->kind == Operation::kUnset;
      if (is_gone && before && !bson::PathFinder(*before).find(change->path)) continue;
      if (edit->how) say_edit(*change, *edit, *edit->how, before);
      if (edit->delta && before) say_increment(*change, *edit->delta, *before);
    }
    if (!known.insert(change->path).second) continue;
    say_parts(*change, shape);
    out.push_back(std::move(*change));
  }
  return out;
}

std::vector<PathChange> changes_from_diff(const Document& before, const Document& after) {
  std::vector<PathChange> out;
  Path path;
  diff_level(before, after, path, out);
  return out;
}

}  // namespace outrigger
