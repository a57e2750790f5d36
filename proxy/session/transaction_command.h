// A command of an app's transaction: which transaction that is, and whether it may go on here.
//
//   reads      pass as bytes. Of a transaction that holds locks the answer is looked at: with an
//              error mongod ends it, mostly
//   writes     as any write (writes/capture.h), but what they do is kept in the transaction
//   commit     transaction_end.h; of one that has written nothing it passes
//   abort      passes, and its locks are free
//
// A transaction whose beginning this process has not seen would go on at mongod without us: it is
// aborted there, and the app is told to begin again. A commit that has a record is answered as one.
//
// Whoever is not logged in, or names another user's session, has no part in what is kept here.
#pragma once

#include <memory>
#include <string_view>

#include "proxy/mongo/commands.h"
#include "proxy/session/transaction_end.h"

namespace outrigger {

// autocommit: false.
[[nodiscard]] bool is_in_transaction(const wire::OpMsg& parsed);

class TransactionCommand {
 public:
  // All outlive it. `app` lives as long as the app's connection does. `writing` is set while the
  // store's answer must be awaited.
  TransactionCommand(ProxyContext& context, Backend& backend, std::weak_ptr<const void> app,
                     bool& writing)
      : context_(context),
        backend_(backend),
        end_(context, backend),
        app_(std::move(app)),
        writing_(writing) {}

  // `message` is the whole OP_MSG and `parsed` its view; both live until the task is done.
  // `travels`: it is a write whose effects other sites must hear of. `is_strangers`: as Capture has
  // it.
  net::Task<Answer> run(std::string_view message, const wire::OpMsg& parsed, CommandKind kind,
                        bool travels, bool is_strangers);

 private:
  struct Command {
    std::string_view message;
    const wire::OpMsg& parsed;
    CommandKind kind;
    const AppSession& session;
    SessionKey key;
  };
  net::Task<Answer> begin(const Command& command);
  net::Task<Answer> pass(const Command& command);
  net::Task<Answer> write(const Command& command);
  net::Task<Answer> write_in(const Command& command, TransactionTable::Entry transaction);
  net::Task<Answer> commit(const Command& command);
  net::Task<Answer> commit_again(const Command& command);
  net::Task<Answer> abort(const Command& command);
  // Of a transaction that is not open here.
  net::Task<Answer> refuse_unknown(const Command& command);
  // Of another user's session, if mongod lets this one act as that user: it ends there.
  net::Task<Answer> end_anothers(const Command& command);
  // What becomes of the transaction after this answer to the command.
  net::Task<Answer> answered(const Command& command, TransactionTable::Entry transaction,
                             Answer answer, bool is_partly_done = false);
  net::Task<bool> is_open(const Command& command, Transaction& transaction);
  // Sends it as it came.
  net::Task<Answer> call(const Command& command, TransactionTable::Entry transaction);
  net::Task<HeldLocks> take_session(const Command& command, LockRequest& request);
  // The one of this number; null: it is not open here.
  [[nodiscard]] TransactionTable::Entry find(const Command& command) const;
  // A new one, before mongod hears of it. Null: there are too many.
  [[nodiscard]] TransactionTable::Entry open(const Command& command);
  // The one of another number, which this command ends. False: the connection has ended.
  net::Task<bool> end_older(const Command& command);

  ProxyContext& context_;
  Backend& backend_;
  TransactionEnd end_;
  const std::weak_ptr<const void> app_;
  bool& writing_;
};

}  // namespace outrigger
