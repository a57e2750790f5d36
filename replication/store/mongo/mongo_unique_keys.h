// Keys of unique indexes: what decides which of them a document holds, and who holds one that
// another document wants.
//
// mongod names the index that refused a document, but a key under a collation only as the bytes it
// is sorted by. So the holder is asked for by the values of the refused document in the fields of
// that index, through the index itself and under its collation: sparse and partial indexes answer
// for what they hold. An array gives a key for each element; where documents lie in arrays and an
// index joins several of their fields, one may be taken for a holder that has these values in
// different elements.
#pragma once

#include <string>
#include <vector>

#include "config/result.h"
#include "replication/record/path.h"
#include "replication/store/mongo/connection/mongo_client.h"

namespace outrigger::mongo {

// As listIndexes says one: is it unique, and not that of _id?
[[nodiscard]] bool is_unique_index(const bson::Document& index);
// Its fields, as CollectionInfo has them.
void add_unique_fields(const bson::Document& index, std::vector<Path>& fields);

class UniqueKeys {
 public:
  explicit UniqueKeys(Client& client) : client_(client) {}

  // As the port has them (store.h).
  [[nodiscard]] Result<std::vector<std::string>> holders(const std::string& ns,
                                                         const std::string& document,
                                                         const std::string& index);

 private:
  // The indexes as listIndexes says them, but that of _id.
  [[nodiscard]] Result<std::vector<std::string>> unique_indexes(const std::string& ns);

  Client& client_;
};

}  // namespace outrigger::mongo
