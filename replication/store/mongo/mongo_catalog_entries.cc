#include "replication/store/mongo/mongo_catalog_entries.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "replication/record/record_checks.h"
#include "replication/store/mongo/mongo_collection_options.h"
#include "replication/store/mongo/mongo_index_specs.h"
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
constexpr int32_t kBuiltAtOnceMs = 1'000;  // mongod may have it wait for other builds
constexpr int32_t kGivenUpMs = 200;        // likewise, for one to end
constexpr int32_t kMaxTimeExpired = 50;
constexpr const char* kLook = "look at collection";
constexpr const char* kChange = "change collection";

bool are_equal(const OwnedValue& a, const OwnedValue& b) {
  if (!a.view().is_container() || a.type != b.type) return a == b;
  return bson::equal_unordered(a.view().as_document(), b.view().as_document());
}

Document as_document(const OwnedValue& value) {
  return value.type == bson::Type::kDocument ? value.view().as_document() : Document();
}

bool is_name(const OwnedValue& id) {
  return id.type == bson::Type::kString && wrong_with_namespace(id.view().as_string()).empty();
}

WriteOutcome rejected(int32_t code, std::string message) {
  return {WriteOutcome::Kind::kRejected, code, std::move(message), false};
}

// How large its buckets are is no part of what it is.
bool is_same_series(const Document& a, const Document& b) {
  return text(a, "timeField") == text(b, "timeField") &&
         text(a, "metaField") == text(b, "metaField");
}

// mongod makes buckets only larger.
bool is_coarser(const Document& wanted, const Document& is) {
  constexpr std::string_view kGranularities[] = {"seconds", "minutes", "hours"};
  const auto rank = [&](const Document& of) {
    const std::string said = text(of, "granularity");
    return std::find(std::begin(kGranularities), std::end(kGranularities), said);
  };
  return rank(wanted) != std::end(kGranularities) && rank(wanted) > rank(is);
}

bool is_same_in(std::string_view option, const CatalogEntry& is, const CatalogEntry& wanted) {
  const auto now = is.options.find(option);
  const auto then = wanted.options.find(option);
  if (now == is.options.end() || then == wanted.options.end()) {
    return (now == is.options.end()) == (then == wanted.options.end());
  }
  if (option == kSeries) return is_same_series(as_document(now->second), as_document(then->second));
  return are_equal(now->second, then->second);
}

