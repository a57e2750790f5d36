#include "proxy/capture/filter.h"

#include <algorithm>
#include <array>

#include "proxy/capture/ids/id_bytes.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

// Operators that answer by chance or by running code.
bool is_varying_operator(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames = {
      "$rand", "$sampleRate", "$where", "$function", "$accumulator", "$_internalJsEmit"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool names_variable(std::string_view text, std::string_view variable) {
  return text.substr(0, variable.size()) == variable &&
         (text.size() == variable.size() || text[variable.size()] == '.');
}

// Variables that hold the time of the command.
bool names_time(std::string_view text) {
  return names_variable(text, "$$NOW") || names_variable(text, "$$CLUSTER_TIME");
}

// One of those the server defines by the document.
bool is_of_document(std::string_view text) {
  return names_variable(text, "$$ROOT") || names_variable(text, "$$CURRENT") ||
         names_variable(text, "$$REMOVE");
}

struct Variation {
  bool let = false;  // of the values in the command's `let`
};

bool varies_inside(const Value& value, bool expression, const Variation& by);

bool element_varies(const Element& element, bool expression, const Variation& by) {
  if (is_varying_operator(element.name)) return true;
  if (element.name == "$comment" || element.name == "$jsonSchema") return false;
  if (expression && element.name == "$literal") return false;
  return varies_inside(element.value, expression || element.name == "$expr", by);
}

bool varies_inside(const Value& value, bool expression, const Variation& by) {
  if (expression && value.type == Type::kString) {
    const std::string_view text = value.as_string();
    // A variable of an expression's own ($let, $map) is taken for one of the command: no harm.
    return names_time(text) || (by.let && text.substr(0, 2) == "$$" && !is_of_document(text));
  }
  if (!value.is_container()) return false;
  const Document inside = value.as_document();
  for (const Element& element : inside) {
    if (element_varies(element, expression, by)) return true;
  }
  return false;
}

bool is_of_id(std::string_view name) { return name == "_id" || name.substr(0, 4) == "_id."; }

void append_lasting(const Document& filter, const Variation& by, std::vector<std::string>& out);

// Every item of the array of a conjunction, by itself.
void append_each(const Document& array, const Variation& by, std::vector<std::string>& out) {
  for (const Element& item : array) {
    if (item.value.type == Type::kDocument) append_lasting(item.value.as_document(), by, out);
  }
}

// {$expr: {$and: [..]}} is a conjunction as well: its items, as expressions.
bool append_expressions(const Element& element, const Variation& by,
                        std::vector<std::string>& out) {
  if (element.name != "$expr" || element.value.type != Type::kDocument) return false;
  const auto first = element.value.as_document().first();
  if (!first || first->name != "$and" || first->value.type != Type::kArray) return false;
  for (const Element& item : first->value.as_document()) {
    if (varies_inside(item.value, true, by)) continue;
    bson::Writer expression;
    expression.value("$expr", item.value);
    out.push_back(expression.finish());
  }
  return true;
}

void append_lasting(const Document& filter, const Variation& by, std::vector<std::string>& out) {
  for (const Element& element : filter) {
    if (is_of_id(element.name)) continue;
    if (element.name == "$and" && element.value.type == Type::kArray) {
      append_each(element.value.as_document(), by, out);
    } else if (!element_varies(element, false, by)) {
      bson::Writer one;
      one.element(element);
      out.push_back(one.finish());
    } else {
      static_cast<void>(append_expressions(element, by, out));
    }
  }
}

bool says_all(const Document& filter, const Variation& by) {
  for (const Element& element : filter) {
    const bool split = is_of_id(element.name) || element.name == "$and";
    if (split || element_varies(element, false, by)) return false;
  }
  return true;
}

}  // namespace

std::string lasting_part(const Document& filter, const std::optional<Value>& let) {
  Variation by;
  by.let = let && varies_inside(*let, true, {});
  if (says_all(filter, by)) return std::string(filter.bytes());
  std::vector<std::string> parts;
  append_lasting(filter, by, parts);
  bson::Writer out;
  if (parts.size() == 1) return parts.front();
  if (parts.empty()) return out.finish();
  out.open_array("$and");
  for (size_t i = 0; i < parts.size(); ++i) out.document(bson::index_name(i), Document(parts[i]));
  out.close();
  return out.finish();
}

bool is_collated(const Value& id) {
  return id.type == Type::kString || id.type == Type::kSymbol || id.is_container();
}

std::string filter_of_document(const Value& id, const Document& lasting, TellApart by) {
  bson::Writer out;
  out.open_document("_id").value("$eq", id).close();
  const bool apart = by == TellApart::kByExpression && lasting.has("$expr");
  if (apart) out.open_array("$and").document("0", lasting).open_document("1");
  if (!apart) out.append_all(lasting);
  if (by == TellApart::kByExpression) append_id_expression(out, id);
  if (by == TellApart::kByPattern) append_id_patterns(out, id);
  if (apart) out.close().close();
  return out.finish();
}

std::string narrow_filter(const Document& filter, const Value& id) {
  bson::Writer out;
  if (!filter.has("_id")) {
    out.open_document("_id").value("$eq", id).close();
    out.append_all(filter);
    return out.finish();
  }
  out.open_array("$and");
  out.open_document("0").open_document("_id").value("$eq", id).close().close();
  out.document("1", filter);
  out.close();
  return out.finish();
}

std::optional<Value> filter_id(const Document& filter, bool simple) {
  const auto id = filter.find("_id");
  if (!id) return std::nullopt;
  Value value = *id;
  if (value.type == Type::kDocument) {
    const auto first = value.as_document().first();
    if (first && !first->name.empty() && first->name.front() == '$') {
      if (first->name != "$eq") return std::nullopt;
      const Value inner = first->value;
      // {$eq: x} alone; whether anything beside it matches is the store's to say.
      if (++value.as_document().begin() != value.as_document().end()) return std::nullopt;
      value = inner;
    }
  }
  if (value.type == Type::kRegex || value.type == Type::kArray || value.type == Type::kUndefined ||
      value.type == Type::kNull) {
    return std::nullopt;
  }
  if (!simple && is_collated(value)) return std::nullopt;
  return value;
}

}  // namespace outrigger
