// How a transaction that has written ends, for whoever holds its session's lock.
//
// commit: what it has done becomes one prepare, which is on disk before mongod is asked to commit;
// mongod answers; one record under one stamp, taken while all its documents are locked. Where the
// answer is missing or says nothing for sure, the oplog knows whether mongod committed
// (recovery/judge_transaction.h): the locks stay held until that is so.
//
// drop: mongod is told first, and only when it holds the documents no more are they free here.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/capture/reply.h"
#include "proxy/mongo/backend.h"
#include "proxy/transactions/transaction_table.h"
#include "proxy/writes/context.h"
#include "proxy/writes/run_settler.h"

namespace outrigger {

class TransactionEnd {
 public:
  // All outlive it.
  TransactionEnd(ProxyContext& context, Backend& backend) : context_(context), backend_(backend) {}

  // `parsed`: the app's commitTransaction. Afterwards the transaction has ended.
  net::Task<Answer> commit(const wire::OpMsg& parsed, TransactionTable::Entry transaction);
  // Ends it at mongod, too, if that is still to be done. False: the connection to mongod has ended.
  net::Task<bool> abort(const wire::OpMsg& parsed, TransactionTable::Entry transaction);
  // mongod has ended it, or never will have heard of it.
  void ended(const TransactionTable::Entry& transaction, Left left);
  // mongod was asked to abort it, and `said` this; nothing: its connection has ended. Then it is
  // over, whatever that was.
  net::Task<void> aborted(TransactionTable::Entry transaction,
                          const std::optional<wire::OpMsg>& said);
  // The connection to mongod has ended with a command of it under way, which mongod may still read:
  // nobody knows whether it goes on there, and then it does not.
  net::Task<void> fence_broken(TransactionTable::Entry transaction);

  // mongod's answer to an abort of this number, sent as the app's command says, but nothing else.
  net::Task<Result<std::string>> send_abort(const wire::OpMsg& parsed, int64_t txn_number);

 private:
  // What of a commit is under way.
  struct Committing {
    UndecidedWrite write;
    std::vector<DocumentChange> changes;
  };
  net::Task<std::optional<std::string>> see_wanted(const wire::OpMsg& parsed,
                                                   Transaction& transaction);
  net::Task<std::optional<std::string>> see(const wire::OpMsg& parsed, Transaction& transaction,
                                            std::string ns, std::vector<bson::OwnedValue> ids);
  net::Task<Status> begin(const Transaction& transaction, Committing& committing);
  net::Task<Answer> send_commit(const wire::OpMsg& parsed, TransactionTable::Entry transaction,
                                Committing committing);
  net::Task<Answer> refuse(const wire::OpMsg& parsed, TransactionTable::Entry transaction,
                           std::string body);
  net::Task<bool> record(Transaction& transaction, Committing& committing);
  net::Task<void> settle_in_doubt(TransactionTable::Entry transaction, Committing& committing);
  net::Task<void> fence(TransactionTable::Entry transaction, std::vector<std::string> clients);

  ProxyContext& context_;
  Backend& backend_;
};

}  // namespace outrigger
