#include "proxy/session/transaction_end.h"

#include <algorithm>
#include <iterator>

#include "proxy/capture/reads.h"
#include "proxy/capture/write_request.h"
#include "proxy/catalog/catalog_in_transaction.h"
#include "proxy/mongo/wire/error_reply.h"
#include "replication/recovery/judge_transaction.h"

namespace outrigger {
namespace {

using bson::Document;

constexpr std::chrono::milliseconds kFenceTimeout{30'000};
constexpr int64_t kFenceAgainMs = 500;
constexpr size_t kSeenAtOnce = 1'000;

// Did the commit fail for sure? So the label says, and nothing else does.
bool is_aborted(const Document& reply) {
  const auto labels = reply.find("errorLabels");
  if (!labels || labels->type != bson::Type::kArray) return false;
  for (const bson::Element& label : labels->as_document()) {
    const bool is_text = label.value.type == bson::Type::kString;
    if (is_text && label.value.as_string() == "TransientTransactionError") return true;
  }
  return false;
}

// The app's own commit, but for the concern.
std::string commit_message(const wire::OpMsg& parsed, RunConcern concern, int32_t request_id) {
  bson::Writer out;
  for (const bson::Element& field : parsed.body) {
    if (field.name != "writeConcern") out.element(field);
  }
  write_concern(out, parsed.body, concern);
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()));
}

std::string find_message(const std::string& ns, const std::vector<bson::OwnedValue>& ids,
                         const std::string& naming, int32_t request_id) {
  const size_t dot = ns.find('.');
  bson::Writer out;
  out.string("find", ns.substr(dot + 1));
  out.open_document("filter").open_document("_id").open_array("$in");
  for (size_t i = 0; i < ids.size(); ++i) out.value(bson::index_name(i), ids[i]);
  out.close().close().close();
  out.append_all(Document(naming)).string("$db", ns.substr(0, dot));
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()));
}

std::string more_message(const std::string& ns, int64_t cursor, const std::string& naming,
                         int32_t request_id) {
  const size_t dot = ns.find('.');
  bson::Writer out;
  out.int64("getMore", cursor).string("collection", ns.substr(dot + 1));
  out.append_all(Document(naming)).string("$db", ns.substr(0, dot));
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()));
}

}  // namespace

void TransactionEnd::ended(const TransactionTable::Entry& transaction, Left left) {
  context_.transactions.end(transaction, left);
}

net::Task<void> TransactionEnd::fence_broken(TransactionTable::Entry transaction) {
  std::vector<std::string> clients;
  std::string address = backend_.stream().local_address();
  if (!address.empty()) clients.push_back(std::move(address));
  backend_.close();
  co_await fence(std::move(transaction), std::move(clients));
}

net::Task<void> TransactionEnd::fence(TransactionTable::Entry transaction,
                                      std::vector<std::string> clients) {
  const std::string lsid = transaction->session_id();
  net::Timer pause(context_.loop);
  bool is_fenced = false;
  while (!is_fenced && !context_.store.stopping()) {
    std::function<Status(Store&)> job = [lsid, clients](Store& store) {
      return store.fence(std::span(&lsid, 1), clients, kFenceTimeout);
    };
    const Status fenced = co_await context_.store.ask(std::move(job));
    is_fenced = fenced.has_value();
    if (is_fenced) break;
    context_.log->warn("a transaction whose connection broke may still be open in the store: {}",
                       fenced.error().message());
    co_await pause.sleep_ms(kFenceAgainMs);
  }
  context_.transactions.end(transaction, Left::kNothing, !is_fenced);
}

net::Task<Result<std::string>> TransactionEnd::send_abort(const wire::OpMsg& parsed,
                                                          int64_t txn_number) {
  bson::Writer out;
  out.int32("abortTransaction", 1);
  if (const auto lsid = parsed.body.find("lsid")) out.value("lsid", *lsid);
  out.int64("txnNumber", txn_number).boolean("autocommit", false);
  for (const bson::Element& field : parsed.body) {
    if (field.name.starts_with("api")) out.element(field);
  }
  out.string("$db", "admin");
  const std::string body = out.finish();
  std::string request = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
  Result<std::string> reply = co_await backend_.call(std::move(request));
  co_return reply;
}

