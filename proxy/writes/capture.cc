#include "proxy/writes/capture.h"

#include <fmt/format.h>

#include <algorithm>

#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;
using End = RunResult::End;

std::string unsupported(const std::string& what, std::string_view why) {
  return wire::error_body(wire::code::kCommandNotSupported,
                          fmt::format("{} is not replicated by Outrigger yet: {}", what, why));
}

// How often a collection may turn out to be another one while a command runs.
constexpr int kMadeAnewMax = 5;

}  // namespace

net::Task<Answer> Capture::run(std::string_view message, const wire::OpMsg& parsed,
                               CommandKind kind, bool is_strangers) {
  StoreRefusals refusals(context_, backend_, parsed, kind);
  Answer answer;
  wire::WireResult<WriteCommand> command = parse_write(parsed, kind);
  if (!command) {
    answer = co_await refusals.refuse(command.error(), nullptr);
    co_return answer;
  }
  command->expires = expires_;
  std::optional<Answer> refused = co_await refuse(*command, refusals, is_strangers);
  if (refused) co_return std::move(*refused);
  WriteRequest request{*command, parsed, message, true, std::nullopt, {}, transaction_};
  if (command->max_time_ms > 0) {
    request.deadline_us = context_.clock.monotonic_us() + command->max_time_ms * 1000;
  }
  // mongod keeps what a session did apart by user, so that a number that another user happens to
  // send, or means to send, is another statement.
  AppSession& session = command->session;
  if (session.txn_number) {
    const Status learned = co_await backend_.learn_user();
    if (!learned) co_return Answer::close();
    // mongod lets only some name another user; whether this one may is for it to say.
    request.session_is_own = !session.names_user || session.user == *backend_.user;
    if (!session.names_user) session.user = *backend_.user;
  }
  Known known = co_await know_collection(*command, refusals);
  if (known.refused) co_return std::move(*known.refused);
  request.collection = std::move(known.collection);
  request.rules = context_.policy.merge_rules(command->ns);
  if (chooses_) request.rules.give_versions_whole();
  LockRequest attempts;
  const HeldLocks turn = co_await wait_for_attempts(request, attempts);
  if (!attempts.empty() && !turn) co_return Answer::body(out_of_time_body());
  // The attempt before this one may have been left to recovery: nobody knows yet what it did.
  if (turn && context_.store.stopping()) co_return Answer::close();
  answer = co_await write_all(request, refusals);
  co_return answer;
}

// A store that does not tell what it has run before would have us record a retry anew, which comes
// while the first attempt is under way. So it waits for that, and then finds it remembered.
net::Task<HeldLocks> Capture::wait_for_attempts(const WriteRequest& request,
                                                LockRequest& attempts) {
  HeldLocks turn;
  const AppSession& app = request.command.session;
  const bool is_told = backend_.can(StoreFeature::kTellsRetried);
  if (is_told || !app.is_retryable() || app.lsid_id.empty()) co_return turn;
  const std::string key = retry_key("", app.lsid_id, app.user, *app.txn_number, 0);
  attempts.add(namespace_lock_key(key), LockMode::kExclusive);
  turn = co_await wait_for_locks(context_, context_.turns, attempts, request.deadline_us);
  turn.leave(Left::kNothing);
  co_return turn;
}

// For what is known before anything is asked of the store; only of a stranger it is asked.
net::Task<std::optional<Answer>> Capture::refuse(const WriteCommand& command,
                                                 StoreRefusals& refusals, bool is_strangers) {
  if (is_strangers) {
    std::optional<std::string> no = co_await refusals.refusal_to_write(command);
    if (no && no->empty()) co_return Answer::close();
    if (no) co_return Answer::body(std::move(*no));
  }
  if (!context_.policy.replicates(command.ns)) {
    context_.metrics.refused_unsupported.Increment();
    wire::WireError ours;
    ours.code = wire::code::kCommandNotSupported;
    ours.message = fmt::format("a write to {} is not replicated by Outrigger yet: {}", command.ns,
                               command.database == "outrigger"
                                   ? "that database is the sidecar's own"
                                   : "collections of the system mean another thing at every site");
    Answer answer = co_await refusals.refuse(std::move(ours), &command);
    co_return answer;
  }
  if (command.session.in_transaction && transaction_ == nullptr) {
    context_.metrics.refused_transaction.Increment();
    wire::WireError ours;
    ours.code = wire::code::kIllegalOperation;
    ours.message = "Transaction numbers are only allowed on a replica set member or mongos";
    Answer answer = co_await refusals.refuse(std::move(ours), &command);
    co_return answer;
  }
  const Status admitted = context_.replica.admit();
  if (admitted) co_return std::nullopt;
  context_.metrics.refused_unavailable.Increment();
  co_return Answer::body(wire::overloaded_body(admitted.error().message()));
}

