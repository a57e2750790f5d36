#include "proxy/capture/unique_keys.h"

#include <algorithm>
#include <span>

#include "replication/bson/fields.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

bool is_number(std::string_view name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

// Is one at, above or below the other? What stands behind a number may be in an element.
bool is_on_one_way(const Path& path, const Path& field) {
  const auto end = std::find_if(path.begin(), path.end(), is_number);
  const auto names = std::min<size_t>(static_cast<size_t>(end - path.begin()), field.size());
  return std::equal(field.begin(), field.begin() + static_cast<std::ptrdiff_t>(names),
                    path.begin());
}

void put_bytes(const Value& value, std::string& out) {
  out += 'v';
  out += static_cast<char>(value.type);
  out += std::to_string(value.bytes.size());
  out += ':';
  out += value.bytes;
}

// All there is on the way along the names; two that differ in anything an index could see differ.
void put_way(const std::optional<Value>& at, std::span<const std::string> names, std::string& out) {
  if (!at) {
    out += '-';
  } else if (names.empty()) {
    put_bytes(*at, out);
  } else if (at->type == Type::kDocument) {
    put_way(at->as_document().find(names.front()), names.subspan(1), out);
  } else if (at->type == Type::kArray) {
    if (is_number(names.front())) return put_bytes(*at, out);
    out += '[';
    for (const Element& each : at->as_document()) put_way(each.value, names, out);
    out += ']';
  } else {
    out += '.';
  }
}

std::string way(const std::optional<Value>& at, std::span<const std::string> names) {
  std::string out;
  put_way(at, names, out);
  return out;
}

// A literal update says what is there afterwards.
bool gives_what_was_there(const UpdateShape& shape, const Document& before,
                          const UniqueFields& fields) {
  bson::PathFinder finder(before);
  const auto gives = [&](const UpdateShape::Operation& operation, const Path& field) {
    if (!is_on_one_way(operation.path, field)) return true;
    if (operation.kind != Operation::kAssign && operation.kind != Operation::kUnset) return false;
    const std::span<const std::string> names(field);
    const auto rest = names.subspan(std::min(operation.path.size(), field.size()));
    const bool assigns = operation.kind == Operation::kAssign;
    return way(finder.find(operation.path), rest) ==
           way(assigns ? std::optional(operation.value) : std::nullopt, rest);
  };
  return std::all_of(shape.operations.begin(), shape.operations.end(), [&](const auto& operation) {
    return std::all_of(fields.begin(), fields.end(),
                       [&](const Path& field) { return gives(operation, field); });
  });
}

// Something beside a field of an index makes what both stand in: a value or an array that stood
// there is gone with all in it, and an older one that comes later is not shown.
bool makes_what_holds_keys(const UpdateShape& shape, const UniqueFields& fields) {
  const auto is_beside = [&](const Path& path) {
    return std::any_of(fields.begin(), fields.end(), [&](const Path& field) {
      return field.size() > 1 && !path.empty() && path.front() == field.front();
    });
  };
  return std::any_of(shape.operations.begin(), shape.operations.end(),
                     [&](const auto& each) { return is_beside(each.path); }) ||
         std::any_of(shape.touched.begin(), shape.touched.end(), is_beside);
}

}  // namespace

bool is_at_keys(const Path& path, const UniqueFields& fields) {
  return std::any_of(fields.begin(), fields.end(),
                     [&](const Path& field) { return is_on_one_way(path, field); });
}

bool names_keys(const UpdateShape& shape, const UniqueFields& fields) {
  if (fields.empty()) return false;
  if (shape.form == UpdateShape::Form::kReplacement || shape.form == UpdateShape::Form::kDiff) {
    return true;
  }
  return std::any_of(shape.operations.begin(), shape.operations.end(),
                     [&](const auto& each) { return is_at_keys(each.path, fields); }) ||
         std::any_of(shape.touched.begin(), shape.touched.end(),
                     [&](const Path& path) { return is_at_keys(path, fields); });
}

bool needs_keys_before(const RunItem& item, const UniqueFields& fields) {
  return item.shape && !item.needs_before && names_keys(*item.shape, fields);
}

bool same_keys(const Document& before, const Document& after, const UniqueFields& fields) {
  std::string was;
  std::string is;
  for (const Path& field : fields) {
    put_way(Value{Type::kDocument, before.bytes()}, field, was);
    put_way(Value{Type::kDocument, after.bytes()}, field, is);
  }
  return was == is;
}

Keys keys_after(const Run& run, const RunItem& item, const Images& before,
                const std::optional<Document>& after) {
  if (run.unique_fields == nullptr || !item.shape) return Keys::kClaims;
  const UniqueFields& fields = *run.unique_fields;
  if (fields.empty()) return Keys::kNone;
  if (item.opaque) return Keys::kClaims;
  if (!names_keys(*item.shape, fields)) {
    return makes_what_holds_keys(*item.shape, fields) ? Keys::kKeeps : Keys::kPasses;
  }
  const auto image = before.find(item.key);
  if (image == before.end()) return Keys::kClaims;
  const Document was(image->second);
  const bool is_literal = item.shape->form == UpdateShape::Form::kLiteral;
  if (!is_literal && (!after || bson::repeats_names(*after) || bson::repeats_names(was))) {
    return Keys::kClaims;
  }
  const bool are_same =
      is_literal ? gives_what_was_there(*item.shape, was, fields) : same_keys(was, *after, fields);
  return are_same ? Keys::kKeeps : Keys::kClaims;
}

}  // namespace outrigger
