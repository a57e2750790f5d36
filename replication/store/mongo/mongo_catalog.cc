#include "replication/store/mongo/mongo_catalog.h"

#include "replication/store/mongo/mongo_unique_keys.h"
#include "replication/store/store_errors.h"
#include "replication/store/store_version.h"

namespace outrigger::mongo {
namespace {

constexpr int64_t kBuiltAtOnceMax = 5'000;  // documents: below, a build takes milliseconds
constexpr const char* kLookStep = "look at collection";

CollectionInfo describe(const bson::Document& listed) {
  CollectionInfo info;
  const std::string type = text(listed, "type");
  const bson::Document options = sub(listed, "options");
  info.type = type == "view"         ? CollectionInfo::Type::kView
              : type == "timeseries" ? CollectionInfo::Type::kTimeSeries
                                     : CollectionInfo::Type::kCollection;
  info.capped = truthy(options, "capped");
  info.clustered = options.has("clusteredIndex");
  const bson::Document collation = sub(options, "collation");
  info.simple_collation = collation.empty() || text(collation, "locale") == "simple";
  const bson::Document validator = sub(options, "validator");
  if (!validator.empty()) info.validator = validator.bytes();
  info.uuid = binary(sub(listed, "info"), "uuid");
  const bson::Document series = sub(options, "timeseries");
  info.time_field = text(series, "timeField");
  info.meta_field = text(series, "metaField");
  info.bucket_span_ms = 1000 * integer(series, "bucketMaxSpanSeconds");
  return info;
}

std::string list_collections(const std::optional<std::string>& name) {
  bson::Writer list;
  list.int32("listCollections", 1);
  if (name) list.open_document("filter").string("name", *name).close();
  return list.finish();
}

}  // namespace

Result<int64_t> Catalog::count(const std::string& database, const std::string& collection) {
  const std::string step = "count documents";
  auto reply = client_.must(database, bson::Writer().string("count", collection).finish(), step);
  if (!reply) return tl::unexpected<Error>(reply.error());
  const int64_t counted = integer(reply->document(), "n");
  if (counted > 0) return counted;
  // After an unclean shutdown the count can be wrong; whether there is one cannot.
  int64_t seen = 0;
  auto looked =
      client_.each(database, bson::Writer().string("find", collection).int32("limit", 1).finish(),
                   step, [&](const bson::Document&) {
                     ++seen;
                     return true;
                   });
  if (!looked) return tl::unexpected<Error>(looked.error());
  return seen;
}

Status Catalog::list_namespaces(const std::string& database,
                                const StoreCatalog::NamespaceFilter& filter,
                                std::vector<NamespaceCount>& into) {
  std::vector<std::string> collections;
  auto listed = client_.each(
      database, list_collections(std::nullopt), "list collections", [&](const bson::Document& d) {
        const std::string name = text(d, "name");
        const bool ours = describe(d).type != CollectionInfo::Type::kView &&
                          !name.starts_with("system.") && filter(database + "." + name);
        if (ours) collections.push_back(name);
        return true;
      });
  if (!listed) return listed;
  for (const std::string& collection : collections) {
    auto documents = count(database, collection);
    if (!documents) return tl::unexpected<Error>(documents.error());
    if (*documents > 0) into.push_back({database + "." + collection, *documents});
  }
  return {};
}

Result<std::vector<NamespaceCount>> Catalog::replicated_namespaces(
    const StoreCatalog::NamespaceFilter& filter) {
  bson::Writer list;
  list.int32("listDatabases", 1).boolean("nameOnly", true);
  auto databases = client_.must("admin", list.finish(), "list databases");
  if (!databases) return tl::unexpected<Error>(databases.error());
  std::vector<NamespaceCount> found;
  for (const bson::Element& e : sub(databases->document(), "databases")) {
    if (!e.value.is_container()) continue;
    const std::string name = text(e.value.as_document(), "name");
    if (is_own_database(name)) continue;
    if (auto listed = list_namespaces(name, filter, found); !listed) {
      return tl::unexpected<Error>(listed.error());
    }
  }
  return found;
}

Result<CollectionInfo> Catalog::list_collection(const std::string& ns) {
  const Names names = split(ns);
  CollectionInfo info;
  auto listed = client_.each(names.database, list_collections(names.collection), kLookStep,
                             [&](const bson::Document& d) {
                               info = describe(d);
                               return true;
                             });
  if (!listed) return tl::unexpected<Error>(listed.error());
  return info;
}

Result<CollectionInfo> Catalog::collection(const std::string& ns) {
  const Names names = split(ns);
  auto listed = list_collection(ns);
  if (!listed || listed->type != CollectionInfo::Type::kCollection) return listed;
  CollectionInfo info = std::move(*listed);
  auto named = takes_names(ns, info);
  if (!named) return tl::unexpected<Error>(named.error());
  info.is_named = *named;

  constexpr int32_t kNamespaceNotFound = 26;
  const std::string ask = bson::Writer().string("listIndexes", names.collection).finish();
  // Dropped between the two questions? Then it is not there.
  auto probe = client_.run(names.database, ask);
  if (probe && !probe->ok && probe->code == kNamespaceNotFound) return CollectionInfo{};
  auto indexes = client_.each(names.database, ask, "look at indexes", [&](const bson::Document& d) {
    if (is_unique_index(d)) add_unique_fields(d, info.unique_fields);
    return true;
  });
  if (!indexes) return tl::unexpected<Error>(indexes.error());
  // One that is being made anew is not among them.
  for (const std::string& spec : relaxed_.in(ns)) {
    add_unique_fields(bson::Document(spec), info.unique_fields);
  }
  return info;
}

Result<bool> Catalog::is_large(const std::string& ns) {
  const std::string ask = bson::Writer().string("count", split(ns).collection).finish();
  auto counted = client_.must(split(ns).database, ask, kLookStep);
  if (!counted) return tl::unexpected<Error>(counted.error());
  return integer(counted->document(), "n") > kBuiltAtOnceMax;
}

Result<std::set<std::string, std::less<>>> Catalog::being_built(const std::string& ns) {
  const std::string stats = bson::Writer().string("collStats", split(ns).collection).finish();
  auto said = client_.must(split(ns).database, stats, kLookStep);
  if (!said) return tl::unexpected<Error>(said.error());
  std::set<std::string, std::less<>> names;
  for (const bson::Element& each : sub(said->document(), "indexBuilds")) {
    if (each.value.type == bson::Type::kString) names.emplace(each.value.as_string());
  }
  return names;
}

// A mongod that knows `collectionUUID` refuses each command with it while its feature compatibility
// version is one before 6.0, as between an upgrade of its binaries and the command that ends it.
Result<bool> Catalog::takes_names(const std::string& ns, const CollectionInfo& info) {
  const auto wire_version = static_cast<int32_t>(integer(client_.hello(), "maxWireVersion"));
  const bool is_one = info.type == CollectionInfo::Type::kCollection && info.uuid.size() == 16;
  if (!has(wire_version, StoreFeature::kNamesCollections) || !is_one) return false;
  const Names names = split(ns);
  constexpr uint8_t kUuid = 4;
  bson::Writer find;
  find.string("find", names.collection).open_document("filter").int32("$alwaysFalse", 1).close();
  find.int32("limit", 1).boolean("singleBatch", true).binary("collectionUUID", kUuid, info.uuid);
  auto reply = client_.run(names.database, find.finish());
  if (!reply) return tl::unexpected<Error>(reply.error());
  return reply->ok || !store_refuses_names(reply->code, reply->message);
}

// Where commands name the collection they mean, a change of it is told by the next command; else it
// is looked at every time.
Result<CollectionInfo> Catalog::target(const std::string& ns) {
  constexpr size_t kTargetsMax = 10'000;
  const auto known = targets_.find(ns);
  if (known != targets_.end()) return known->second;
  auto listed = list_collection(ns);
  if (!listed) return listed;
  auto named = takes_names(ns, *listed);
  if (!named) return tl::unexpected<Error>(named.error());
  listed->is_named = *named;
  if (targets_.size() >= kTargetsMax) targets_.clear();
  // Whatever has no such name of its own must be looked at again.
  if (listed->is_named) targets_.emplace(ns, *listed);
  return listed;
}

Result<CollectionInfo> Catalog::target_now(const std::string& ns) {
  forget_target(ns);
  return target(ns);
}

}  // namespace outrigger::mongo
