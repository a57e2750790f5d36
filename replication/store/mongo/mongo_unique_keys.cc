#include "replication/store/mongo/mongo_unique_keys.h"

#include <algorithm>
#include <optional>

#include "replication/store/mongo/mongo_read.h"

namespace outrigger::mongo {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

constexpr int32_t kNoNamespace = 26;
constexpr int32_t kHoldersMax = 100;
constexpr const char* kHolderStep = "look for the holder of a key";

Path path_of(std::string_view dotted) {
  Path path;
  while (true) {
    const size_t dot = dotted.find('.');
    path.emplace_back(dotted.substr(0, dot));
    if (dot == std::string_view::npos) return path;
    dotted.remove_prefix(dot + 1);
  }
}

// Names of fields that a filter asks for, wherever in it.
void add_asked(const Document& filter, std::vector<Path>& fields) {
  for (const Element& each : filter) {
    if (!each.name.starts_with('$')) {
      fields.push_back(path_of(each.name));
      continue;
    }
    if (each.value.type != Type::kArray) continue;
    for (const Element& part : each.value.as_document()) {
      if (part.value.type == Type::kDocument) add_asked(part.value.as_document(), fields);
    }
  }
}

// What an index has of a document at a path. `in_array`: a document in one that lacks the name has
// null there, beside what others have.
void add_values(const Value& at, std::span<const std::string> names, std::vector<Value>& values,
                bool in_array = false) {
  if (names.empty()) {
    if (at.type != Type::kArray) return values.push_back(at);
    for (const Element& each : at.as_document()) values.push_back(each.value);
    if (at.as_document().empty()) values.push_back(at);
    return;
  }
  if (at.type == Type::kDocument) {
    const auto value = at.as_document().find(names.front());
    if (value) add_values(*value, names.subspan(1), values, in_array);
    const Value null{Type::kNull, {}};
    const bool has_null = std::find(values.begin(), values.end(), null) != values.end();
    if (!value && in_array && !has_null) values.push_back(null);
  } else if (at.type == Type::kArray) {
    for (const Element& each : at.as_document()) {
      if (each.value.type == Type::kDocument) add_values(each.value, names, values, true);
    }
  }
}

// A regular expression in $in would be a pattern.
void append_condition(const std::string& name, std::vector<Value> values, bson::Writer& to) {
  to.open_document(name);
  if (values.size() == 1) {
    to.value("$eq", values.front());
  } else if (values.empty()) {
    to.null("$eq");
  } else {
    std::erase_if(values, [](const Value& each) { return each.type == Type::kRegex; });
    to.open_array("$in");
    size_t at = 0;
    for (const Value& each : values) to.value(bson::index_name(at++), each);
    to.close();
  }
  to.close();
}

std::string find_command(const std::string& collection, const Document& index,
                         const std::string& document) {
  bson::Writer find;
  find.string("find", collection).open_document("filter").open_array("$and");
  size_t at = 0;
  for (const Element& key : sub(index, "key")) {
    const Path path = path_of(key.name);
    std::vector<Value> values;
    add_values({Type::kDocument, document}, path, values);
    find.open_document(bson::index_name(at++));
    append_condition(std::string(key.name), std::move(values), find);
    find.close();
  }
  const Document filter = sub(index, "partialFilterExpression");
  if (!filter.empty()) find.document(bson::index_name(at++), filter);
  find.close().close();
  if (!truthy(index, "hidden")) find.string("hint", text(index, "name"));
  const Document collation = sub(index, "collation");
  if (collation.empty()) append_simple_collation(find);
  if (!collation.empty()) find.document("collation", collation);
  find.int32("limit", kHoldersMax);
  find.open_document("readConcern").string("level", "local").close();
  return find.finish();
}

}  // namespace

bool is_unique_index(const Document& index) {
  const bool is_on_id = text(index, "name") == "_id_" || truthy(index, "clustered");
  return truthy(index, "unique") && !is_on_id;
}

void add_unique_fields(const Document& index, std::vector<Path>& fields) {
  for (const Element& key : sub(index, "key")) fields.push_back(path_of(key.name));
  add_asked(sub(index, "partialFilterExpression"), fields);
  std::sort(fields.begin(), fields.end());
  fields.erase(std::unique(fields.begin(), fields.end()), fields.end());
}

Result<std::vector<std::string>> UniqueKeys::unique_indexes(const std::string& ns) {
  const Names names = split(ns);
  const std::string ask = bson::Writer().string("listIndexes", names.collection).finish();
  std::vector<std::string> indexes;
  auto probe = client_.run(names.database, ask);
  if (probe && !probe->ok && probe->code == kNoNamespace) return indexes;
  const Status listed = client_.each(names.database, ask, kHolderStep, [&](const Document& index) {
    if (is_unique_index(index)) indexes.emplace_back(index.bytes());
    return true;
  });
  if (!listed) return tl::unexpected(listed.error());
  return indexes;
}

Result<std::vector<std::string>> UniqueKeys::holders(const std::string& ns,
                                                     const std::string& document,
                                                     const std::string& name) {
  const auto indexes = unique_indexes(ns);
  if (!indexes) return tl::unexpected(indexes.error());
  std::vector<std::string> found;
  const Names names = split(ns);
  for (const std::string& index : *indexes) {
    if (text(Document(index), "name") != name) continue;
    const Status shown =
        client_.each(names.database, find_command(names.collection, Document(index), document),
                     kHolderStep, [&](const Document& holder) {
                       found.emplace_back(holder.bytes());
                       return true;
                     });
    if (!shown) return tl::unexpected(shown.error());
  }
  return found;
}

}  // namespace outrigger::mongo
