#include "integration/memory_mongod/filter.h"

#include <algorithm>

#include "proxy/mongo/wire/error_reply.h"
#include "replication/bson/fields.h"
#include "replication/bson/number.h"
#include "replication/store/memory/memory_document.h"

namespace outrigger::world {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

tl::unexpected<MongodError> unknown(std::string_view what) {
  return refuse(wire::code::kFailedToParse,
                "the mongod in memory does not know " + std::string(what));
}

bool equal(const Value& a, const Value& b) {
  return bson::canonical_key(a) == bson::canonical_key(b);
}

// Nothing where the two are of kinds that no comparison finds.
std::optional<int> compare(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return bson::compare_numbers(a, b);
  if (a.type == Type::kString && b.type == Type::kString) {
    return a.as_string().compare(b.as_string());
  }
  return std::nullopt;
}

bool is_operators(const Value& value) {
  if (value.type != Type::kDocument) return false;
  const auto first = value.as_document().first();
  return first && first->name.starts_with("$");
}

bool equals_field(const std::optional<Value>& field, const Value& wanted) {
  if (wanted.type == Type::kNull) return !field || field->type == Type::kNull;
  return field && equal(*field, wanted);
}

OrError<bool> holds(const Element& test, const std::optional<Value>& field) {
  if (test.name == "$eq") return equals_field(field, test.value);
  if (test.name == "$ne") return !equals_field(field, test.value);
  if (test.name == "$exists") return field.has_value() == test.value.truthy();
  if (test.name == "$in" && test.value.type == Type::kArray) {
    for (const Element& one : test.value.as_document()) {
      if (equals_field(field, one.value)) return true;
    }
    return false;
  }
  const bool is_comparison =
      test.name == "$gt" || test.name == "$gte" || test.name == "$lt" || test.name == "$lte";
  if (!is_comparison) return unknown(test.name);
  const auto order = field ? compare(*field, test.value) : std::nullopt;
  if (!order) return false;
  if (test.name == "$gt") return *order > 0;
  if (test.name == "$gte") return *order >= 0;
  if (test.name == "$lt") return *order < 0;
  return *order <= 0;
}

OrError<bool> field_matches(const Element& part, const Document& document) {
  bson::PathFinder finder(document);
  const auto reached = finder.walk(path_of(part.name));
  const bool is_whole = reached.names == path_of(part.name).size();
  if (reached.value && reached.value->type == Type::kArray) return unknown("filters on arrays");
  const std::optional<Value> field = is_whole ? reached.value : std::nullopt;
  if (!is_operators(part.value)) return equals_field(field, part.value);
  for (const Element& test : part.value.as_document()) {
    const auto one = holds(test, field);
    if (!one || !*one) return one;
  }
  return true;
}

}  // namespace

Path path_of(std::string_view dotted) {
  Path path;
  for (;;) {
    const size_t dot = dotted.find('.');
    path.emplace_back(dotted.substr(0, dot));
    if (dot == std::string_view::npos) return path;
    dotted.remove_prefix(dot + 1);
  }
}

OrError<bool> matches(const Document& filter, const Document& document) {
  for (const Element& part : filter) {
    OrError<bool> one = true;
    if (part.name == "$and" && part.value.type == Type::kArray) {
      for (const Element& inner : part.value.as_document()) {
        if (inner.value.type != Type::kDocument) return unknown("this $and");
        one = matches(inner.value.as_document(), document);
        if (!one || !*one) return one;
      }
    } else if (part.name.starts_with("$")) {
      return unknown(part.name);
    } else {
      one = field_matches(part, document);
    }
    if (!one || !*one) return one;
  }
  return true;
}

std::optional<std::vector<bson::OwnedValue>> ids_of(const Document& filter) {
  for (const Element& part : filter) {
    if (part.name == "$and" && part.value.type == Type::kArray) {
      for (const Element& inner : part.value.as_document()) {
        if (inner.value.type != Type::kDocument) continue;
        if (auto ids = ids_of(inner.value.as_document())) return ids;
      }
    }
    if (part.name != "_id") continue;
    if (!is_operators(part.value)) return std::vector{bson::OwnedValue(part.value)};
    for (const Element& test : part.value.as_document()) {
      if (test.name == "$eq") return std::vector{bson::OwnedValue(test.value)};
      if (test.name != "$in" || test.value.type != Type::kArray) continue;
      std::vector<bson::OwnedValue> ids;
      for (const Element& one : test.value.as_document()) ids.emplace_back(one.value);
      return ids;
    }
  }
  return std::nullopt;
}

Document document_at(const Document& document, std::string_view name) {
  const auto value = document.find(name);
  return value && value->is_container() ? value->as_document() : Document();
}

OrError<std::vector<std::string>> sorted(std::vector<std::string> documents, const Document& sort) {
  const auto by = sort.first();
  if (!by) return documents;
  const auto direction = by->value.to_int64();
  const bool is_one = ++sort.begin() == sort.end();
  if (!is_one || !direction || (*direction != 1 && *direction != -1)) return unknown("such a sort");
  const Path path = path_of(by->name);
  // Of kinds that are not compared: what has no field, numbers, strings.
  const auto rank = [](const std::optional<Value>& value) {
    if (!value) return 0;
    return value->is_number() ? 1 : 2;
  };
  const auto is_less = [&](const std::string& one, const std::string& other) {
    const auto a = bson::PathFinder(Document(one)).find(path);
    const auto b = bson::PathFinder(Document(other)).find(path);
    const int order = rank(a) != rank(b) ? rank(a) - rank(b) : a ? compare(*a, *b).value_or(0) : 0;
    return *direction > 0 ? order < 0 : order > 0;
  };
  std::stable_sort(documents.begin(), documents.end(), is_less);
  return documents;
}

OrError<std::string> projected(const Document& projection, const Document& document) {
  bson::PathFinder finder(document);
  bson::Writer id;
  if (const auto value = document.find("_id")) id.value("_id", *value);
  std::string out = id.finish();
  for (const Element& field : projection) {
    if (field.name == "_id") continue;
    const Path path = path_of(field.name);
    if (field.value.type == Type::kDocument && field.value.as_document().has("$bsonSize")) {
      const auto bytes = static_cast<int32_t>(document.bytes().size());
      out = *with_field(Document(out), path, bson::make_int32(bytes).view());
      continue;
    }
    if (!field.value.truthy()) return unknown("projections that leave fields out");
    if (const auto value = finder.find(path)) out = *with_field(Document(out), path, *value);
  }
  return out;
}

}  // namespace outrigger::world