net::Task<Capture::Known> Capture::know_collection(const WriteCommand& command,
                                                   StoreRefusals& refusals) {
  Known out;
  CollectionInfo info;
  out.collection.facts_forgotten = context_.facts.forgotten(command.ns);
  if (const CollectionInfo* known = context_.facts.known(command.ns)) {
    info = *known;
  } else {
    Result<CollectionInfo> learned = co_await context_.facts.learn(command.ns);
    if (!learned && learned.error().code == ErrorCode::kRefused) {
      // mongod will not even look at such a name: it says so of the command, too.
      wire::WireError ours;
      ours.code = wire::code::kInvalidNamespace;
      ours.message = fmt::format("Invalid namespace specified '{}'", command.ns);
      Answer answer = co_await refusals.refuse(std::move(ours), &command);
      out.refused = std::move(answer);
      co_return out;
    }
    if (!learned) {
      context_.metrics.refused_unavailable.Increment();
      out.refused = Answer::body(wire::overloaded_body(learned.error().message()));
      co_return out;
    }
    info = std::move(*learned);
  }
  const bool is_collated = transaction_ != nullptr && transaction_->collated.contains(command.ns);
  out.collection.simple_collation = info.simple_collation && !is_collated;
  out.collection.unique_fields = std::move(info.unique_fields);
  const bool knows_guard =
      backend_.can(StoreFeature::kNamesCollections) && command.kind != CommandKind::kFindAndModify;
  const bool is_named = knows_guard && info.is_named && !command.strict_api;
  if (is_named) out.collection.uuid = std::move(info.uuid);
  out.collection.is_series = info.type == CollectionInfo::Type::kTimeSeries;
  const bool inserts = command.kind == CommandKind::kInsert;
  const bool may_pass =
      inserts ? transaction_ != nullptr : command.kind == CommandKind::kFindAndModify;
  if (info.type == CollectionInfo::Type::kView || (out.collection.is_series && may_pass)) {
    out.refused = Answer::pass();  // mongod refuses it, in its own words
  } else if (out.collection.is_series && !inserts) {
    context_.metrics.refused_unsupported.Increment();
    out.refused = Answer::body(unsupported("a write to " + command.ns,
                                           "of a time-series collection only what is inserted "
                                           "reaches other sites"));
  }
  co_return out;
}

net::Task<Answer> Capture::write_all(WriteRequest& request, StoreRefusals& refusals) {
  const std::vector<Statement>& statements = request.command.statements;
  RunResult all(request.command);
  const IsRemembered has_record = is_remembered(request);
  // Of measurements mongod has not heard that they are retried (write_session in run.cc).
  if (!request.collection.is_series &&
      std::all_of(statements.begin(), statements.end(), has_record)) {
    all = co_await refusals.answer_retry(request.command);
    if (all.end == End::kBroken) co_return Answer::close();
    if (all.reply.is_answered()) {
      DurableWaits::Shot durable = context_.durable_waits.join(true);
      Answer answered = co_await once_durable(std::move(durable), std::move(all));
      co_return answered;
    }
  }
  std::optional<Run> planned;
  if (statements.size() > 1) {
    // A command that mongod refuses as a whole must not be run in part.
    planned = gather(request, 0);
    if (planned->items.size() < statements.size()) {
      planned.reset();
      std::optional<Answer> refused = co_await refusals.refusal_of_all();
      if (refused) co_return std::move(*refused);
    }
  }
  Answer done = co_await write_statements(request, refusals, std::move(planned), std::move(all));
  co_return done;
}

net::Task<Answer> Capture::write_statements(WriteRequest& request, StoreRefusals& refusals,
                                            std::optional<Run> planned, RunResult all) {
  const std::vector<Statement>& statements = request.command.statements;
  StoreReads reads(context_, backend_, request, refusals);
  RunSettler settler(context_, backend_, request, reads);
  RunExecutor executor(context_, backend_, request, reads, settler);
  Resolver resolver(context_, request, reads, refusals, executor);
  RunResult result(request.command);
  // An error ends a transaction, whatever the command says.
  const bool stops_at_error = request.command.ordered || request.transaction != nullptr;
  int anew = 0;
  for (size_t next = 0; next < statements.size();) {
    const Statement& statement = statements[next];
    size_t done = 1;
    const std::optional<std::string> known = remembered(context_, request, statement);
    if (known && all.reply.add_remembered(Document(*known), statement.index)) {
      result = RunResult(request.command);
      result.durable = context_.durable_waits.join(true);  // its record may not be yet
    } else if (known) {
      // After a crash nobody but mongod knows the document a findAndModify gave.
      result = co_await refusals.repeat(request, statement);
      result.durable = context_.durable_waits.join(true);
    } else {
      Run run = planned ? std::move(*planned) : gather(request, next);
      const bool is_direct = !run.items.empty();
      if (is_direct) result = co_await executor.execute(std::move(run));
      if (!is_direct) result = co_await resolver.write(statement);
      if (is_direct) done = result.items;
    }
    planned.reset();
    all.absorb(std::move(result));
    if (all.end == End::kBroken) co_return Answer::close();
    if (all.end == End::kAnotherCollection) {
      if (++anew > kMadeAnewMax) {
        all.reply.fail(wire::overloaded_body(request.command.ns + " is made anew again and again"));
        break;
      }
      Known known_anew = co_await know_collection(request.command, refusals);
      if (known_anew.refused) co_return std::move(*known_anew.refused);
      request.collection = std::move(known_anew.collection);
      continue;
    }
    anew = 0;
    next += done;
    if (all.reply.failed() || (stops_at_error && all.reply.has_errors())) break;
  }
  if (!all.durable) co_return all.reply.answer();
  DurableWaits::Shot durable = std::move(all.durable);
  Answer done = co_await once_durable(std::move(durable), std::move(all));
  co_return done;
}

net::Task<Answer> Capture::once_durable(DurableWaits::Shot durable, RunResult all) {
  const Status synced = co_await durable->wait();
  if (!synced) {
    context_.log->error("a write is not acknowledged: {}", synced.error().message());
    co_return Answer::close();
  }
  co_return all.reply.answer();
}

IsRemembered Capture::is_remembered(const WriteRequest& request) const {
  return [this, &request](const Statement& statement) {
    return remembered(context_, request, statement).has_value();
  };
}

Run Capture::gather(const WriteRequest& request, size_t first) const {
  return gather_run(request, first, context_.birth(), is_remembered(request));
}

}  // namespace outrigger
