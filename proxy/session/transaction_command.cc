#include "proxy/session/transaction_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "proxy/capture/reads.h"
#include "proxy/capture/relaxed_commands.h"
#include "proxy/catalog/catalog_in_transaction.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/session/refusals.h"
#include "proxy/writes/capture.h"
#include "replication/site/site_parts.h"

namespace outrigger {
namespace {

using bson::Document;
using Entry = TransactionTable::Entry;

SessionKey key_of(const AppSession& session) {
  SessionKey key;
  std::copy_n(session.lsid_id.begin(), key.lsid.size(), key.lsid.begin());
  key.user = session.user;
  key.txn_number = *session.txn_number;
  return key;
}

// mongod ends a transaction for any error of a statement in it.
bool has_failed(CommandKind kind, const Document& reply) {
  const RunReply said = read_run_reply(kind, reply);
  return !said.ok || !said.errors.empty();
}

bool has_failed(CommandKind kind, const Answer& answer) {
  if (answer.kind == Answer::Kind::kBody) return has_failed(kind, Document(answer.bytes));
  if (answer.kind != Answer::Kind::kMessage) return true;
  const auto said = wire::parse_op_msg_trusted(answer.bytes);
  return !said || has_failed(kind, said->body);
}

std::string unknown_body(int64_t txn_number) {
  return wire::error_body(
      wire::code::kNoSuchTransaction,
      fmt::format("Transaction with {{ txnNumber: {} }} has been aborted.", txn_number),
      {"TransientTransactionError"});
}

std::string restarted_body(int64_t txn_number) {
  return wire::error_body(
      wire::code::kConflictingOperationInProgress,
      fmt::format("Cannot start a transaction with given transaction number {}: it is in progress",
                  txn_number));
}

std::string unnumbered_body(const AppSession& session) {
  return wire::error_body(
      wire::code::kInvalidOptions,
      session.txn_number ? "Transaction number requires a session ID to also be specified"
                         : "'autocommit' field requires a transaction number to also be specified");
}

}  // namespace

bool is_in_transaction(const wire::OpMsg& parsed) {
  const auto autocommit = parsed.body.find("autocommit");
  return autocommit && !autocommit->truthy();
}

net::Task<Answer> TransactionCommand::run(std::string_view message, const wire::OpMsg& parsed,
                                          CommandKind kind, bool travels, bool is_strangers) {
  AppSession session = read_session(parsed.body);
  Answer answer;
  const bool is_named = session.txn_number && session.lsid_id.size() == SessionKey().lsid.size();
  if (!travels && !(is_named && context_.retryable)) co_return Answer::pass();
  if (!is_named) {
    const Result<std::string> reply = co_await backend_.ping();
    const auto times = answer_in(reply);
    if (!times) co_return Answer::close();
    co_return Answer::body(with_times(unnumbered_body(session), times->body));
  }
  if (is_strangers && !travels) co_return Answer::pass();
  if (!context_.retryable || is_strangers) {  // it is refused
    Capture capture(context_, backend_);
    answer = co_await capture.run(message, parsed, kind, is_strangers);
    co_return answer;
  }
  const Status learned = co_await backend_.learn_user();
  if (!learned) co_return Answer::close();
  if (!session.names_user) session.user = *backend_.user;
  const Command command{message, parsed, kind, session, key_of(session)};
  const std::string_view name = parsed.command_name();
  const bool is_anothers = session.user != *backend_.user;
  const bool is_read = !travels && name != "commitTransaction" && name != "abortTransaction";
  if (is_anothers && is_read) co_return Answer::pass();
  if (is_anothers) {
    answer = co_await end_anothers(command);
  } else if (travels) {
    answer = co_await write(command);
  } else if (name == "commitTransaction") {
    answer = co_await commit(command);
  } else if (name == "abortTransaction") {
    answer = co_await abort(command);
  } else if (session.starts_transaction) {
    answer = co_await begin(command);
  } else {
    answer = co_await pass(command);
  }
  writing_ = false;
  co_return answer;
}

Entry TransactionCommand::find(const Command& command) const {
  Entry entry = context_.transactions.find(command.key);
  return entry && entry->key().txn_number == command.key.txn_number ? entry : nullptr;
}

Entry TransactionCommand::open(const Command& command) {
  Entry entry = context_.transactions.open(command.key, backend_.process.value_or(std::string()));
  const auto concern = command.parsed.body.find("readConcern");
  const bool is_told = concern && concern->type == bson::Type::kDocument;
  if (entry && is_told && concern->as_document().has("atClusterTime")) entry->read_long_ago();
  return entry;
}

net::Task<HeldLocks> TransactionCommand::take_session(const Command& command,
                                                      LockRequest& request) {
  request.add(TransactionTable::lock_key(command.key), LockMode::kExclusive);
  HeldLocks locks = co_await wait_for_locks(context_, request);
  locks.leave(Left::kNothing);
  writing_ = true;
  co_return locks;
}

net::Task<bool> TransactionCommand::end_older(const Command& command) {
  Entry older = context_.transactions.find(command.key);
  if (!older || older->key().txn_number == command.key.txn_number) co_return true;
  if (older->has_locks()) {
    const bool answers = co_await end_.abort(command.parsed, std::move(older));
    co_return answers;
  }
  end_.ended(older, Left::kNothing);
  co_return true;
}

// A transaction begins with a read.
net::Task<Answer> TransactionCommand::begin(const Command& command) {
  LockRequest request;
  const HeldLocks session = co_await take_session(command, request);
  if (find(command)) co_return Answer::pass();  // mongod refuses it
  const bool answers = co_await end_older(command);
  if (!answers) co_return Answer::close();
  const Entry entry = open(command);
  if (!entry) co_return Answer::body(wire::overloaded_body("too many transactions are open"));
  entry->begin();
  entry->use(context_.clock.monotonic_us(), app_);
  co_return Answer::pass();
}

net::Task<Answer> TransactionCommand::pass(const Command& command) {
  Entry entry = find(command);
  if (!entry || !entry->has_locks()) {
    if (entry) entry->use(context_.clock.monotonic_us(), app_);
    co_return Answer::pass();
  }
  LockRequest request;
  const HeldLocks session = co_await take_session(command, request);
  entry = find(command);
  if (!entry) co_return Answer::pass();
  entry->use(context_.clock.monotonic_us(), app_);
  Answer answer = co_await call(command, std::move(entry));
  co_return answer;
}

net::Task<Answer> TransactionCommand::call(const Command& command, Entry transaction) {
  std::string message(command.message);
  Result<std::string> reply = co_await backend_.call(std::move(message));
  const auto said = answer_in(reply);
  if (!said) {
    context_.metrics.aborted.Increment();
    co_await end_.fence_broken(std::move(transaction));
    co_return Answer::close();
  }
  Answer answer = Answer::message(std::move(*reply));
  answer = co_await answered(command, std::move(transaction), std::move(answer));
  co_return answer;
}

// mongod ends a transaction with an error, but for those it says before it looks at the
// transaction. What we refuse it has not heard of, or has done and we cannot tell: it would go on
// there, and be committed without that. Where a part of the command was done, there is no way on
// either.
net::Task<Answer> TransactionCommand::answered(const Command& command, Entry transaction,
                                               Answer answer, bool is_partly_done) {
  if (!has_failed(command.kind, answer)) co_return answer;
  bool goes_on = false;
  if (answer.is_stores && !is_partly_done) goes_on = co_await is_open(command, *transaction);
  if (goes_on) co_return answer;
  const bool answers = co_await end_.abort(command.parsed, std::move(transaction));
  if (!answers) co_return Answer::close();
  co_return answer;
}

// Whether it is at mongod: what is read there shows nothing.
net::Task<bool> TransactionCommand::is_open(const Command& command, Transaction& transaction) {
  const auto on = command.parsed.body.first();
  const bool is_begun = transaction.is_begun() && !command.session.starts_transaction;
  if (!is_begun || !on) co_return false;
  // Of a command on a whole database: a name as good as any.
  const bool is_named = on->value.type == bson::Type::kString;
  const std::string collection(is_named ? on->value.as_string() : std::string_view("none"));
  const std::string naming = transaction.naming(command.parsed.body, true);
  bson::Writer find;
  find.string("find", collection).int32("limit", 1).boolean("singleBatch", true);
  find.open_document("filter").object_id("_id", context_.birth().id()).close();
  find.append_all(Document(naming)).string("$db", command.parsed.database());
  const std::string body = find.finish();
  std::string request = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
  const Result<std::string> reply = co_await backend_.call(std::move(request));
  const auto said = answer_in(reply);
  co_return said&& is_ok(said->body);
}

net::Task<Answer> TransactionCommand::write(const Command& command) {
  LockRequest request;
  const HeldLocks session = co_await take_session(command, request);
  Entry entry = find(command);
  Answer answer;
  if (command.session.starts_transaction) {
    if (entry) co_return Answer::body(restarted_body(command.key.txn_number));
    const bool answers = co_await end_older(command);
    if (!answers) co_return Answer::close();
    entry = open(command);
    if (!entry) co_return Answer::body(wire::overloaded_body("too many transactions are open"));
  } else if (!entry) {
    answer = co_await refuse_unknown(command);
    co_return answer;
  }
  answer = co_await write_in(command, std::move(entry));
  co_return answer;
}

net::Task<Answer> TransactionCommand::write_in(const Command& command, Entry transaction) {
  Answer answer;
  transaction->use(context_.clock.monotonic_us(), app_);
  if (!transaction->note) {
    Result<outbox::BackendNote> note = context_.replica.note_transaction(transaction->session_id());
    if (note) {
      transaction->note = std::move(*note);
      transaction->note.set_in_doubt(true);
    }
  }
  if (command.kind == CommandKind::kDdl) {
    std::string ns = ns_of(command.parsed);
    std::optional<std::string> refused =
        co_await begin_in_transaction(context_, *transaction, command.parsed, std::move(ns));
    transaction->begin();
    // Under the locks: an index may have been relaxed, or made unique again, until it had them.
    const std::vector<std::string> relaxed =
        context_.replica.parts().kept.shown().in(ns_of(command.parsed));
    if (!refused) refused = index_conflict(command.parsed, relaxed);
    const auto words = as_relaxed(command.parsed, relaxed);
    Command sent = command;
    if (words) sent.message = *words;
    if (!refused) answer = co_await call(sent, transaction);
    if (refused) answer = Answer::body(std::move(*refused));
    if (refused) answer = co_await answered(command, std::move(transaction), std::move(answer));
    co_return answer;
  }
  const size_t bytes = transaction->effects.bytes();
  Capture capture(context_, backend_, transaction.get());
  answer = co_await capture.run(command.message, command.parsed, command.kind, false);
  transaction->use(context_.clock.monotonic_us(), app_);
  if (answer.kind == Answer::Kind::kPass) {  // a view: mongod refuses it
    answer = co_await call(command, std::move(transaction));
    co_return answer;
  }
  if (answer.kind == Answer::Kind::kClose) {
    context_.metrics.aborted.Increment();
    co_await end_.fence_broken(std::move(transaction));
    co_return answer;
  }
  const bool is_partly_done = transaction->effects.bytes() != bytes;
  answer = co_await answered(command, std::move(transaction), std::move(answer), is_partly_done);
  co_return answer;
}

net::Task<Answer> TransactionCommand::commit(const Command& command) {
  LockRequest request;
  const HeldLocks session = co_await take_session(command, request);
  Entry entry = find(command);
  Answer answer;
  if (!entry) {
    answer = co_await commit_again(command);
  } else if (entry->effects.empty() && entry->catalog().empty()) {
    const bool has_locks = entry->has_locks();
    if (has_locks) context_.metrics.committed.Increment();
    answer = Answer::pass();
    if (has_locks) {
      answer = co_await call(command, entry);
    }
    end_.ended(entry, Left::kNothing);
  } else {
    answer = co_await end_.commit(command.parsed, std::move(entry));
  }
  co_return answer;
}

// Committed already, perhaps by an earlier run of this process; or never begun here.
net::Task<Answer> TransactionCommand::commit_again(const Command& command) {
  const auto recorded = context_.replica.retry(commit_key(command.key));
  if (!recorded) co_return Answer::body(wire::overloaded_body(recorded.error().message()));
  Answer answer;
  if (!*recorded) {
    answer = co_await refuse_unknown(command);
    co_return answer;
  }
  const DurableWaits::Shot durable = context_.durable_waits.join(true);
  const Status synced = co_await durable->wait();
  if (!synced) co_return Answer::close();
  std::string message(command.message);
  Result<std::string> reply = co_await backend_.call(std::move(message));
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  if (wire::code_of(said->body) != wire::code::kNoSuchTransaction) {
    co_return Answer::message(std::move(*reply));
  }
  // mongod was killed, and what it had forgotten of it was put back.
  co_return Answer::body(with_times(wire::ok_body(), said->body));
}

net::Task<Answer> TransactionCommand::abort(const Command& command) {
  LockRequest request;
  const HeldLocks session = co_await take_session(command, request);
  Entry entry = find(command);
  if (!entry || !entry->has_locks()) {
    if (entry) end_.ended(entry, Left::kNothing);
    co_return Answer::pass();
  }
  context_.metrics.aborted.Increment();
  std::string message(command.message);
  Result<std::string> reply = co_await backend_.call(std::move(message));
  const auto said = answer_in(reply);
  co_await end_.aborted(std::move(entry), said);
  if (!said) co_return Answer::close();
  co_return Answer::message(std::move(*reply));
}

// What it has open is none of ours, and what mongod ends of it the sweep finds ended.
net::Task<Answer> TransactionCommand::end_anothers(const Command& command) {
  Result<std::string> reply = co_await end_.send_abort(command.parsed, command.key.txn_number);
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  const bool asks_for_that = command.parsed.command_name() == "abortTransaction";
  if (asks_for_that || !is_ok(said->body)) co_return Answer::message(std::move(*reply));
  co_return Answer::body(with_times(unknown_body(command.key.txn_number), said->body));
}

net::Task<Answer> TransactionCommand::refuse_unknown(const Command& command) {
  Result<std::string> reply = co_await end_.send_abort(command.parsed, command.key.txn_number);
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  // It was committed long ago, or has written nothing.
  if (wire::code_of(said->body) == wire::code::kTransactionCommitted) {
    const bool is_commit = command.parsed.command_name() == "commitTransaction";
    co_return is_commit ? Answer::pass() : Answer::message(std::move(*reply));
  }
  // Too old a number, or mongod's own words for what we say.
  if (said->body.has("errorLabels") ||
      wire::code_of(said->body) == wire::code::kTransactionTooOld) {
    co_return Answer::message(std::move(*reply));
  }
  co_return Answer::body(with_times(unknown_body(command.key.txn_number), said->body));
}

}  // namespace outrigger
