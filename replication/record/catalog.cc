#include "replication/record/catalog.h"

#include <algorithm>
#include <utility>

namespace outrigger {
namespace {

using bson::Document;
using bson::OwnedValue;
using bson::Type;
using bson::Value;
using Values = std::map<std::string, OwnedValue, std::less<>>;

constexpr const char* kOptions = "options";
constexpr const char* kIndexes = "indexes";
constexpr const char* kSeries = "timeseries";

tl::unexpected<Error> corrupt(std::string_view ns, const char* what) {
  return fail(ErrorCode::kCorrupt, "read what a collection is", std::string(ns), what);
}

// A field's name that a path can hold (is_dotted_path in store/store.h).
std::string escaped(std::string_view name) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  const bool is_number =
      std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  std::string out;
  for (const char c : name) {
    const bool first = out.empty();
    if (c == '.' || c == '%' || (first && (c == '$' || is_number))) {
      const auto byte = static_cast<uint8_t>(c);
      out.append(1, '%').append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    } else {
      out.append(1, c);
    }
  }
  return out;
}

std::optional<std::string> unescaped(std::string_view field) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::string out;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] != '%') {
      out.append(1, field[i]);
      continue;
    }
    if (i + 2 >= field.size()) return std::nullopt;
    const int high = digit(field[i + 1]);
    const int low = digit(field[i + 2]);
    if (high < 0 || low < 0 || high + low == 0) return std::nullopt;
    out.append(1, static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

OwnedValue array_of_one(const OwnedValue& value) {
  bson::Writer out;
  out.value("0", value);
  return {Type::kArray, out.finish()};
}

std::optional<Value> only_element(const Value& array) {
  if (array.type != Type::kArray) return std::nullopt;
  const auto first = array.as_document().first();
  if (!first) return std::nullopt;
  return first->value;
}

void write_options(const Values& options, bson::Writer& out) {
  for (const auto& [name, value] : options) out.value(escaped(name), array_of_one(value));
}

OwnedValue options_value(const Values& options) {
  bson::Writer out;
  write_options(options, out);
  return bson::make_document(out.finish());
}

Status read_options(const OwnedValue& from, CatalogEntry& entry) {
  if (from.type != Type::kDocument) return corrupt(entry.ns, "its options are no document");
  entry.options.clear();
  for (const bson::Element& each : from.view().as_document()) {
    const auto name = unescaped(each.name);
    const auto value = only_element(each.value);
    if (!name || !value) return corrupt(entry.ns, "an option that is none");
    entry.options[*name] = OwnedValue(*value);
  }
  entry.exists = true;
  return {};
}

Status read_index(std::string_view field, const OwnedValue& value, CatalogEntry& entry) {
  const auto name = unescaped(field);
  if (!name || name->empty()) return corrupt(entry.ns, "an index without a name");
  if (value.type == Type::kArray && value.view().as_document().empty()) {
    entry.building.insert(*name);
    return {};
  }
  if (auto spec = index_spec(*name, value); !spec) return tl::unexpected(spec.error());
  entry.indexes[*name] = value;
  return {};
}

Status read_indexes(const OwnedValue& from, CatalogEntry& entry) {
  if (from.type != Type::kDocument) return corrupt(entry.ns, "its indexes are no document");
  entry.indexes.clear();
  for (const bson::Element& each : from.view().as_document()) {
    if (Status read = read_index(each.name, OwnedValue(each.value), entry); !read) return read;
  }
  return {};
}

bool are_equal(const OwnedValue& a, const OwnedValue& b) {
  if (!a.view().is_container() || a.type != b.type) return a == b;
  return bson::equal_unordered(a.view().as_document(), b.view().as_document());
}

void differ(const Values& before, const Values& after, const char* where,
            const std::function<OwnedValue(const OwnedValue&)>& as_field,
            std::vector<PathChange>& changes) {
  for (const auto& [name, value] : after) {
    const auto was = before.find(name);
    const bool is_same = was != before.end() && are_equal(was->second, value);
    if (is_same) continue;
    PathChange& change = changes.emplace_back();
    change.path = {where, escaped(name)};
    change.value = as_field(value);
  }
  for (const auto& [name, value] : before) {
    if (after.contains(name)) continue;
    PathChange& change = changes.emplace_back();
    change.kind = Operation::kUnset;
    change.path = {where, escaped(name)};
  }
}

// What it is goes with each change of a series: dropped elsewhere meanwhile, it is to stay one, and
// not become an ordinary collection with its indexes and options.
void say_series_again(const CatalogEntry& after, std::vector<PathChange>& changes) {
  const Path path = {kOptions, kSeries};
  const auto series = after.options.find(kSeries);
  const auto says = [&](const PathChange& change) { return change.path == path; };
  if (series == after.options.end() || changes.empty()) return;
  if (std::any_of(changes.begin(), changes.end(), says)) return;
  PathChange& change = changes.emplace_back();
  change.path = path;
  change.value = array_of_one(series->second);
}

PathChange without_contents() {
  PathChange change;
  change.kind = Operation::kUnset;
  change.path = catalog_contents();
  return change;
}

}  // namespace

