// What answers at the other end of the connection: a standalone or a replica set, which run of
// mongod, and whether it may be written to.
//
// It can change under a connection (a restart, an election, members added), so each answer of
// mongod that tells is noted, and who depends on it asks again.
#pragma once

#include <string>

#include "config/threads.h"
#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/store.h"

namespace outrigger::mongo {

class Topology {
 public:
  Topology(Client& client, Threads& threads) : client_(client), threads_(threads) {}

  [[nodiscard]] Status ping();
  [[nodiscard]] Status wait_available(Store::Duration timeout);
  [[nodiscard]] Result<StoreInfo> info();
  // As last looked at; looks the first time after each connect, info() looks every time.
  [[nodiscard]] Result<StoreKind> kind();
  // kUnsupported for a standalone: it has no oplog.
  [[nodiscard]] Status require_replica_set(const std::string& step);
  // Which run of mongod answered last when we asked (12 bytes); empty when that is not known.
  [[nodiscard]] const std::string& process_id() const { return process_id_; }

 private:
  [[nodiscard]] Result<StoreKind> look_at_kind(const bson::Document& hello);

  Client& client_;
  Threads& threads_;
  std::string kind_of_session_;  // the session of the connection `kind_` is of
  StoreKind kind_ = StoreKind::kStandalone;
  std::string process_id_;
};

}  // namespace outrigger::mongo
