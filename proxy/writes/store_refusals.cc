#include "proxy/writes/store_refusals.h"

#include "proxy/capture/harmless.h"
#include "proxy/capture/run_plan.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/transactions/transaction.h"

namespace outrigger {
namespace {

using bson::Document;

// The store refused the statement's filter, as `explained` says or else its find did.
void add_refusal(const Statement& statement, const RunReply& said, const FilterRefusal& refusal,
                 const std::optional<std::string>& explained, ReplyBuilder& reply) {
  int code = refusal.code;
  std::string text = refusal.reason;
  if (explained) {
    const auto its_code = Document(*explained).find("code");
    const auto its_text = Document(*explained).find("errmsg");
    if (its_code) code = static_cast<int>(its_code->to_int64().value_or(0));
    if (its_text && its_text->type == bson::Type::kString) text = its_text->as_string();
  }
  reply.add_tail(said);
  reply.add_error(statement.index, code, text);
}

}  // namespace

net::Task<Answer> StoreRefusals::refuse(wire::WireError ours, const WriteCommand* command) {
  std::string request =
      guarded_command(parsed_, context_.random.uuid(), backend_.next_request_id(), Told::kAll);
  Result<std::string> reply = co_await backend_.call(std::move(request));
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  if (!knows_guard(kind_) && command != nullptr && is_of_the_guard(said->body)) {
    Answer answer = co_await refuse_unguarded(std::move(ours), *command);
    co_return answer;
  }
  const bool unknown_field = wire::code_of(said->body) == wire::code::kUnknownField;
  const bool refused =
      unknown_field ? !is_of_the_guard(said->body) : !met_the_guard(kind_, said->body);
  if (refused) co_return Answer::message(std::move(*reply));
  co_return Answer::body(with_times(wire::error_body(ours), said->body));
}

net::Task<Answer> StoreRefusals::refuse_unguarded(wire::WireError ours,
                                                  const WriteCommand& command) {
  std::string request = command_of_nothing(command);
  Result<std::string> reply = co_await backend_.call(std::move(request));
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  if (!read_run_reply(kind_, said->body).ok) {
    co_return Answer::stores_body(std::string(said->body.bytes()));
  }
  co_return Answer::body(with_times(wire::error_body(ours), said->body));
}

net::Task<std::optional<Answer>> StoreRefusals::refusal_of_all() {
  std::string request =
      guarded_command(parsed_, context_.random.uuid(), backend_.next_request_id(), Told::kFirst);
  Result<std::string> reply = co_await backend_.call(std::move(request));
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  if (read_run_reply(kind_, said->body).ok || is_of_the_guard(said->body)) co_return std::nullopt;
  co_return Answer::stores_body(without_guard(said->body));
}

net::Task<std::optional<std::string>> StoreRefusals::refusal_to_write(const WriteCommand& command) {
  for (const bool guarded : {true, false}) {
    if (guarded && !knows_guard(kind_)) continue;
    std::string request = guarded ? guarded_command(parsed_, context_.random.uuid(),
                                                    backend_.next_request_id(), Told::kFirst)
                                  : command_of_nothing(command);
    Result<std::string> reply = co_await backend_.call(std::move(request));
    const auto said = answer_in(reply);
    if (!said) co_return std::string();
    if (wire::code_of(said->body) == wire::code::kUnauthorized) co_return without_guard(said->body);
    if (wire::code_of(said->body) != wire::code::kUnknownField) break;
  }
  co_return std::nullopt;
}

net::Task<StoreRefusals::Explained> StoreRefusals::explain(const WriteCommand& command,
                                                           const Statement& statement) {
  Explained out;
  std::string request = explaining_command(command, statement, backend_.next_request_id());
  Result<std::string> reply = co_await backend_.call(std::move(request));
  const auto said = answer_in(reply);
  out.broken = !said;
  if (said && wire::code_of(said->body) != 0) out.refusal = std::string(said->body.bytes());
  co_return out;
}

net::Task<RunResult> StoreRefusals::answer_retry(const WriteCommand& command) {
  RunResult result(command);
  std::string request =
      guarded_command(parsed_, context_.random.uuid(), backend_.next_request_id(), Told::kAll);
  Result<std::string> message = co_await backend_.call(std::move(request));
  const auto said = answer_in(message);
  if (!said) {
    result.end = RunResult::End::kBroken;
    co_return result;
  }
  if (met_the_guard(kind_, said->body)) {
    const RunReply store = read_run_reply(kind_, said->body);
    result.reply.add_tail(store);
    result.reply.retried_were(store.retried);
  } else {
    result.reply.answer_as(std::move(*message));
  }
  co_return result;
}

net::Task<RunResult> StoreRefusals::repeat(const WriteRequest& request,
                                           const Statement& statement) {
  RunResult result(request.command);
  const Run run = repeating_run(request, statement);
  const Result<std::string> message = co_await ask(run, nullptr);
  const auto parsed = answer_in(message);
  if (!parsed) {
    result.end = RunResult::End::kBroken;
    co_return result;
  }
  const RunReply said = read_run_reply(kind_, parsed->body);
  if (backend_.can(StoreFeature::kTellsRetried) && said.ok && said.retried.empty()) {
    context_.log->error("the store ran a recorded statement in {} again", request.command.ns);
  }
  result.reply.add(run, said);
  co_return result;
}

net::Task<RunResult> StoreRefusals::probe(const WriteRequest& request, const Statement& statement,
                                          std::optional<FilterRefusal> refusal) {
  RunResult result(request.command);
  const Run run = probing_run(request, statement, context_.birth());
  // The transaction has ended with the refusal, and would give no other answer.
  Transaction* const transaction = refusal ? nullptr : request.transaction;
  Result<std::string> message = co_await ask(run, transaction);
  const auto parsed = answer_in(message);
  if (!parsed) {
    result.end = RunResult::End::kBroken;
    co_return result;
  }
  const RunReply said = read_run_reply(kind_, parsed->body);
  // What mongod says of the command as a whole comes before what it says of the filter.
  const bool refused_whole = !said.ok && kind_ != CommandKind::kFindAndModify;
  if (refusal && !refused_whole) {
    Explained explained = co_await explain(request.command, statement);
    if (explained.broken) {
      result.end = RunResult::End::kBroken;
      co_return result;
    }
    if (explained.refusal && kind_ == CommandKind::kFindAndModify) {
      result.reply.fail(std::move(*explained.refusal));
      co_return result;
    }
    if (explained.refusal || (said.ok && said.errors.empty())) {
      add_refusal(statement, said, *refusal, explained.refusal, result.reply);
      co_return result;
    }
  }
  result.reply.add(run, said, std::move(*message));
  co_return result;
}

net::Task<Result<std::string>> StoreRefusals::ask(const Run& run, Transaction* transaction) {
  std::optional<RunSession> session;
  if (run.command->session.is_retryable()) session = session_of_app(*run.command);
  if (!session) {
    session.emplace();
    session->lsid = backend_.lsid();
  }
  if (transaction != nullptr) {
    session->transaction = transaction->naming(run.command->body, false);
  }
  std::string asked = build_run_message(run, *session, backend_.next_request_id());
  Result<std::string> message = co_await backend_.call(std::move(asked));
  co_return message;
}

std::string StoreRefusals::command_of_nothing(const WriteCommand& command) {
  return outrigger::command_of_nothing(command, context_.birth().id(), backend_.next_request_id());
}

}  // namespace outrigger