std::string catalog_document(const CatalogEntry& entry) {
  bson::Writer out;
  out.string("_id", entry.ns);
  if (entry.exists) {
    out.open_document(kOptions);
    write_options(entry.options, out);
    out.close();
  }
  out.open_document(kIndexes);
  for (const auto& [name, index] : entry.indexes) out.value(escaped(name), index);
  for (const std::string& name : entry.building) out.open_array(escaped(name)).close();
  out.close();
  return out.finish();
}

Result<CatalogEntry> catalog_entry(const Document& document) {
  CatalogEntry entry;
  const auto id = document.find("_id");
  if (!id || id->type != Type::kString) return corrupt("", "its _id is no namespace");
  entry.ns = id->as_string();
  for (const char* field : {kOptions, kIndexes}) {
    const auto value = document.find(field);
    if (!value) continue;
    if (Status set = set_in_catalog(entry, {field}, OwnedValue(*value)); !set) {
      return tl::unexpected(set.error());
    }
  }
  return entry;
}

OwnedValue catalog_index(const Document& spec) {
  bson::Writer out;
  out.open_array("0");
  if (const auto key = spec.find("key"); key && key->type == Type::kDocument) {
    size_t at = 0;
    for (const bson::Element& each : key->as_document()) {
      out.open_array(bson::index_name(at++)).string("0", each.name).value("1", each.value).close();
    }
  }
  out.close().open_document("1");
  for (const bson::Element& each : spec) {
    const bool is_said = each.name == "key" || each.name == "name" || each.name == "ns" ||
                         each.name == "background" || each.name == "buildUUID";
    if (!is_said) out.element(each);
  }
  return {Type::kArray, out.close().finish()};
}

Result<std::string> index_spec(std::string_view name, const OwnedValue& index) {
  if (index.type != Type::kArray) return corrupt(name, "an index that is no array");
  const Document parts = index.view().as_document();
  const auto keys = parts.find("0");
  const auto rest = parts.find("1");
  if (!keys || keys->type != Type::kArray || !rest || rest->type != Type::kDocument) {
    return corrupt(name, "an index without keys");
  }
  bson::Writer out;
  out.open_document("key");
  for (const bson::Element& each : keys->as_document()) {
    if (each.value.type != Type::kArray) return corrupt(name, "a key that is no pair");
    const auto field = each.value.as_document().find("0");
    const auto kind = each.value.as_document().find("1");
    const bool is_pair = field && field->type == Type::kString && kind;
    if (!is_pair || field->as_string().find('\0') != std::string_view::npos) {
      return corrupt(name, "a key that is no pair");
    }
    out.value(field->as_string(), *kind);
  }
  out.close().string("name", name);
  for (const bson::Element& each : rest->as_document()) {
    if (each.name != "key" && each.name != "name") out.element(each);
  }
  return out.finish();
}

