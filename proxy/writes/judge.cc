// What only mongod can say, in its own words, asked so that nothing can be written. A command goes
// out with the `collectionUUID` of a collection that is not there: mongod says first what is wrong
// with the command, or what a retried statement did; whatever it would have run fails with 361.
// Stores before 6.0 do not know the field and refuse the command for it.
#include "proxy/capture/harmless.h"
#include "proxy/capture/user_digest.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/capture.h"

namespace outrigger {
namespace {

using bson::Document;

}  // namespace

net::Task<Capture::Answer> Capture::refuse_as_the_store(const wire::OpMsg& parsed, CommandKind kind,
                                                        wire::WireError ours) {
  Answer answer;
  std::string request = guarded_command(parsed, backend_.next_request_id(), Told::kAll);
  Result<std::string> reply = co_await backend_.call(std::move(request));
  const auto said = reply ? wire::parse_op_msg_trusted(*reply)
                          : wire::WireResult<wire::OpMsg>(tl::unexpected(ours));
  if (!said) {
    answer.kind = Answer::Kind::kClose;
    co_return answer;
  }
  const bool has_guard = kind != CommandKind::kFindAndModify;
  if (!has_guard && command_ != nullptr && is_of_the_guard(said->body)) {
    answer = co_await refuse_harmlessly(std::move(ours));
    co_return answer;
  }
  const bool unknown_field = wire::code_of(said->body) == wire::code::kUnknownField;
  const bool refused =
      unknown_field ? !is_of_the_guard(said->body) : !met_the_guard(kind, said->body);
  if (refused) {
    answer.kind = Answer::Kind::kMessage;
    answer.bytes = std::move(*reply);
  } else {
    answer.bytes = with_times(wire::error_body(ours), said->body);
  }
  co_return answer;
}

// The same for a command that mongod knows no guard for.
net::Task<Capture::Answer> Capture::refuse_harmlessly(wire::WireError ours) {
  Answer answer;
  std::string request =
      command_of_nothing(*command_, fresh_object_id(), backend_.next_request_id());
  Result<std::string> reply = co_await backend_.call(std::move(request));
  const auto said = reply ? wire::parse_op_msg_trusted(*reply)
                          : wire::WireResult<wire::OpMsg>(tl::unexpected(ours));
  if (!said) {
    answer.kind = Answer::Kind::kClose;
    co_return answer;
  }
  const RunReply of_it = read_run_reply(command_->kind, said->body);
  answer.bytes =
      of_it.ok ? with_times(wire::error_body(ours), said->body) : std::string(said->body.bytes());
  co_return answer;
}

// Does mongod refuse the command before it would run any of its statements?
net::Task<std::optional<Capture::Answer>> Capture::refused_whole() {
  std::string request = guarded_command(*parsed_, backend_.next_request_id(), Told::kFirst);
  Result<std::string> reply = co_await backend_.call(std::move(request));
  const auto said = reply ? wire::parse_op_msg_trusted(*reply)
                          : wire::WireResult<wire::OpMsg>(tl::unexpected(wire::WireError{}));
  Answer answer;
  if (!said) {
    answer.kind = Answer::Kind::kClose;
    co_return answer;
  }
  const RunReply of_all = read_run_reply(command_->kind, said->body);
  if (of_all.ok || is_of_the_guard(said->body)) co_return std::nullopt;
  answer.bytes = without_guard(said->body);
  co_return answer;
}

net::Task<std::optional<std::string>> Capture::refusal_to_write() {
  const bool has_guard = command_->kind != CommandKind::kFindAndModify;
  for (const bool guarded : {true, false}) {
    if (guarded && !has_guard) continue;
    std::string request =
        guarded ? guarded_command(*parsed_, backend_.next_request_id(), Told::kFirst)
                : command_of_nothing(*command_, fresh_object_id(), backend_.next_request_id());
    Result<std::string> reply = co_await backend_.call(std::move(request));
    const auto said = reply ? wire::parse_op_msg_trusted(*reply)
                            : wire::WireResult<wire::OpMsg>(tl::unexpected(wire::WireError{}));
    if (!said) co_return std::string();
    if (wire::code_of(said->body) == wire::code::kUnauthorized) co_return without_guard(said->body);
    if (wire::code_of(said->body) != wire::code::kUnknownField) break;
  }
  co_return std::nullopt;
}

// A whole command is retried: mongod, which remembers it as we do, answers it again. What only we
// remember (mongod was killed before it was durable there) is put together here.
net::Task<std::optional<Capture::Answer>> Capture::answer_retry(ReplyBuilder& reply) {
  const std::vector<Statement>& statements = command_->statements;
  for (const Statement& statement : statements) {
    if (!remembered(statement)) co_return std::nullopt;
  }
  std::string request = guarded_command(*parsed_, backend_.next_request_id(), Told::kAll);
  Result<std::string> message = co_await backend_.call(std::move(request));
  const auto said = message ? wire::parse_op_msg_trusted(*message)
                            : wire::WireResult<wire::OpMsg>(tl::unexpected(wire::WireError{}));
  Answer answer;
  if (!said) {
    answer.kind = Answer::Kind::kClose;
    co_return answer;
  }
  if (!met_the_guard(command_->kind, said->body)) {
    answer.kind = Answer::Kind::kMessage;
    answer.bytes = std::move(*message);
    co_return answer;
  }
  const RunReply store = read_run_reply(command_->kind, said->body);
  reply.add_tail(store);
  reply.retried_were(store.retried);
  co_return std::nullopt;
}

// Whose session the command names. mongod keeps what a session did apart by user, so that a number
// that another user happens to send, or means to send, is another statement.
net::Task<bool> Capture::learn_user(AppSession& session) {
  if (!backend_.user) {
    bson::Writer out;
    out.int32("connectionStatus", 1).string("$db", "admin");
    const std::string body = out.finish();
    std::string request = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
    Result<std::string> reply = co_await backend_.call(std::move(request));
    if (!reply) co_return false;
    const auto said = wire::parse_op_msg_trusted(*reply);
    if (!said) co_return false;
    backend_.user = user_in_digest(digest_of_user(said->body));
  }
  // mongod lets only some name another user; whether this one may is for it to say.
  session_is_own_ = !session.names_user || session.user == *backend_.user;
  if (!session.names_user) session.user = *backend_.user;
  co_return true;
}

// Explains a statement whose filter the store refused, for the words of its refusal: they show the
// query, which in a narrowed statement is another one.
net::Task<std::optional<std::string>> Capture::explain_refusal(const Statement& statement) {
  std::string request = explaining_command(*command_, statement, backend_.next_request_id());
  Result<std::string> reply = co_await backend_.call(std::move(request));
  if (!reply) co_return std::nullopt;
  const auto said = wire::parse_op_msg_trusted(*reply);
  if (!said || wire::code_of(said->body) == 0) co_return std::nullopt;
  co_return std::string(said->body.bytes());
}

}  // namespace outrigger
