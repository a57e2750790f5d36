// What only mongod can say, in its own words, asked so that nothing can be written. A command goes
// out with the `collectionUUID` of a collection that is not there: mongod says first what is wrong
// with the command, or what a retried statement did; whatever it would have run fails with 361.
// Stores before 6.0 do not know the field and refuse the command for it.
#include <algorithm>
#include <random>

#include "proxy/capture/user_digest.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/capture.h"

namespace outrigger {
namespace {

using bson::Document;

constexpr std::string_view kGuard = "collectionUUID";
constexpr int kUuidSubtype = 4;

std::string random_uuid() {
  std::random_device source;
  std::string out;
  for (int i = 0; i < 16; ++i) out.push_back(static_cast<char>(source()));
  return out;
}

enum class Told { kAll, kFirst };  // of the errors of statements

// kFirst: mongod stops at the first statement. An error for each of 100,000 would be an answer that
// is too large for itself.
std::string guarded_message(const wire::OpMsg& parsed, int32_t request_id, Told told) {
  bson::Writer out;
  for (const bson::Element& field : parsed.body) {
    if (field.name == kGuard || field.name == "apiStrict") continue;
    if (told == Told::kFirst && field.name == "ordered" && field.value.type == bson::Type::kBool) {
      continue;
    }
    out.element(field);
  }
  out.binary(kGuard, kUuidSubtype, random_uuid());
  std::vector<wire::SequenceOut> sequences;
  for (const wire::Sequence& sequence : parsed.sequences) {
    sequences.push_back({sequence.identifier, sequence.bytes});
  }
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()), sequences);
}

// mongod does not know the guard, or it met it.
bool is_of_the_guard(const Document& refusal) {
  if (wire::code_of(refusal) == wire::code::kCollectionUuidMismatch) return true;
  const auto text = refusal.find("errmsg");
  return wire::code_of(refusal) == wire::code::kUnknownField && text &&
         text->type == bson::Type::kString &&
         text->as_string().find(kGuard) != std::string_view::npos;
}

// mongod would have run the command, or a part of it.
bool met_the_guard(CommandKind kind, const Document& body) {
  const RunReply said = read_run_reply(kind, body);
  if (!said.ok) {
    return wire::code_of(body) == wire::code::kCollectionUuidMismatch ||
           wire::code_of(body) == wire::code::kUnknownField;
  }
  return std::any_of(said.errors.begin(), said.errors.end(), [](const RunReply::WriteError& error) {
    return wire::code_of(error.error) == wire::code::kCollectionUuidMismatch;
  });
}

// Fields of a command that explain takes no part of.
bool is_generic(std::string_view name) {
  return name.starts_with('$') || name == "lsid" || name == "txnNumber" || name == "stmtId" ||
         name == "stmtIds" || name == "writeConcern" || name == "readConcern" ||
         name == "maxTimeMS" || name == "comment" || name == "autocommit" ||
         name.substr(0, 3) == "api";
}

}  // namespace

net::Task<Capture::Answer> Capture::refuse_as_the_store(const wire::OpMsg& parsed, CommandKind kind,
                                                        wire::WireError ours) {
  Answer answer;
  std::string request = guarded_message(parsed, backend_.next_request_id(), Told::kAll);
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

namespace {

// As guarded_message, where mongod does not know the guard for a command: it names a document that
// is not there.
std::string harmless_message(const WriteCommand& command, std::string_view nothing,
                             int32_t request_id) {
  bson::Writer out;
  out.string(command.name, command.collection);
  if (command.kind == CommandKind::kFindAndModify) {
    out.open_document("query").object_id("_id", nothing).close().boolean("remove", true);
  } else if (command.kind == CommandKind::kDelete) {
    out.open_array("deletes").open_document("0").open_document("q").object_id("_id", nothing);
    out.close().int32("limit", 1).close().close();
  } else {
    out.open_array("updates").open_document("0").open_document("q").object_id("_id", nothing);
    out.close().open_document("u").open_document("$set").int32("n", 0).close().close();
    out.close().close();
  }
  out.string("$db", command.database);
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()));
}

// A refusal shows the command: as the app sent it, without the guard.
std::string without_guard(const Document& refusal) {
  bson::Writer out;
  for (const bson::Element& field : refusal) {
    if (field.name != "errmsg" || field.value.type != bson::Type::kString) {
      out.element(field);
      continue;
    }
    std::string text(field.value.as_string());
    const size_t at = text.find(std::string(", ") + std::string(kGuard) + ": ");
    const size_t end = at == std::string::npos ? at : text.find(')', at);
    if (end != std::string::npos) text.erase(at, end + 1 - at);
    out.string("errmsg", text);
  }
  return out.finish();
}

}  // namespace

// The same for a command that mongod knows no guard for.
net::Task<Capture::Answer> Capture::refuse_harmlessly(wire::WireError ours) {
  Answer answer;
  std::string request = harmless_message(*command_, fresh_object_id(), backend_.next_request_id());
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
  std::string request = guarded_message(*parsed_, backend_.next_request_id(), Told::kFirst);
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
        guarded ? guarded_message(*parsed_, backend_.next_request_id(), Told::kFirst)
                : harmless_message(*command_, fresh_object_id(), backend_.next_request_id());
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
  std::string request = guarded_message(*parsed_, backend_.next_request_id(), Told::kAll);
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
  bson::Writer out;
  out.open_document("explain");
  for (const bson::Element& field : command_->body) {
    const bool is_array = field.name == "updates" || field.name == "deletes";
    if (!is_generic(field.name) && !is_array) out.element(field);
  }
  if (command_->kind != CommandKind::kFindAndModify) {
    out.open_array(command_->kind == CommandKind::kUpdate ? "updates" : "deletes");
    out.document("0", statement.raw).close();
  }
  out.close().string("verbosity", "queryPlanner").string("$db", command_->database);
  std::string request =
      wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(out.finish()));
  Result<std::string> reply = co_await backend_.call(std::move(request));
  if (!reply) co_return std::nullopt;
  const auto said = wire::parse_op_msg_trusted(*reply);
  if (!said || wire::code_of(said->body) == 0) co_return std::nullopt;
  co_return std::string(said->body.bytes());
}

}  // namespace outrigger
