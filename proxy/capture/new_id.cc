#include "proxy/capture/new_id.h"

#include <functional>
#include <string_view>

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

// $ref before $id, and $db behind it.
bool is_of_reference(std::string_view before, std::string_view name, std::string_view after) {
  if (name == "$ref") return after == "$id";
  if (name == "$id") return before == "$ref";
  return name == "$db" && before == "$id";
}

std::optional<std::string> dollar_name_in(const Value& value) {
  if (!value.is_container()) return std::nullopt;
  const Document document = value.as_document();
  std::string_view before;
  for (auto at = document.begin(); at != document.end();) {
    const Element element = *at;
    ++at;
    const std::string_view after = at != document.end() ? at->name : std::string_view();
    const bool is_named = value.type == Type::kDocument && element.name.starts_with('$');
    if (is_named && !is_of_reference(before, element.name, after)) return std::string(element.name);
    if (auto inside = dollar_name_in(element.value)) return inside;
    before = element.name;
  }
  return std::nullopt;
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

// What a condition says the value is. A document that begins with an operator says it with $eq, or
// names one value only.
void see_condition(std::string_view path, const Value& condition, const SeeValue& see) {
  const auto first = condition.type == Type::kDocument ? condition.as_document().first()
                                                       : std::optional<Element>();
  if (!first || !first->name.starts_with('$') || first->name == "$ref") {
    return see(path, condition);
  }
  for (const Element& element : condition.as_document()) {
    if (element.name == "$eq") see(path, element.value);
    const bool is_list = element.name == "$in" || element.name == "$all";
    if (const auto one = is_list ? only(element.value) : std::nullopt) see(path, one->value);
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
  if (!statement.update || statement.update->type != Type::kDocument) return std::nullopt;
  const Document update = statement.update->as_document();
  const auto first = update.first();
  if (!first || !first->name.starts_with('$')) return std::nullopt;  // mongod refuses a path then
  std::optional<std::string> name;
  const SeeValue look = [&name](std::string_view path, const Value& value) {
    if (name || !is_below_id(path)) return;
    name = dollar_name_in_path(path);
    if (!name) name = dollar_name_in(value);
  };
  see_equalities(statement.filter, look);
  for (const Element& op : update) {
    if (op.value.type != Type::kDocument) continue;
    for (const Element& entry : op.value.as_document()) {
      see_entry(op.name, entry, statement.filter, look);
    }
  }
  return name;
}

}  // namespace outrigger
