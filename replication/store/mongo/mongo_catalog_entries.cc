#include "replication/store/mongo/mongo_catalog_entries.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "replication/record/record_checks.h"
#include "replication/store/store_errors.h"

namespace outrigger::mongo {
namespace {

using bson::Document;
using bson::OwnedValue;
using bson::Writer;

constexpr int32_t kNoCollection = 2;   // BadValue
constexpr int32_t kCannotChange = 20;  // IllegalOperation
constexpr int32_t kNamespaceNotFound = 26;
constexpr int32_t kIndexNotFound = 27;
constexpr int32_t kNamespaceExists = 48;
constexpr int64_t kBuiltAtOnceMax = 5'000;  // documents: below, a build takes milliseconds
constexpr const char* kLook = "look at collection";
constexpr const char* kChange = "change collection";

// Options that make a collection what it is at every site; others (storage engine) are the site's.
// What collMod says where there is none, or "" where it cannot take it away.
struct Option {
  std::string_view name;
  std::string_view unset;  // JSON-like: see append_unset
};
constexpr auto kOptionsKnown = std::to_array<Option>({
    {"validator", "{}"},
    {"validationLevel", "strict"},
    {"validationAction", "error"},
    {"changeStreamPreAndPostImages", "disabled"},
    {"expireAfterSeconds", "off"},
    {"collation", ""},
    {"clusteredIndex", ""},
});

const Option* known_option(std::string_view name) {
  const auto found = std::find_if(kOptionsKnown.begin(), kOptionsKnown.end(),
                                  [&](const Option& each) { return each.name == name; });
  return found == kOptionsKnown.end() ? nullptr : &*found;
}

// Said by collMod though nobody asked for it.
bool is_default(const Option& option, const bson::Value& value) {
  if (value.type == bson::Type::kString) return value.as_string() == option.unset;
  return option.unset == "{}" && value.type == bson::Type::kDocument && value.as_document().empty();
}

void append_unset(const Option& option, Writer& out) {
  if (option.unset == "{}") {
    out.open_document(option.name).close();
  } else if (option.unset == "disabled") {
    out.open_document(option.name).boolean("enabled", false).close();
  } else {
    out.string(option.name, option.unset);
  }
}

bool are_equal(const OwnedValue& a, const OwnedValue& b) {
  if (!a.view().is_container() || a.type != b.type) return a == b;
  return bson::equal_unordered(a.view().as_document(), b.view().as_document());
}

// What makes two indexes the same to mongod, whatever they are called (5.0 and later).
std::string signature_of(const OwnedValue& index) {
  std::string out;
  const Document parts = index.view().as_document();
  if (const auto keys = parts.find("0")) out = bson::canonical_key(*keys);
  const Document rest = sub(parts, "1");
  for (const char* flag : {"unique", "sparse"}) out += truthy(rest, flag) ? '1' : '0';
  for (const char* part : {"collation", "partialFilterExpression"}) {
    const auto value = rest.find(part);
    out += value ? bson::canonical_key(*value) : std::string("-");
  }
  return out;
}

// Of indexes that sites made alike under different names mongod takes one: the first by name.
void leave_out_twins(CatalogEntry& entry) {
  std::set<std::string> signatures;
  std::erase_if(entry.indexes, [&](const auto& each) {
    return !signatures.insert(signature_of(each.second)).second;
  });
}

WriteOutcome rejected(int32_t code, std::string message) {
  return {WriteOutcome::Kind::kRejected, code, std::move(message), false};
}

// What is so after the write.
Result<CatalogEntry> after(CatalogEntry entry, const StoreWrite& write) {
  if (write.kind == StoreWrite::Kind::kRemove) {
    CatalogEntry none;
    none.ns = std::move(entry.ns);
    return none;
  }
  if (write.kind != StoreWrite::Kind::kUpdate) return catalog_entry(Document(write.document));
  for (const Path& path : write.unset) {
    if (Status done = unset_in_catalog(entry, path); !done) return tl::unexpected(done.error());
  }
  for (const StoreWrite::Set& set : write.set) {
    if (Status done = set_in_catalog(entry, set.path, set.value); !done) {
      return tl::unexpected(done.error());
    }
  }
  return entry;
}

}  // namespace

// ---- looking

Result<CatalogEntries::Found> CatalogEntries::find(const std::string& ns) {
  const Names names = split(ns);
  Found found;
  found.entry.ns = ns;
  Writer list;
  list.int32("listCollections", 1).open_document("filter").string("name", names.collection).close();
  auto listed = client_.each(names.database, list.finish(), kLook, [&](const Document& each) {
    const std::string type = text(each, "type");
    const Document options = sub(each, "options");
    if (type == "view") found.other = "what has this name here is a view";
    if (type == "timeseries") found.other = "the collection here is a time series";
    if (truthy(options, "capped")) found.other = "the collection here is capped";
    found.entry.exists = true;
    for (const bson::Element& option : options) {
      const Option* known = known_option(option.name);
      if (known == nullptr || is_default(*known, option.value)) continue;
      found.entry.options[std::string(option.name)] = OwnedValue(option.value);
    }
    return true;
  });
  if (!listed) return tl::unexpected<Error>(listed.error());
  if (!found.entry.exists || !found.other.empty()) return found;
  if (Status indexes = list_indexes(found.entry); !indexes) {
    return tl::unexpected<Error>(indexes.error());
  }
  return found;
}

Status CatalogEntries::list_indexes(CatalogEntry& entry) {
  const Names names = split(entry.ns);
  // Those that are still being built are told apart.
  const std::string ask =
      Writer().string("listIndexes", names.collection).boolean("includeBuildUUIDs", true).finish();
  // Dropped between the two questions? Then it is not there.
  auto probe = client_.run(names.database, ask);
  if (probe && !probe->ok && probe->code == kNamespaceNotFound) {
    entry.exists = false;
    entry.options.clear();
    return {};
  }
  return client_.each(names.database, ask, kLook, [&](const Document& spec) {
    const std::string name = text(spec, "name");
    const bool is_built = !spec.has("buildUUID");
    if (is_built && name != "_id_" && !truthy(spec, "clustered"))
      entry.indexes[name] = catalog_index(spec);
    return true;
  });
}

Result<std::vector<std::optional<std::string>>> CatalogEntries::read(
    std::span<const OwnedValue> ids) {
  std::vector<std::optional<std::string>> documents;
  for (const OwnedValue& id : ids) {
    const bool is_name =
        id.type == bson::Type::kString && wrong_with_namespace(id.view().as_string()).empty();
    if (!is_name) {
      return fail(ErrorCode::kInvalidArgument, kLook, bson::to_json(id.view(), 100),
                  "it is no name of a collection");
    }
    const std::string ns(id.view().as_string());
    auto found = find(ns);
    if (!found) return tl::unexpected<Error>(found.error());
    if (!found->other.empty()) return fail(ErrorCode::kInvalidArgument, kLook, ns, found->other);
    documents.emplace_back(catalog_document(found->entry));
  }
  return documents;
}

// ---- making true

Result<WriteOutcome> CatalogEntries::write(const StoreWrite& write) {
  const bool is_name = write.id.type == bson::Type::kString &&
                       wrong_with_namespace(write.id.view().as_string()).empty();
  if (!is_name) return rejected(kNoCollection, "it is no name of a collection");
  const std::string ns(write.id.view().as_string());
  auto found = find(ns);
  if (!found) return tl::unexpected<Error>(found.error());
  if (!found->other.empty()) return rejected(kCannotChange, found->other);
  auto wanted = after(found->entry, write);
  if (!wanted) return rejected(kNoCollection, wanted.error().message());
  leave_out_twins(*wanted);
  if (wanted->ns != ns) return rejected(kNoCollection, "it is another collection's");
  auto refusal = make_true(found->entry, *wanted);
  catalog_.forget_target(ns);
  if (!refusal) return tl::unexpected<Error>(refusal.error());
  return *refusal ? std::move(**refusal) : WriteOutcome();
}

Result<CatalogEntries::Refusal> CatalogEntries::make_true(const CatalogEntry& is,
                                                          const CatalogEntry& wanted) {
  const bool stays = wanted.exists || !wanted.indexes.empty();
  if (!is.exists) {
    if (!stays) return Refusal();
    auto made = make(wanted);
    if (!made || *made) return made;
    return make_indexes(is, wanted);
  }
  if (!stays) {
    auto empty = is_empty(is.ns);
    if (!empty) return tl::unexpected<Error>(empty.error());
    const std::string drop = Writer().string("drop", split(is.ns).collection).finish();
    if (*empty) return run(is.ns, drop, kNamespaceNotFound);
  }
  auto changed = change_options(is, wanted);
  if (!changed || *changed) return changed;
  auto dropped = drop_indexes(is, wanted);
  if (!dropped || *dropped) return dropped;
  return make_indexes(is, wanted);
}

Result<CatalogEntries::Refusal> CatalogEntries::make(const CatalogEntry& wanted) {
  Writer out;
  out.string("create", split(wanted.ns).collection);
  for (const auto& [name, value] : wanted.options) {
    if (known_option(name) != nullptr) out.value(name, value);
  }
  return run(wanted.ns, out.finish(), kNamespaceExists);
}

Result<bool> CatalogEntries::is_empty(const std::string& ns) {
  const Names names = split(ns);
  bool is_empty = true;
  auto looked = client_.each(names.database,
                             Writer().string("find", names.collection).int32("limit", 1).finish(),
                             kLook, [&](const Document&) {
                               is_empty = false;
                               return true;
                             });
  if (!looked) return tl::unexpected<Error>(looked.error());
  return is_empty;
}

// One that was dropped and holds documents all the same is as if those had made it.
Result<CatalogEntries::Refusal> CatalogEntries::change_options(const CatalogEntry& is,
                                                               const CatalogEntry& wanted) {
  Writer out;
  out.string("collMod", split(is.ns).collection);
  bool any = false;
  for (const Option& option : kOptionsKnown) {
    const auto now = is.options.find(option.name);
    const auto then = wanted.options.find(option.name);
    if (now == is.options.end() && then == wanted.options.end()) continue;
    const bool is_said = then != wanted.options.end();
    if (is_said && now != is.options.end() && are_equal(now->second, then->second)) continue;
    if (option.unset.empty() && !wanted.exists) continue;
    if (option.unset.empty()) {
      return Refusal(rejected(kCannotChange, "the collection here has another " +
                                                 std::string(option.name) +
                                                 ", which no collection can change"));
    }
    any = true;
    if (is_said) out.value(option.name, then->second);
    if (!is_said) append_unset(option, out);
  }
  if (!any) return Refusal();
  return run(is.ns, out.finish());
}

Result<CatalogEntries::Refusal> CatalogEntries::drop_indexes(const CatalogEntry& is,
                                                             const CatalogEntry& wanted) {
  for (const auto& [name, index] : is.indexes) {
    const auto then = wanted.indexes.find(name);
    if (then != wanted.indexes.end() && are_equal(then->second, index)) continue;
    Writer out;
    out.string("dropIndexes", split(is.ns).collection).string("index", name);
    auto dropped = run(is.ns, out.finish(), kIndexNotFound);
    if (!dropped || *dropped) return dropped;
  }
  return Refusal();
}

// One by one: what refuses one says nothing of the others. The last refusal is given.
Result<CatalogEntries::Refusal> CatalogEntries::make_indexes(const CatalogEntry& is,
                                                             const CatalogEntry& wanted) {
  Refusal refusal;
  for (const auto& [name, index] : wanted.indexes) {
    const auto now = is.indexes.find(name);
    if (now != is.indexes.end() && are_equal(now->second, index)) continue;
    const auto spec = index_spec(name, index);
    if (!spec) return Refusal(rejected(kNoCollection, spec.error().message()));
    Writer out;
    out.string("createIndexes", split(is.ns).collection).open_array("indexes");
    out.document("0", Document(*spec)).close();
    const std::string command = out.finish();
    auto large = is_large(is.ns);
    if (!large) return tl::unexpected<Error>(large.error());
    if (*large) {
      refusal = builds_.build(is.ns, name, command);
      continue;
    }
    auto made = run(is.ns, command);
    if (!made) return made;
    if (*made) refusal = std::move(*made);
  }
  return refusal;
}

Result<bool> CatalogEntries::is_large(const std::string& ns) {
  const Names names = split(ns);
  const std::string ask = Writer().string("count", names.collection).finish();
  auto counted = client_.must(names.database, ask, kLook);
  if (!counted) return tl::unexpected<Error>(counted.error());
  return integer(counted->document(), "n") > kBuiltAtOnceMax;
}

Result<CatalogEntries::Refusal> CatalogEntries::run(const std::string& ns,
                                                    const std::string& command, int32_t unless) {
  auto reply = client_.run(split(ns).database, command);
  if (!reply) return tl::unexpected<Error>(reply.error());
  if (reply->ok || (unless != 0 && reply->code == unless)) return Refusal();
  if (store_error_passes(reply->code)) {
    return tl::unexpected<Error>(client_.refusal(kChange, reply->code, reply->message));
  }
  return Refusal(rejected(reply->code, reply->message));
}

}  // namespace outrigger::mongo
