#include "proxy/capture/update_shape.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "replication/bson/fields.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

// "$", "$[]", "$[name]": elements of an array, which the statement's filters tell.
bool is_position(std::string_view name) { return name.empty() || name.front() == '$'; }

// "3" is an array's position or a field's name.
bool is_digits(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool any_digits(const Path& path) {
  return std::any_of(path.begin(), path.end(),
                     [](const std::string& name) { return is_digits(name); });
}

bool any_position(const Path& path) {
  return std::any_of(path.begin(), path.end(),
                     [](const std::string& name) { return is_position(name); });
}

bool is_plain(const Path& path) { return !any_digits(path) && !any_position(path); }

Path in_front_of_position(const Path& path) {
  Path out;
  for (const std::string& name : path) {
    if (name == "$" || name.rfind("$[", 0) == 0) break;
    out.push_back(name);
  }
  return out;
}

void touch(UpdateShape& shape, Path path) {
  shape.form = UpdateShape::Form::kPostImage;
  shape.touched.push_back(std::move(path));
}

// {$push: {path: value}} without modifiers adds behind all others.
std::optional<std::vector<Value>> appended_by(const Value& value) {
  if (value.type != Type::kDocument) return std::vector<Value>{value};
  const Document given = value.as_document();
  const auto first = given.first();
  if (!first || first->name.substr(0, 1) != "$") return std::vector<Value>{value};
  const auto each = given.find("$each");
  if (!each || each->type != Type::kArray || ++given.begin() != given.end()) return std::nullopt;
  std::vector<Value> values;
  for (const Element& item : each->as_document()) values.push_back(item.value);
  return values;
}

// What an operator does to the elements of the array it names, or into which its path leads.
std::optional<UpdateShape::Edit> edit_of(std::string_view name, const Path& path,
                                         const Value& value) {
  UpdateShape::Edit edit;
  edit.has_digits = any_digits(path);
  if (any_position(path)) {
    edit.how = ArrayEdit::kInPlace;
  } else if (name == "$push") {
    edit.how = ArrayEdit::kMoves;
    if (!edit.has_digits) edit.appends = appended_by(value);
  } else if (name == "$addToSet") {
    edit.how = ArrayEdit::kAddsSet;
  } else if (name == "$pull" || name == "$pullAll" || name == "$pop") {
    edit.how = ArrayEdit::kMoves;
  } else if (name == "$inc" && value.is_number()) {
    edit.delta = value;
  } else if (!edit.has_digits) {
    return std::nullopt;
  }
  return edit;
}

void name_each_once(std::vector<Path>& paths) {
  std::set<Path> known;
  std::erase_if(paths, [&](const Path& path) { return !known.insert(path).second; });
}

void read_operator(const Element& op, UpdateShape& shape) {
  const std::string_view name = op.name;
  if (op.value.type != Type::kDocument) return;  // mongod refuses it
  for (const Element& field : op.value.as_document()) {
    Path path = split_path(field.name);
    if ((name == "$set" || name == "$setOnInsert") && field.name == "_id") {
      shape.given_id = field.value;
      if (name == "$set") shape.asserts = true;
      continue;
    }
    if (name == "$setOnInsert") continue;
    if (path.front() == "_id") {  // it is one value, which stays
      if (name == "$set") shape.asserts = true;
      touch(shape, {"_id"});
    } else if (name == "$set" && is_plain(path)) {
      shape.asserts = true;
      shape.operations.push_back({Operation::kAssign, std::move(path), field.value});
    } else if (name == "$inc" && is_plain(path) && field.value.is_number()) {
      shape.operations.push_back({Operation::kIncrement, std::move(path), field.value});
    } else if (name == "$unset" && path.size() == 1 && is_plain(path)) {
      shape.operations.push_back({Operation::kUnset, std::move(path), {}});
    } else {
      if (name == "$set") shape.asserts = true;
      if (name == "$rename" && field.value.type == Type::kString) {
        touch(shape, split_path(field.value.as_string()));
      }
      const auto edit = edit_of(name, path, field.value);
      Path reached = in_front_of_position(path);
      if (!is_plain(path)) {
        const bool counts = name == "$inc" && field.value.is_number();
        shape.in_arrays.push_back({path, counts ? std::optional(field.value) : std::nullopt});
      }
      if (edit) shape.edits.emplace(reached, *edit);
      touch(shape, std::move(reached));
    }
  }
}

// With one operator that needs the image, plain $set and $unset are read from it too.
void move_to_image(UpdateShape& shape) {
  std::vector<UpdateShape::Operation> increments;
  for (UpdateShape::Operation& operation : shape.operations) {
    if (operation.kind == Operation::kIncrement) {
      increments.push_back(std::move(operation));
    } else {
      touch(shape, std::move(operation.path));
    }
  }
  shape.operations = std::move(increments);
}

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

}  // namespace

Path split_path(std::string_view dotted) {
  Path out;
  for (;;) {
    const size_t dot = dotted.find('.');
    out.emplace_back(dotted.substr(0, dot));
    if (dot == std::string_view::npos) return out;
    dotted.remove_prefix(dot + 1);
  }
}

UpdateShape read_update_shape(const Value& update, bool has_array_filters) {
  UpdateShape shape;
  if (update.type == Type::kArray) {
    shape.form = UpdateShape::Form::kDiff;
    return shape;
  }
  const Document document = update.as_document();
  const auto first = document.first();
  if (!first || first->name.empty() || first->name.front() != '$') {
    shape.form = UpdateShape::Form::kReplacement;
    shape.given_id = document.find("_id");
    return shape;
  }
  if (has_array_filters) shape.form = UpdateShape::Form::kPostImage;
  for (const Element& op : document) read_operator(op, shape);
  if (shape.form == UpdateShape::Form::kPostImage) move_to_image(shape);
  name_each_once(shape.touched);
  return shape;
}

void follow_rules(UpdateShape& shape, const MergeRules& rules) {
  using Form = UpdateShape::Form;
  if (shape.form == Form::kReplacement && rules.replaces_by_diff()) shape.form = Form::kDiff;
  if (rules.empty() || (shape.form != Form::kLiteral && shape.form != Form::kPostImage)) return;
  for (Path& path : shape.touched) {
    const PathRuling ruling = rules.at(path);
    const bool is_whole = is_kept_whole(ruling.type);
    if (!is_whole && !is_assigned(ruling.type)) continue;
    // What stands there is given; an array on the way is still one of which an element changed.
    shape.edits.erase(path);
    const bool is_of_part = is_whole && ruling.depth < path.size();
    if (is_of_part) path.resize(ruling.depth);
    if (any_digits(path)) shape.edits[path].has_digits = true;
    if (is_of_part) shape.edits[path].is_of_part = true;
  }
  std::vector<UpdateShape::Operation> told;
  for (UpdateShape::Operation& operation : shape.operations) {
    const PathRuling ruling = rules.at(operation.path);
    const bool is_inside = ruling.depth < operation.path.size();
    const bool is_sum = operation.kind == Operation::kIncrement && is_assigned(ruling.type);
    if (!is_inside && !is_sum) {
      told.push_back(std::move(operation));
      continue;
    }
    operation.path.resize(ruling.depth);
    touch(shape, std::move(operation.path));
  }
  shape.operations = std::move(told);
  if (shape.form == Form::kPostImage) move_to_image(shape);
  name_each_once(shape.touched);
}

void follow_rules(std::vector<PathChange>& changes, const MergeRules& rules,
                  const Document& after) {
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
