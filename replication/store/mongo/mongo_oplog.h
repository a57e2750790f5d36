// Reading the oplog back: which of the writes in doubt happened.
//
// Seen on 6.0.5: a retryable statement is one entry with lsid {id, uid}, txnNumber and stmtId; the
// entries of an update with multi: true carry none of these; a transaction is one applyOps entry
// with lsid and txnNumber (its inner operations carry neither), or, above 16 MB, a chain of them
// marked partialTxn whose last one counts the operations of all. Newer servers also put several
// retryable inserts into one applyOps, each with its stmtId. All these forms are read.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/mongo/connection/mongo_topology.h"
#include "replication/store/store.h"

namespace outrigger::mongo {

// kUnsupported from all of them on a standalone.
class Oplog {
 public:
  Oplog(Client& client, Topology& topology) : client_(client), topology_(topology) {}

  // As the port has them (store.h): last_oplog_time(), oplog_since(), watch_oplog().
  [[nodiscard]] Result<Timestamp> last_time();
  [[nodiscard]] Result<std::vector<OplogWrite>> since(Timestamp since,
                                                      std::span<const std::string> lsid_ids);
  [[nodiscard]] Status watch(Store::Duration duration);

 private:
  [[nodiscard]] Result<Timestamp> oldest_time();

  Client& client_;
  Topology& topology_;
};

}  // namespace outrigger::mongo
