#include "proxy/capture/new_id.h"

#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

namespace outrigger {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

constexpr std::string_view kBelowId = "_id.";

using SeeValue = std::function<void(std::string_view path, const Value& value)>;

bool is_below_id(std::string_view path) { return path.starts_with(kBelowId); }

std::optional<Element> only(const Value& array) {
  if (array.type != Type::kArray) return std::nullopt;
  const auto first = array.as_document().first();
  return first && ++array.as_document().begin() == array.as_document().end() ? first : std::nullopt;
}

// How many fields at the start are those of a DBRef: {$ref: "..", $id: .., $db: ".."}, in this
// order, the last one where there is one.
size_t reference_fields(const Document& document) {
  std::vector<Element> first;
  for (const Element& element : document) {
    first.push_back(element);
    if (first.size() == 3) break;
  }
  const auto is = [&](size_t at, std::string_view name, bool is_text) {
    return at < first.size() && first[at].name == name &&
           (!is_text || first[at].value.type == Type::kString);
  };
  if (!is(0, "$ref", true) || !is(1, "$id", false)) return 0;
  return is(2, "$db", true) ? 3 : 2;
}

std::optional<std::string> dollar_name_in(const Value& value);

std::optional<std::string> dollar_name_among(const Document& document, bool has_names) {
  const size_t allowed = has_names ? reference_fields(document) : 0;
  size_t at = 0;
  for (const Element& element : document) {
    const bool is_allowed = at++ < allowed;
    if (has_names && !is_allowed && element.name.starts_with('$')) return std::string(element.name);
    if (auto inside = dollar_name_in(element.value)) return inside;
  }
  return std::nullopt;
}

// The document behind the code: int32 of all, int32 and bytes of the code, the scope.
Document scope_of(const Value& code) {
  constexpr size_t kLengths = 8;
  int32_t code_bytes = 0;
  if (code.bytes.size() < kLengths) return {};
  std::memcpy(&code_bytes, code.bytes.data() + 4, sizeof code_bytes);
  const size_t at = kLengths + static_cast<size_t>(code_bytes);
  return at < code.bytes.size() ? Document(code.bytes.substr(at)) : Document();
}

std::optional<std::string> dollar_name_in(const Value& value) {
  if (value.type == Type::kCodeWithScope) return dollar_name_among(scope_of(value), true);
  if (!value.is_container()) return std::nullopt;
  return dollar_name_among(value.as_document(), value.type == Type::kDocument);
}

// `path` is below the _id. A positional `$`, which no new document has, is mongod's to refuse.
std::optional<std::string> dollar_name_in_path(std::string_view path) {
  for (path.remove_prefix(kBelowId.size()); !path.empty();) {
    const std::string_view name = path.substr(0, path.find('.'));
    const bool is_positional = name == "$" || name.starts_with("$[");
    if (name.starts_with('$') && !is_positional) return std::string(name);
    path.remove_prefix(std::min(path.size(), name.size() + 1));
  }
  return std::nullopt;
}

// A condition in place of a value: {$gt: 1}. A DBRef is a value.
bool is_operator(const Value& value) {
  if (value.type != Type::kDocument) return false;
  const auto first = value.as_document().first();
  return first && first->name.starts_with('$') && first->name != "$ref";
}

// What a condition says the value is: itself, or with $eq, or by naming one value only.
void see_condition(std::string_view path, const Value& condition, const SeeValue& see) {
  if (!is_operator(condition)) return see(path, condition);
  for (const Element& element : condition.as_document()) {
    if (element.name == "$eq") see(path, element.value);
    const bool is_list = element.name == "$in" || element.name == "$all";
    const auto one = is_list ? only(element.value) : std::nullopt;
    if (one && !is_operator(one->value)) see(path, one->value);
  }
}

// What a new document gets from the filter of an upsert.
void see_equalities(const Document& filter, const SeeValue& see) {
  for (const Element& element : filter) {
    const bool is_list = element.value.type == Type::kArray;
    if (is_list && (element.name == "$and" || (element.name == "$or" && only(element.value)))) {
      for (const Element& item : element.value.as_document()) {
        if (item.value.type == Type::kDocument) see_equalities(item.value.as_document(), see);
      }
    } else if (!element.name.starts_with('$')) {
      see_condition(element.name, element.value, see);
    }
  }
}

// One entry of an operator of the update.
void see_entry(std::string_view op, const Element& entry, const Document& filter,
               const SeeValue& see) {
  const Value& value = entry.value;
  if (op == "$set" || op == "$setOnInsert" || op == "$min" || op == "$max") {
    see(entry.name, value);
  } else if (op == "$push" || op == "$addToSet") {
    const bool is_document = value.type == Type::kDocument;
    const auto each = is_document ? value.as_document().find("$each") : std::nullopt;
    see(entry.name, each.value_or(value));
  } else if (op == "$inc" || op == "$mul" || op == "$bit" || op == "$currentDate") {
    see(entry.name, Value());
  } else if (op == "$rename" && value.type == Type::kString) {
    see_equalities(filter, [&](std::string_view path, const Value& is) {
      if (path == entry.name) see(value.as_string(), is);
    });
  }
}

}  // namespace

std::optional<std::string> dollar_name_in_new_id(const Statement& statement) {
  if (!statement.update || !statement.update->is_container()) return std::nullopt;
  const Document update = statement.update->as_document();
  const bool is_pipeline = statement.update->type == Type::kArray;
  const auto first = update.first();
  const bool is_replacement = !is_pipeline && (!first || !first->name.starts_with('$'));
  if (is_replacement) return std::nullopt;  // mongod refuses a path then
  std::optional<std::string> name;
  const SeeValue look = [&name](std::string_view path, const Value& value) {
    if (name || !is_below_id(path)) return;
    name = dollar_name_in_path(path);
    if (!name) name = dollar_name_in(value);
  };
  see_equalities(statement.filter, look);
  if (is_pipeline) return name;  // what it makes of the _id itself is mongod's to refuse
  for (const Element& op : update) {
    if (op.value.type != Type::kDocument) continue;
    for (const Element& entry : op.value.as_document()) {
      see_entry(op.name, entry, statement.filter, look);
    }
  }
  return name;
}

}  // namespace outrigger
