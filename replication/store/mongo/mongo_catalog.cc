// What the store holds and what our user may do with it.
#include <array>

#include "replication/store/mongo/mongo_client.h"
#include "replication/store/mongo/mongo_store.h"

namespace outrigger {
namespace {

using mongo::integer;
using mongo::sub;
using mongo::text;
using mongo::truthy;

bool has_action(const bson::Document& privilege, std::string_view action) {
  for (const bson::Element& e : sub(privilege, "actions")) {
    if (e.value.type != bson::Type::kString) continue;
    if (e.value.as_string() == action || e.value.as_string() == "anyAction") return true;
  }
  return false;
}

// "" as a name in a privilege stands for every database (but local and config) or collection.
enum class Where : uint8_t { kCluster, kLocalOplog, kEveryDatabase };

bool covers(const bson::Document& resource, Where where) {
  if (truthy(resource, "anyResource")) return true;
  if (where == Where::kCluster) return truthy(resource, "cluster");
  if (!resource.has("db") || !resource.has("collection")) return false;
  const std::string database = text(resource, "db");
  const std::string collection = text(resource, "collection");
  if (where == Where::kEveryDatabase) return database.empty() && collection.empty();
  if (collection == "oplog.rs") return database.empty() || database == "local";
  return database == "local" && collection.empty();
}

bool granted(const bson::Document& privileges, Where where, std::string_view action) {
  for (const bson::Element& e : privileges) {
    if (!e.value.is_container()) continue;
    const bson::Document privilege = e.value.as_document();
    if (covers(sub(privilege, "resource"), where) && has_action(privilege, action)) return true;
  }
  return false;
}

bool is_own_database(std::string_view name) {
  return name == "admin" || name == "local" || name == "config";
}

// Of a collection (empty: of all of the database; both empty: of all databases).
bool covers(const bson::Document& resource, const mongo::Names& what) {
  if (truthy(resource, "anyResource")) return true;
  if (!resource.has("db") || !resource.has("collection")) return false;
  const std::string database = text(resource, "db");
  const std::string collection = text(resource, "collection");
  return (database.empty() || database == what.database) &&
         (collection.empty() || collection == what.collection);
}

bool granted_on(const bson::Document& privileges, const mongo::Names& what,
                std::string_view action) {
  for (const bson::Element& e : privileges) {
    if (!e.value.is_container()) continue;
    const bson::Document privilege = e.value.as_document();
    if (covers(sub(privilege, "resource"), what) && has_action(privilege, action)) return true;
  }
  return false;
}

bool writes_somewhere(const bson::Document& privileges) {
  for (const bson::Element& e : privileges) {
    if (!e.value.is_container()) continue;
    const bson::Document privilege = e.value.as_document();
    const bson::Document resource = sub(privilege, "resource");
    const bool data = truthy(resource, "anyResource") ||
                      (resource.has("db") && !is_own_database(text(resource, "db")));
    if (data && has_action(privilege, "insert")) return true;
  }
  return false;
}

std::vector<std::string> missing_among(const bson::Document& privileges, bool replica_set) {
  std::vector<std::string> missing;
  if (!granted(privileges, Where::kCluster, "killAnySession")) {
    missing.emplace_back("killAnySession on the cluster (in role hostManager)");
  }
  if (!granted(privileges, Where::kCluster, "inprog")) {
    missing.emplace_back("inprog on the cluster (in role clusterMonitor)");
  }
  if (replica_set && !granted(privileges, Where::kLocalOplog, "find")) {
    missing.emplace_back("find on the database local (role read on local)");
  }
  if (!writes_somewhere(privileges)) {
    missing.emplace_back("reading and writing every database (role readWriteAnyDatabase)");
  }
  if (!granted(privileges, Where::kEveryDatabase, "bypassDocumentValidation")) {
    missing.emplace_back(
        "bypassDocumentValidation on every database (a role of your own, or dbAdminAnyDatabase)");
  }
  return missing;
}

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
  info.uuid = mongo::binary(sub(listed, "info"), "uuid");
  return info;
}

std::string list_collections(const std::optional<std::string>& name) {
  bson::Writer list;
  list.int32("listCollections", 1);
  if (name) list.open_document("filter").string("name", *name).close();
  return list.finish();
}

}  // namespace

Result<std::vector<std::string>> MongoStore::missing_rights() {
  const std::string step = "check rights on store";
  auto of_kind = kind();
  if (!of_kind) return tl::unexpected<Error>(of_kind.error());
  bson::Writer ask;
  ask.int32("connectionStatus", 1).boolean("showPrivileges", true);
  auto status = client_->must("admin", ask.finish(), step);
  if (!status) return tl::unexpected<Error>(status.error());
  const bson::Document auth = sub(status->document(), "authInfo");
  if (sub(auth, "authenticatedUsers").empty()) {
    // Nobody is logged in: without authentication everything is allowed, with it nothing is.
    auto tried = client_->run(
        "admin", bson::Writer().int32("listDatabases", 1).boolean("nameOnly", true).finish());
    if (!tried) return tl::unexpected<Error>(tried.error());
    if (tried->ok) return std::vector<std::string>{};
  }
  return missing_among(sub(auth, "authenticatedUserPrivileges"),
                       *of_kind != StoreKind::kStandalone);
}

