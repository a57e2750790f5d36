#include "replication/store/mongo/connection/mongo_privileges.h"

namespace outrigger::mongo {
namespace {

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

// Of a collection (empty: of all of the database; both empty: of all databases).
bool covers(const bson::Document& resource, const Names& what) {
  if (truthy(resource, "anyResource")) return true;
  if (!resource.has("db") || !resource.has("collection")) return false;
  const std::string database = text(resource, "db");
  const std::string collection = text(resource, "collection");
  return (database.empty() || database == what.database) &&
         (collection.empty() || collection == what.collection);
}

bool granted_on(const bson::Document& privileges, const Names& what, std::string_view action) {
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

}  // namespace

Result<CommandReply> Privileges::ask() {
  bson::Writer status;
  status.int32("connectionStatus", 1).boolean("showPrivileges", true);
  return client_.must("admin", status.finish(), "check rights on store");
}

Result<std::vector<std::string>> Privileges::missing_rights() {
  auto of_kind = topology_.kind();
  if (!of_kind) return tl::unexpected<Error>(of_kind.error());
  auto status = ask();
  if (!status) return tl::unexpected<Error>(status.error());
  const bson::Document auth = sub(status->document(), "authInfo");
  if (sub(auth, "authenticatedUsers").empty()) {
    // Nobody is logged in: without authentication everything is allowed, with it nothing is.
    auto tried = client_.run(
        "admin", bson::Writer().int32("listDatabases", 1).boolean("nameOnly", true).finish());
    if (!tried) return tl::unexpected<Error>(tried.error());
    if (tried->ok) return std::vector<std::string>{};
  }
  return missing_among(sub(auth, "authenticatedUserPrivileges"),
                       *of_kind != StoreKind::kStandalone);
}

Result<std::string> Privileges::somewhere_to_delete() {
  auto status = ask();
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
  return std::string();
}

Result<std::string> Privileges::forbidden(const std::string& ns) {
  auto status = ask();
  if (!status) return tl::unexpected<Error>(status.error());
  const bson::Document auth = sub(status->document(), "authInfo");
  const bson::Document privileges = sub(auth, "authenticatedUserPrivileges");
  // Who is nobody may do nothing anywhere: not the namespace's fault.
  if (sub(auth, "authenticatedUsers").empty() || !writes_somewhere(privileges)) {
    return std::string();
  }
  const Names what = split(ns);
  std::string missing;
  const auto need = [&](const char* action, const Names& on) {
    if (!granted_on(privileges, on, action))
      missing += (missing.empty() ? "" : ", ") + std::string(action);
  };
  for (const char* action : {"find", "insert", "update", "remove"}) need(action, what);
  need("listCollections", {what.database, ""});
  if (missing.empty()) return missing;
  if (ns.empty()) return missing + " on every database (role readWriteAnyDatabase)";
  return missing + " on " + ns + " (role readWrite on " + what.database + ")";
}

}  // namespace outrigger::mongo
