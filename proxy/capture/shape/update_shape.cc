#include "proxy/capture/shape/update_shape.h"

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
    const bool has_modifiers = !edit.has_digits && value.type == Type::kDocument;
    edit.sorts = has_modifiers && value.as_document().has("$sort");
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

// How an array that is assigned at a path of this rule is an edit of the one that was there;
// nothing: it takes its place.
std::optional<UpdateShape::Edit> edit_given(const PathRuling& ruling, const Value& array) {
  UpdateShape::Edit edit;
  edit.is_given = true;
  if (ruling.type == PathType::kSet) {
    edit.how = ArrayEdit::kAddsSet;
    return edit;
  }
  edit.how = ArrayEdit::kKeyed;
  edit.key = element_key_of(ruling);
  // Where no rule names the field, an empty array does not tell that there is one.
  const bool is_told = ruling.type == PathType::kKeyed || array.as_document().first();
  if (edit.key.empty() || !is_told || !bson::is_keyed_by(array, edit.key)) return std::nullopt;
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
      if (field.value.type == Type::kArray) shape.given_arrays.emplace_back(path, field.value);
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

// Its elements are told apart: by before and after, whatever else the update does.
void edit_given_arrays(UpdateShape& shape, const MergeRules& rules) {
  for (const auto& [path, array] : shape.given_arrays) {
    const PathRuling ruling = rules.at(path);
    const auto edit = ruling.depth == path.size() ? edit_given(ruling, array) : std::nullopt;
    if (!edit || !shape.edits.emplace(path, *edit).second) continue;
    shape.form = UpdateShape::Form::kPostImage;
  }
  if (shape.form == UpdateShape::Form::kPostImage) move_to_image(shape);
}

bool names_version(const UpdateShape& shape, const MergeRules& rules) {
  const auto gives = [&](const Path& path) { return rules.gives_version(path); };
  return std::any_of(shape.operations.begin(), shape.operations.end(),
                     [&](const auto& each) { return gives(each.path); }) ||
         std::any_of(shape.touched.begin(), shape.touched.end(), gives);
}

}  // namespace

Path in_front_of_position(const Path& path) {
  Path out;
  for (const std::string& name : path) {
    if (name == "$" || name.rfind("$[", 0) == 0) break;
    out.push_back(name);
  }
  return out;
}

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
  if (names_version(shape, rules)) {
    shape.is_version = true;
    shape.form = Form::kPostImage;
    shape.edits.clear();
    return;
  }
  if (!shape.given_arrays.empty()) edit_given_arrays(shape, rules);
  for (auto& [path, edit] : shape.edits) {
    const PathRuling ruling = edit.sorts ? rules.at(path) : PathRuling();
    if (edit.sorts && ruling.depth == path.size()) edit.key = element_key_of(ruling);
  }
  if (rules.empty() || (shape.form != Form::kLiteral && shape.form != Form::kPostImage)) return;
  for (Path& path : shape.touched) {
    const PathRuling ruling = rules.at(path);
    const bool is_whole = is_kept_whole(ruling.type);
    const auto edit = shape.edits.find(path);
    const bool adds = edit != shape.edits.end() && edit->second.how == ArrayEdit::kMoves;
    if (ruling.type == PathType::kSet && adds) edit->second.how = ArrayEdit::kAddsSet;
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

}  // namespace outrigger
