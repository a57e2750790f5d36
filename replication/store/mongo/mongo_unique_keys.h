// Keys of unique indexes: what decides which of them a document holds, and who holds one that
// another document wants.
//
// mongod names the index that refused a document, but a key under a collation only as the bytes it
// is sorted by. So the holder is asked for by the values of the refused document in the fields of
// that index, through the index itself and under its collation: sparse and partial indexes answer
// for what they hold. An array gives a key for each element; where documents lie in arrays and an
// index joins several of their fields, who has these values in different elements is told apart by
// the keys of both (keys/mongo_key_tuples.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/record/path.h"
#include "replication/store/key_guard.h"
#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/mongo/keys/mongo_key_tuples.h"
#include "replication/store/mongo/mongo_catalog.h"
#include "replication/store/mongo/mongo_index_builds.h"

namespace outrigger::mongo {

// As listIndexes says one: does it refuse duplicates, and is not that of _id?
[[nodiscard]] bool is_unique_index(const bson::Document& index);
// Its fields, as CollectionInfo has them.
void add_unique_fields(const bson::Document& index, std::vector<Path>& fields);

class UniqueKeys {
 public:
  // All outlive it.
  UniqueKeys(Client& client, Catalog& catalog, IndexBuilds& builds)
      : client_(client), catalog_(catalog), builds_(builds) {}

  // As the port has them (store.h).
  [[nodiscard]] Result<std::vector<std::string>> holders(const std::string& ns,
                                                         const std::string& document,
                                                         const std::string& index);

  [[nodiscard]] Result<bool> holds_keys(const std::string& ns, const std::string& document,
                                        const std::string& index);

  [[nodiscard]] Result<std::optional<KeyIndex>> key_index(const std::string& ns,
                                                          const std::string& name);
  [[nodiscard]] Result<GuardChange> set_guard(const std::string& ns, const std::string& spec,
                                              KeyGuard guard);

 private:
  // As listIndexes says it; nothing: there is none.
  [[nodiscard]] Result<std::optional<std::string>> listed(const std::string& ns,
                                                          const std::string& name);
  [[nodiscard]] Status leave_holders(const bson::Document& index, const std::string& database,
                                     const std::string& document, std::vector<std::string>& found);
  [[nodiscard]] Result<bool> share_under(const bson::Document& collation,
                                         const std::string& database,
                                         const std::vector<KeyTuple>& some,
                                         const std::vector<KeyTuple>& others);
  [[nodiscard]] Result<GuardChange> make_or_restore(const std::string& ns, const std::string& spec,
                                                    KeyGuard guard);
  [[nodiscard]] Result<GuardChange> make(const std::string& ns, const std::string& spec);
  [[nodiscard]] Result<GuardChange> run(const std::string& ns, const std::string& command);
  [[nodiscard]] Result<GuardChange> run_beside(const std::string& ns, const std::string& name,
                                               const std::string& command);

  Client& client_;
  Catalog& catalog_;
  IndexBuilds& builds_;
};

}  // namespace outrigger::mongo