Result<std::string> MongoStore::somewhere_to_delete() {
  bson::Writer ask;
  ask.int32("connectionStatus", 1).boolean("showPrivileges", true);
  auto status = client_->must("admin", ask.finish(), "check rights on store");
  if (!status) return tl::unexpected<Error>(status.error());
  const bson::Document auth = sub(status->document(), "authInfo");
  for (const bson::Element& e : sub(auth, "authenticatedUserPrivileges")) {
    if (!e.value.is_container() || !has_action(e.value.as_document(), "remove")) continue;
    const bson::Document resource = sub(e.value.as_document(), "resource");
    const std::string database = text(resource, "db");
    const std::string collection = text(resource, "collection");
    if (database.empty() || is_own_database(database) || collection.starts_with("system.")) {
      continue;
    }
    return database + "." + (collection.empty() ? "nothing" : collection);
  }
  return std::string(kNobodysNamespace);
}

Result<std::string> MongoStore::forbidden(const std::string& ns) {
  bson::Writer ask;
  ask.int32("connectionStatus", 1).boolean("showPrivileges", true);
  auto status = client_->must("admin", ask.finish(), "check rights on store");
  if (!status) return tl::unexpected<Error>(status.error());
  const bson::Document auth = sub(status->document(), "authInfo");
  const bson::Document privileges = sub(auth, "authenticatedUserPrivileges");
  // Who is nobody may do nothing anywhere: not the namespace's fault.
  if (sub(auth, "authenticatedUsers").empty() || !writes_somewhere(privileges)) {
    return std::string();
  }
  const mongo::Names what = mongo::split(ns);
  std::string missing;
  const auto need = [&](const char* action, const mongo::Names& on) {
    if (!granted_on(privileges, on, action))
      missing += (missing.empty() ? "" : ", ") + std::string(action);
  };
  for (const char* action : {"find", "insert", "update", "remove"}) need(action, what);
  need("listCollections", {what.database, ""});
  if (missing.empty()) return missing;
  if (ns.empty()) return missing + " on every database (role readWriteAnyDatabase)";
  return missing + " on " + ns + " (role readWrite on " + what.database + ")";
}

Result<int64_t> MongoStore::count(const std::string& database, const std::string& collection) {
  const std::string step = "count documents";
  auto reply = client_->must(database, bson::Writer().string("count", collection).finish(), step);
  if (!reply) return tl::unexpected<Error>(reply.error());
  const int64_t counted = integer(reply->document(), "n");
  if (counted > 0) return counted;
  // After an unclean shutdown the count can be wrong; whether there is one cannot.
  int64_t seen = 0;
  auto looked =
      client_->each(database, bson::Writer().string("find", collection).int32("limit", 1).finish(),
                    step, [&](const bson::Document&) {
                      ++seen;
                      return true;
                    });
  if (!looked) return tl::unexpected<Error>(looked.error());
  return seen;
}

Status MongoStore::list_namespaces(const std::string& database, const NamespaceFilter& filter,
                                   std::vector<NamespaceCount>& into) {
  std::vector<std::string> collections;
  auto listed = client_->each(
      database, list_collections(std::nullopt), "list collections", [&](const bson::Document& d) {
        const std::string name = text(d, "name");
        const bool ours = describe(d).type == CollectionInfo::Type::kCollection &&
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

Result<std::vector<NamespaceCount>> MongoStore::replicated_namespaces(
    const NamespaceFilter& filter) {
  bson::Writer list;
  list.int32("listDatabases", 1).boolean("nameOnly", true);
  auto databases = client_->must("admin", list.finish(), "list databases");
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

Result<CollectionInfo> MongoStore::list_collection(const std::string& ns) {
  const mongo::Names names = mongo::split(ns);
  CollectionInfo info;
  auto listed = client_->each(names.database, list_collections(names.collection),
                              "look at collection", [&](const bson::Document& d) {
                                info = describe(d);
                                return true;
                              });
  if (!listed) return tl::unexpected<Error>(listed.error());
  return info;
}

Result<CollectionInfo> MongoStore::collection(const std::string& ns) {
  const mongo::Names names = mongo::split(ns);
  auto listed = list_collection(ns);
  if (!listed || listed->type != CollectionInfo::Type::kCollection) return listed;
  CollectionInfo info = std::move(*listed);

  constexpr int32_t kNamespaceNotFound = 26;
  const std::string ask = bson::Writer().string("listIndexes", names.collection).finish();
  // Dropped between the two questions? Then it is not there.
  auto probe = client_->run(names.database, ask);
  if (probe && !probe->ok && probe->code == kNamespaceNotFound) return CollectionInfo{};
  auto indexes =
      client_->each(names.database, ask, "look at indexes", [&](const bson::Document& d) {
        const bool on_id =
            sub(d, "key").has("_id") && !truthy(d, "clustered") && text(d, "name") == "_id_";
        if (truthy(d, "unique") && !on_id && !truthy(d, "clustered")) info.unique_indexes = true;
        return true;
      });
  if (!indexes) return tl::unexpected<Error>(indexes.error());
  return info;
}

}  // namespace outrigger
