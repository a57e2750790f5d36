// Waiting until what the store has answered is in its journal (on a set: majority-committed).
//
// mongod has no command for it that an ordinary user may run, so we write what changes nothing and
// let its write concern wait: its answer comes when all before it is there.
#pragma once

#include <string>

#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/mongo/connection/mongo_privileges.h"
#include "replication/store/mongo/connection/mongo_topology.h"

namespace outrigger::mongo {

class Journal {
 public:
  Journal(Client& client, Topology& topology, Privileges& privileges)
      : client_(client), topology_(topology), privileges_(privileges) {}

  [[nodiscard]] Status wait();

 private:
  // Never made.
  static constexpr const char* kNobodysNamespace = "outrigger.nothing";

  [[nodiscard]] Result<CommandReply> delete_nothing(StoreKind of_kind);

  Client& client_;
  Topology& topology_;
  Privileges& privileges_;
  std::string nothing_ns_ = kNobodysNamespace;  // where nothing is deleted
};

}  // namespace outrigger::mongo
