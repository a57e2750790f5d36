// Waiting until what the store has answered is in its journal, or in those of a majority.
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

  // As the port has them (store.h): wait_journaled(), wait_settled().
  [[nodiscard]] Status wait() { return wait(Of::kPrimary); }
  [[nodiscard]] Status wait_settled() { return wait(Of::kMajority); }

 private:
  enum class Of : uint8_t { kPrimary, kMajority };
  // Never made.
  static constexpr const char* kNobodysNamespace = "outrigger.nothing";

  [[nodiscard]] Status wait(Of of);
  [[nodiscard]] Result<CommandReply> delete_nothing(StoreKind of_kind, Of of);

  Client& client_;
  Topology& topology_;
  Privileges& privileges_;
  std::string nothing_ns_ = kNobodysNamespace;  // where nothing is deleted
};

}  // namespace outrigger::mongo