// In what no collection can change.
bool is_made_otherwise(const CatalogEntry& is, const CatalogEntry& wanted) {
  return std::any_of(kOptionsKnown.begin(), kOptionsKnown.end(),
                     [&](const CollectionOption& option) {
                       return option.unset.empty() && !is_same_in(option.name, is, wanted);
                     });
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

Result<CatalogEntry> CatalogEntries::find(const std::string& ns) {
  const Names names = split(ns);
  CatalogEntry found;
  found.ns = ns;
  Writer list;
  list.int32("listCollections", 1).open_document("filter").string("name", names.collection).close();
  auto listed = client_.each(names.database, list.finish(), kLook, [&](const Document& each) {
    const Document options = sub(each, "options");
    found.exists = true;
    for (const bson::Element& option : options) {
      const CollectionOption* known = known_option(option.name);
      if (known == nullptr || is_default(*known, option.value)) continue;
      found.options[std::string(option.name)] = OwnedValue(option.value);
    }
    return true;
  });
  if (!listed) return tl::unexpected<Error>(listed.error());
  if (!found.exists || found.is_view()) return found;
  if (Status indexes = list_indexes(found); !indexes) {
    return tl::unexpected<Error>(indexes.error());
  }
  return found;
}

// mongod lists those that it is still building, too.
Status CatalogEntries::list_indexes(CatalogEntry& entry) {
  const Names names = split(entry.ns);
  const std::string ask = Writer().string("listIndexes", names.collection).finish();
  // Dropped between the two questions? Then it is not there.
  auto probe = client_.run(names.database, ask);
  if (probe && !probe->ok && probe->code == kNamespaceNotFound) {
    entry.exists = false;
    entry.options.clear();
    return {};
  }
  auto listed = client_.each(names.database, ask, kLook, [&](const Document& spec) {
    const std::string name = text(spec, "name");
    if (name == "_id_" || truthy(spec, "clustered")) return true;
    const std::string shown = relaxed_.shown(entry.ns, spec);
    entry.indexes[name] = catalog_index(Document(shown));
    return true;
  });
  if (!listed || entry.indexes.empty()) return listed;
  auto building = catalog_.being_built(entry.ns);
  if (!building) return tl::unexpected<Error>(building.error());
  for (const std::string& name : *building) entry.indexes.erase(name);
  entry.building.merge(*building);
  return {};
}

Result<std::vector<std::optional<std::string>>> CatalogEntries::read(
    std::span<const OwnedValue> ids) {
  std::vector<std::optional<std::string>> documents;
  for (const OwnedValue& id : ids) {
    documents.emplace_back();
    if (!is_name(id)) continue;
    auto entry = find(std::string(id.view().as_string()));
    if (!entry) return tl::unexpected<Error>(entry.error());
    documents.back() = catalog_document(*entry);
  }
  return documents;
}

// ---- making true

Result<WriteOutcome> CatalogEntries::write(const StoreWrite& write) {
  if (!is_name(write.id)) return rejected(kNoCollection, "it is no name of a collection");
  const std::string ns(write.id.view().as_string());
  auto found = find(ns);
  if (!found) return tl::unexpected<Error>(found.error());
  CatalogEntry waiting = *found;
  for (std::string& name : builds_.waiting_in(ns)) waiting.building.insert(std::move(name));
  const std::set<std::string, std::less<>> unbuilt = waiting.building;
  auto wanted = after(std::move(waiting), write);
  if (!wanted) return rejected(kNoCollection, wanted.error().message());
  if (wanted->ns != ns) return rejected(kNoCollection, "it is another collection's");
  // Dropped at one site while another one changed how large it may be.
  if (!wanted->options.contains(kCapped)) {
    for (const char* name : {"size", "max"}) wanted->options.erase(name);
  }
  builds_.keep_only(ns, wanted->indexes);
  auto refusal = make_true(*found, *wanted);
  // A document of the whole collection knows nothing of what is just being built.
  const bool is_by_name = write.document.empty();
  if (refusal && !*refusal && is_by_name) refusal = give_up(*found, *wanted, unbuilt);
  catalog_.forget_target(ns);
  if (!refusal) return tl::unexpected<Error>(refusal.error());
  return *refusal ? std::move(**refusal) : WriteOutcome();
}

// Indexes that are not there yet, and that the write takes away by name. What is under way is taken
// back once it is built; what an earlier life of this process began, mongod is told to end. Until
// then the write is rejected, so that it is done again whatever happens in between.
Result<CatalogEntries::Refusal> CatalogEntries::give_up(
    const CatalogEntry& is, const CatalogEntry& wanted,
    const std::set<std::string, std::less<>>& unbuilt) {
  Refusal refusal;
  for (const std::string& name : unbuilt) {
    if (wanted.building.contains(name)) continue;
    const bool is_over = builds_.give_up(is.ns, name);
    if (is_over && !is.building.contains(name)) continue;
    auto dropped = is_over ? drop_index(is.ns, name, kGivenUpMs) : Result<Refusal>(Refusal());
    if (!dropped || (*dropped && (*dropped)->code != kMaxTimeExpired)) return dropped;
    if (is_over && !*dropped) continue;
    refusal = rejected(GuardChange::kInProgress, "its index is being given up");
  }
  return refusal;
}

Result<CatalogEntries::Refusal> CatalogEntries::drop_index(const std::string& ns,
                                                           const std::string& name, int32_t ms) {
  Writer out;
  out.string("dropIndexes", split(ns).collection).string("index", name);
  if (ms > 0) out.int32("maxTimeMS", ms);
  return run(ns, out.finish(), kIndexNotFound);
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
  if (is.is_view() && wanted.is_view() && is_same_in(kCollation, is, wanted)) {
    return is_made_otherwise(is, wanted) ? change_view(wanted) : Refusal();
  }
  if (!stays || is_made_otherwise(is, wanted)) {
    // With a view no document goes. With a capped collection all do: who dropped it knows nothing
    // of those that it had evicted. Measurements are in nobody's records of a drop.
    const bool is_whole =
        is.is_view() || (!stays && (is.options.contains(kCapped) || is.is_series()));
    auto goes = is_whole ? Result<bool>(true) : is_empty(is.ns);
    if (!goes) return tl::unexpected<Error>(goes.error());
    if (*goes) {
      const std::string drop = Writer().string("drop", split(is.ns).collection).finish();
      auto dropped = run(is.ns, drop, kNamespaceNotFound);
      if (!dropped || *dropped || !stays) return dropped;
      CatalogEntry none;
      none.ns = is.ns;
      return make_true(none, wanted);
    }
  }
  auto changed = change_options(is, wanted);
  if (!changed || *changed) return changed;
  CatalogEntry now = is;
  changed = change_indexes(now, wanted);
  if (!changed || *changed) return changed;
  if (auto dropped = drop_indexes(now, wanted); !dropped || *dropped) return dropped;
  return make_indexes(now, wanted);
}

Result<CatalogEntries::Refusal> CatalogEntries::make(const CatalogEntry& wanted) {
  Writer out;
  out.string("create", split(wanted.ns).collection);
  for (const auto& [name, value] : wanted.options) {
    if (known_option(name) != nullptr) out.value(name, value);
  }
  return run(wanted.ns, out.finish(), kNamespaceExists);
}

Result<CatalogEntries::Refusal> CatalogEntries::change_view(const CatalogEntry& wanted) {
  Writer out;
  out.string("collMod", split(wanted.ns).collection);
  for (const char* name : {"viewOn", "pipeline"}) {
    const auto value = wanted.options.find(name);
    if (value != wanted.options.end()) out.value(name, value->second);
  }
  return run(wanted.ns, out.finish());
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
  for (const CollectionOption& option : kOptionsKnown) {
    const auto now = is.options.find(option.name);
    const auto then = wanted.options.find(option.name);
    if (now == is.options.end() && then == wanted.options.end()) continue;
    const bool is_said = then != wanted.options.end();
    if (is_said && now != is.options.end() && are_equal(now->second, then->second)) continue;
    if (option.name == kSeries && is_same_in(kSeries, is, wanted)) {
      const Document series = as_document(then->second);
      if (!is_coarser(series, as_document(now->second))) continue;
      out.open_document(kSeries).string("granularity", text(series, "granularity")).close();
      any = true;
      continue;
    }
    if (option.unset.empty()) {
      return Refusal(rejected(kCannotChange, "the collection here has another " +
                                                 std::string(option.name) +
                                                 ", which no collection can change"));
    }
    any = true;
    if (is_said) out.value(option.in_coll_mod, then->second);
    if (!is_said) append_unset(option, out);
  }
  if (!any) return Refusal();
  return run(is.ns, out.finish());
}

// What an index is for but not what it holds: changed in place, so that a unique one stays.
Result<CatalogEntries::Refusal> CatalogEntries::change_indexes(CatalogEntry& is,
                                                               const CatalogEntry& wanted) {
  for (auto& [name, index] : is.indexes) {
    const auto then = wanted.indexes.find(name);
    if (then == wanted.indexes.end() || are_equal(then->second, index)) continue;
    if (fixed_part(then->second) != fixed_part(index)) continue;
    const Document rest = sub(then->second.view().as_document(), "1");
    Writer out;
    out.string("collMod", split(is.ns).collection).open_document("index").string("name", name);
    const bool is_hidden = truthy(rest, "hidden");
    if (is_hidden != truthy(sub(index.view().as_document(), "1"), "hidden")) {
      out.boolean("hidden", is_hidden);
    }
    if (const auto after = rest.find("expireAfterSeconds")) out.value("expireAfterSeconds", *after);
    auto changed = run(is.ns, out.close().finish());
    if (!changed || *changed) return changed;
    index = then->second;
  }
  return Refusal();
}

Result<CatalogEntries::Refusal> CatalogEntries::drop_indexes(const CatalogEntry& is,
                                                             const CatalogEntry& wanted) {
  for (const auto& [name, index] : is.indexes) {
    const auto then = wanted.indexes.find(name);
    if (then != wanted.indexes.end() && are_equal(then->second, index)) continue;
    if (auto dropped = drop_index(is.ns, name); !dropped || *dropped) return dropped;
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
    // One that is just being made anew, so that documents can share a key, goes on so.
    const auto relaxed = relaxed_.find(is.ns, name);
    const bool is_relaxed = relaxed && is_same_index(Document(*relaxed), Document(*spec)) &&
                            guard_of(Document(*spec)) == KeyGuard::kAll;
    const std::string command =
        create_index_command(split(is.ns).collection, is_relaxed ? *relaxed : *spec);
    auto large = catalog_.is_large(is.ns);
    if (!large) return tl::unexpected<Error>(large.error());
    if (*large) {
      refusal = builds_.build(is.ns, name, command, is_relaxed);
      continue;
    }
    auto made = run(
        is.ns, Writer().append_all(Document(command)).int32("maxTimeMS", kBuiltAtOnceMs).finish());
    if (!made) return made;
    if (*made && (*made)->code == kMaxTimeExpired) {
      refusal = builds_.build(is.ns, name, command, is_relaxed);
    } else if (*made) {
      refusal = std::move(*made);
    }
  }
  return refusal;
}

Result<CatalogEntries::Refusal> CatalogEntries::run(const std::string& ns,
                                                    const std::string& command, int32_t unless) {
  auto reply = client_.run(split(ns).database, command);
  if (!reply) return tl::unexpected<Error>(reply.error());
  if (reply->ok || (unless != 0 && reply->code == unless)) return Refusal();
  if (reply->code != kMaxTimeExpired && store_error_passes(reply->code)) {
    return tl::unexpected<Error>(client_.refusal(kChange, reply->code, reply->message));
  }
  return Refusal(rejected(reply->code, reply->message));
}

}  // namespace outrigger::mongo