std::vector<PathChange> catalog_changes(const CatalogEntry& before, const CatalogEntry& after) {
  std::vector<PathChange> changes;
  if (before.exists && after.exists) {
    differ(before.options, after.options, kOptions, array_of_one, changes);
  } else if (before.exists || after.exists) {
    PathChange& change = changes.emplace_back();
    change.kind = after.exists ? Operation::kAssign : Operation::kUnset;
    change.path = {kOptions};
    if (after.exists) change.value = options_value(after.options);
    if (before.exists && before.is_series()) changes.push_back(without_contents());
  }
  const auto as_it_is = [](const OwnedValue& value) { return value; };
  differ(before.indexes, after.indexes, kIndexes, as_it_is, changes);
  if (before.exists && after.exists) say_series_again(after, changes);
  return changes;
}

std::vector<PathChange> catalog_definition(const CatalogEntry& entry) {
  CatalogEntry none;
  none.ns = entry.ns;
  return catalog_changes(none, entry);
}

std::vector<PathChange> catalog_drop(const CatalogEntry& before) {
  std::vector<PathChange> changes(2);
  changes[0].path = {kOptions};
  changes[1].path = {kIndexes};
  for (PathChange& change : changes) change.kind = Operation::kUnset;
  if (before.is_series()) changes.push_back(without_contents());
  return changes;
}

const Path& catalog_contents() {
  static const Path kPath = {"contents"};
  return kPath;
}

bool drops_contents(const DocumentEffects& effects) {
  return effects.ns == kCatalogNs &&
         std::any_of(effects.effects.begin(), effects.effects.end(),
                     [](const Effect& effect) { return effect.path == catalog_contents(); });
}

Status set_in_catalog(CatalogEntry& entry, const Path& path, const OwnedValue& value) {
  const bool of_options = !path.empty() && path.front() == kOptions;
  const bool of_indexes = !path.empty() && path.front() == kIndexes;
  if (path.size() == 1 && of_options) return read_options(value, entry);
  if (path.size() == 1 && of_indexes) return read_indexes(value, entry);
  if (path.size() == 2 && of_indexes) return read_index(path.back(), value, entry);
  if (path.size() != 2 || !of_options) return corrupt(entry.ns, "a field that no collection has");
  const auto name = unescaped(path.back());
  const auto option = only_element(value.view());
  if (!name || !option) return corrupt(entry.ns, "an option that is none");
  entry.options[*name] = OwnedValue(*option);
  entry.exists = true;
  return {};
}

Status unset_in_catalog(CatalogEntry& entry, const Path& path) {
  const bool of_options = !path.empty() && path.front() == kOptions;
  const bool of_indexes = !path.empty() && path.front() == kIndexes;
  if (path.size() == 1 && of_options) {
    entry.options.clear();
    entry.exists = false;
    return {};
  }
  if (path.size() == 1 && of_indexes) {
    entry.indexes.clear();
    entry.building.clear();
    return {};
  }
  if (path == catalog_contents()) return {};  // who makes it true drops the collection
  const auto name = path.size() == 2 ? unescaped(path.back()) : std::nullopt;
  if (!name || !(of_options || of_indexes)) {
    return corrupt(entry.ns, "a field that no collection has");
  }
  (of_options ? entry.options : entry.indexes).erase(*name);
  if (of_indexes) entry.building.erase(*name);
  return {};
}

PreparedDocument prepared_entry(const std::string& ns, std::string before) {
  PreparedDocument document;
  document.ns = kCatalogNs;
  document.id = bson::make_string(ns);
  document.whole = true;
  document.document = std::move(before);
  return document;
}

DocumentChange catalog_change(const std::string& ns, std::vector<PathChange> changes) {
  DocumentChange change;
  change.ns = kCatalogNs;
  change.id = bson::make_string(ns);
  change.keys = Keys::kNone;
  change.changes = std::move(changes);
  return change;
}

}  // namespace outrigger
