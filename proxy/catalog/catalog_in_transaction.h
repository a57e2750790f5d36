// create and createIndexes in a transaction of an app.
//
// What they make nobody sees before the commit, the sidecar's own look at the catalogue neither. So
// each collection is locked until the transaction ends, and what it was is kept; once mongod has
// committed, it is seen what it has become. That is in the record of the transaction, before its
// documents: peers make the collection as it is, and then what it holds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/mongo/wire/op_msg.h"
#include "proxy/transactions/transaction.h"
#include "proxy/writes/context.h"

namespace outrigger {

// Whether a command that changes the catalogue is one that a transaction may hold, and that other
// sites hear of. mongod refuses all others there.
[[nodiscard]] bool is_made_in_transactions(const wire::OpMsg& parsed);

// Before mongod hears of the command: takes the locks and looks. Not nothing: an error body, and
// mongod is not to hear of it. All of it outlives the task.
net::Task<std::optional<std::string>> begin_in_transaction(ProxyContext& context,
                                                           Transaction& transaction,
                                                           const wire::OpMsg& parsed,
                                                           std::string ns);

// What its prepare says of the catalogue.
[[nodiscard]] std::vector<PreparedDocument> prepared_catalog(const Transaction& transaction);

// It is committed: what has become of the catalogue. Errors: of the store.
net::Task<Result<std::vector<DocumentChange>>> catalog_committed(ProxyContext& context,
                                                                 const Transaction& transaction);

}  // namespace outrigger
