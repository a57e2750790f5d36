// What our user may do with the store, and what it lacks in words an operator can grant.
//
// mongod tells the privileges themselves, however they were come by (a built-in role, a role of the
// operator's own), so these are compared and no role is asked for by name.
#pragma once

#include <string>
#include <vector>

#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/mongo/connection/mongo_topology.h"

namespace outrigger::mongo {

class Privileges {
 public:
  Privileges(Client& client, Topology& topology) : client_(client), topology_(topology) {}

  // As the port has them (store.h).
  [[nodiscard]] Result<std::vector<std::string>> missing_rights();
  [[nodiscard]] Result<std::string> forbidden(const std::string& ns);
  // A namespace in which our user may delete; empty when none is known.
  [[nodiscard]] Result<std::string> somewhere_to_delete();

 private:
  // The reply to connectionStatus.
  [[nodiscard]] Result<CommandReply> ask();

  Client& client_;
  Topology& topology_;
};

}  // namespace outrigger::mongo
