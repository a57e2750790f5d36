#include "replication/bson/id.h"

namespace outrigger::bson {
namespace {

bool is_reference(const Document& document) {
  auto at = document.begin();
  const auto end = document.end();
  const auto is_next = [&](std::string_view name) { return at != end && at->name == name; };
  if (!is_next("$ref") || at->value.type != Type::kString) return false;
  ++at;
  if (!is_next("$id")) return false;
  ++at;
  return !is_next("$db") || at->value.type == Type::kString;
}

}  // namespace

std::string_view why_no_id(const Value& value) {
  switch (value.type) {
    case Type::kArray:
      return "an array";
    case Type::kRegex:
      return "a regular expression";
    case Type::kUndefined:
      return "undefined";
    case Type::kDocument: {
      const auto first = value.as_document().first();
      if (!first || !first->name.starts_with('$')) return {};
      return is_reference(value.as_document()) ? "" : "an object that begins with a '$' name";
    }
    default:
      return {};
  }
}

}  // namespace outrigger::bson
