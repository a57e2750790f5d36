// What the store holds: its databases, its collections and what kind each of them is.
//
// Reading and applying ask for the same few collections again and again, so what was seen is kept,
// where the server itself tells when it is no longer true.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/relaxed_indexes.h"
#include "replication/store/store.h"

namespace outrigger::mongo {

class Catalog {
 public:
  // Both outlive it; what the site has relaxed is unique.
  Catalog(Client& client, const RelaxedIndexes& relaxed) : client_(client), relaxed_(relaxed) {}

  // As the port has them (store.h).
  [[nodiscard]] Result<std::vector<NamespaceCount>> replicated_namespaces(
      const StoreCatalog::NamespaceFilter& filter);
  [[nodiscard]] Result<CollectionInfo> collection(const std::string& ns);

  // What is read and written under this name (nothing of its indexes), as last looked at.
  [[nodiscard]] Result<CollectionInfo> target(const std::string& ns);
  // The same, never as it was before. A series says nothing when it is written to as the collection
  // that it came in the place of, nor does one that has come in its place.
  [[nodiscard]] Result<CollectionInfo> target_now(const std::string& ns);
  // Looks at it anew the next time. False: it would have, anyway.
  bool forget_target(const std::string& ns) { return targets_.erase(ns) > 0; }
  // An index over it is built beside everything else.
  [[nodiscard]] Result<bool> is_large(const std::string& ns);
  // Names of indexes that mongod is building on a collection.
  [[nodiscard]] Result<std::set<std::string, std::less<>>> being_built(const std::string& ns);

 private:
  [[nodiscard]] Result<int64_t> count(const std::string& database, const std::string& collection);
  [[nodiscard]] Status list_namespaces(const std::string& database,
                                       const StoreCatalog::NamespaceFilter& filter,
                                       std::vector<NamespaceCount>& into);
  [[nodiscard]] Result<CollectionInfo> list_collection(const std::string& ns);
  // Can a command say that it means this one, so that it fails where another has come in its place?
  [[nodiscard]] Result<bool> takes_names(const std::string& ns, const CollectionInfo& info);

  Client& client_;
  const RelaxedIndexes& relaxed_;
  std::map<std::string, CollectionInfo> targets_;
};

}  // namespace outrigger::mongo