net::Task<bool> TransactionEnd::abort(const wire::OpMsg& parsed,
                                      TransactionTable::Entry transaction) {
  context_.metrics.aborted.Increment();
  if (!transaction->is_begun()) {
    ended(transaction, Left::kNothing);
    co_return true;
  }
  const Result<std::string> reply = co_await send_abort(parsed, transaction->key().txn_number);
  const std::optional<wire::OpMsg> said = answer_in(reply);
  co_await aborted(std::move(transaction), said);
  co_return said.has_value();
}

net::Task<void> TransactionEnd::aborted(TransactionTable::Entry transaction,
                                        const std::optional<wire::OpMsg>& said) {
  const bool is_over =
      said && (is_ok(said->body) || wire::code_of(said->body) == wire::code::kNoSuchTransaction);
  if (is_over) {
    ended(transaction, Left::kNothing);
  } else if (said) {
    std::vector<std::string> nobody;
    co_await fence(std::move(transaction), std::move(nobody));
  } else {
    co_await fence_broken(std::move(transaction));
  }
}

net::Task<Answer> TransactionEnd::refuse(const wire::OpMsg& parsed,
                                         TransactionTable::Entry transaction, std::string body) {
  const bool answers = co_await abort(parsed, std::move(transaction));
  co_return answers ? Answer::body(std::move(body)) : Answer::close();
}

net::Task<Answer> TransactionEnd::commit(const wire::OpMsg& parsed,
                                         TransactionTable::Entry transaction) {
  const net::Loop::Unyielding unyielding(context_.loop);
  Answer answer;
  std::optional<std::string> refused = co_await see_wanted(parsed, *transaction);
  if (refused && refused->empty()) {
    context_.metrics.aborted.Increment();
    co_await fence_broken(std::move(transaction));
    co_return Answer::close();
  }
  Committing committing;
  std::optional<std::vector<DocumentChange>> changes;
  if (!refused) changes = transaction->effects.take();
  if (!refused && !changes) refused = conflict_body();
  if (!refused) {
    committing.changes = std::move(*changes);
    const Status begun = co_await begin(*transaction, committing);
    if (!begun) {
      context_.metrics.refused_unavailable.Increment();
      refused = wire::error_body(wire::code::kIngressRequestRateLimitExceeded,
                                 begun.error().message(), {"TransientTransactionError"});
    }
  }
  if (refused) {
    answer = co_await refuse(parsed, std::move(transaction), std::move(*refused));
  } else {
    answer = co_await send_commit(parsed, std::move(transaction), std::move(committing));
  }
  co_return answer;
}

// Nothing: all has been seen. An error body, mongod's own; "": it does not answer.
net::Task<std::optional<std::string>> TransactionEnd::see_wanted(const wire::OpMsg& parsed,
                                                                 Transaction& transaction) {
  for (TransactionEffects::Wanted& wanted : transaction.effects.wanted()) {
    for (size_t at = 0; at < wanted.ids.size(); at += kSeenAtOnce) {
      const auto from = wanted.ids.begin() + static_cast<std::ptrdiff_t>(at);
      const size_t until = std::min(at + kSeenAtOnce, wanted.ids.size());
      std::vector<bson::OwnedValue> ids(from,
                                        wanted.ids.begin() + static_cast<std::ptrdiff_t>(until));
      std::string ns = wanted.ns;
      std::optional<std::string> refused =
          co_await see(parsed, transaction, std::move(ns), std::move(ids));
      if (refused) co_return refused;
    }
  }
  co_return std::nullopt;
}

net::Task<std::optional<std::string>> TransactionEnd::see(const wire::OpMsg& parsed,
                                                          Transaction& transaction, std::string ns,
                                                          std::vector<bson::OwnedValue> ids) {
  const std::string naming = transaction.naming(parsed.body, true);
  std::string request = find_message(ns, ids, naming, backend_.next_request_id());
  for (;;) {
    const Result<std::string> reply = co_await backend_.call(std::move(request));
    if (!reply) co_return std::string();
    const auto said = wire::parse_op_msg_trusted(*reply);
    if (!said) co_return std::string();
    if (!is_ok(said->body)) co_return std::string(said->body.bytes());
    const int64_t cursor =
        show_batch(said->body, [&](const Document& document) { transaction.show(ns, document); });
    if (cursor == 0) co_return std::nullopt;
    request = more_message(ns, cursor, naming, backend_.next_request_id());
  }
}

