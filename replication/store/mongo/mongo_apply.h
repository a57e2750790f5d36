// Applying merged documents: raw insert, delete and update commands, one after the other, so that a
// reader sees no write without those before it.
//
// A command takes what follows each other in one collection by one verb. It is ordered and names no
// document twice, so that it can be sent again when its answer is lost: no document goes back to
// what it was in the middle. It stops at the first error; what that error means is decided, and the
// rest goes into another command. Only the last one waits for the journal, which holds all before
// it then.
//
// An update command reports errors by statement but matches only in sum; when the sum is short the
// _ids are looked up. On a network error we do not resend (the caller does, values being absolute);
// nor do commands have the number of a retryable write, which costs mongod a third more.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/mongo/connection/mongo_privileges.h"
#include "replication/store/mongo/connection/mongo_topology.h"
#include "replication/store/mongo/mongo_catalog.h"
#include "replication/store/mongo/mongo_journal.h"
#include "replication/store/store.h"

namespace outrigger::mongo {

class DocumentWriter {
 public:
  struct Parts {  // all outlive the writer
    Client& client;
    Topology& topology;
    Catalog& catalog;        // what is written to
    Privileges& privileges;  // why a write was refused
    Journal& journal;
  };
  explicit DocumentWriter(Parts parts) : parts_(parts) {}

  // As the port has them (store.h).
  [[nodiscard]] Applied apply_in_order(std::span<const StoreWrite> writes);
  [[nodiscard]] Result<std::vector<size_t>> against_validator(
      const std::string& ns, std::span<const bson::OwnedValue> ids);
  [[nodiscard]] const std::vector<std::string>& own_sessions() const { return own_sessions_; }

 private:
  Parts parts_;
  std::vector<std::string> own_sessions_;
};

}  // namespace outrigger::mongo