// The stamp is taken, and what is about to be done is on disk.
net::Task<Status> TransactionEnd::begin(const Transaction& transaction, Committing& committing) {
  Prepare prepare = prepare_of(committing.changes, transaction.key());
  prepare.app = backend_.app;
  std::vector<PreparedDocument> made = prepared_catalog(transaction);
  std::move(made.begin(), made.end(), std::inserter(prepare.documents, prepare.documents.begin()));
  Result<UndecidedWrite> write =
      context_.replica.begin(std::move(prepare), context_.appends.staged());
  if (!write) co_return tl::unexpected(write.error());
  TurnAppends::Appended appended = context_.appends.appended();
  Status written = co_await appended;
  if (written) {
    const DurableWaits::Shot durable = context_.durable_waits.join(true);
    written = co_await durable->wait();
  }
  if (!written) {
    write->leave_to_recovery();
    co_return written;
  }
  committing.write = std::move(*write);
  co_return Status();
}

net::Task<Answer> TransactionEnd::send_commit(const wire::OpMsg& parsed,
                                              TransactionTable::Entry transaction,
                                              Committing committing) {
  const RunConcern concern = concern_of(parsed.body, context_.found_again);
  std::string request = commit_message(parsed, concern, backend_.next_request_id());
  std::optional<OplogWatch::Write> watched(std::in_place, context_.oplog_watch,
                                           concern == RunConcern::kJournaled);
  Result<std::string> reply = co_await backend_.call(std::move(request));
  watched.reset();
  const auto said = answer_in(reply);
  const bool is_done = said && is_ok(said->body);
  if (!is_done && said && is_aborted(said->body)) {
    context_.metrics.aborted.Increment();
    context_.replica.drop(committing.write, {}, context_.appends.staged());
    TurnAppends::Appended appended = context_.appends.appended();
    [[maybe_unused]] const Status written = co_await appended;
    ended(transaction, Left::kNothing);
    co_return Answer::message(std::move(*reply));
  }
  bool is_recorded = false;
  if (is_done) is_recorded = co_await record(*transaction, committing);
  if (!is_recorded) {
    co_await settle_in_doubt(std::move(transaction), committing);
    // An error of mongod's is for the app to judge, as it would be without us.
    const bool is_told = said && !is_done;
    co_return is_told ? Answer::message(std::move(*reply)) : Answer::close();
  }
  context_.metrics.committed.Increment();
  ended(transaction, Left::kWritten);
  // What is found in the oplog again has its prepare on disk; anything else needs its record there.
  const bool missed_concern = said->body.has("writeConcernError");
  if (concern != RunConcern::kJournaled || missed_concern) {
    const DurableWaits::Shot durable = context_.durable_waits.join(true);
    const Status synced = co_await durable->wait();
    if (!synced) {
      context_.log->error("a commit is not acknowledged: {}", synced.error().message());
      co_return Answer::close();
    }
  }
  if (missed_concern) co_return Answer::body(with_apps_concern(said->body, parsed.body));
  co_return Answer::message(std::move(*reply));
}

net::Task<bool> TransactionEnd::record(Transaction& transaction, Committing& committing) {
  Result<std::vector<DocumentChange>> made = co_await catalog_committed(context_, transaction);
  if (!made) {
    context_.log->error("a commit is not recorded: {}", made.error().message());
    co_return false;
  }
  committing.changes.insert(committing.changes.begin(), std::make_move_iterator(made->begin()),
                            std::make_move_iterator(made->end()));
  std::vector<RetryEntry> retries;
  retries.push_back(commit_entry(commit_key(transaction.key())));
  Status done = context_.replica.settle(committing.write, std::move(committing.changes), retries,
                                        context_.appends.staged());
  TurnAppends::Appended appended = context_.appends.appended();
  const Status written = co_await appended;
  if (done) done = written;
  if (!done) context_.log->error("a commit is not recorded: {}", done.error().message());
  if (done) {
    for (const std::string& ns : transaction.made) context_.facts.made(ns);
  }
  co_return done.has_value();
}

net::Task<void> TransactionEnd::settle_in_doubt(TransactionTable::Entry transaction,
                                                Committing& committing) {
  std::string lsid = transaction->session_id();
  std::string what = "a commit";
  std::vector<UndecidedWrite*> writes = {&committing.write};
  co_await outrigger::settle_in_doubt(context_, backend_, std::move(writes), std::move(lsid),
                                      std::move(what));
  for (const std::string& ns : transaction->made) context_.facts.forget(ns);
  for (const auto& [ns, before] : transaction->catalog()) context_.facts.forget(ns);
  // While the process ends and nobody knows, its note stays: recovery goes on from there.
  context_.transactions.end(transaction, Left::kWritten, context_.store.stopping());
}

}  // namespace outrigger
