// What only mongod can say, in its own words, asked so that nothing can be written. A command goes
// out with the `collectionUUID` of a collection that is not there: mongod says first what is wrong
// with the command, or what a retried statement did; whatever it would have run fails with 361.
// Stores before 6.0 do not know the field and refuse the command for it.
#include <algorithm>
#include <random>

#include "proxy/capture/capture.h"
#include "proxy/wire/error_reply.h"

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

std::string guarded_message(const wire::OpMsg& parsed, int32_t request_id) {
  bson::Writer out;
  for (const bson::Element& field : parsed.body) {
    if (field.name != kGuard) out.element(field);
  }
  out.binary(kGuard, kUuidSubtype, random_uuid());
  std::vector<wire::SequenceOut> sequences;
  for (const wire::Sequence& sequence : parsed.sequences) {
    sequences.push_back({sequence.identifier, sequence.bytes});
  }
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()), sequences);
}

int code_in(const Document& document) {
  const auto code = document.find("code");
  return code ? static_cast<int>(code->to_int64().value_or(0)) : 0;
}

// mongod would have run the command, or a part of it.
bool met_the_guard(CommandKind kind, const Document& body) {
  const RunReply said = read_run_reply(kind, body);
  if (!said.ok) {
    return code_in(body) == wire::code::kCollectionUuidMismatch ||
           code_in(body) == wire::code::kUnknownField;
  }
  return std::any_of(said.errors.begin(), said.errors.end(), [](const RunReply::WriteError& error) {
    return code_in(error.error) == wire::code::kCollectionUuidMismatch;
  });
}

// Fields of a command that explain takes no part of.
bool is_generic(std::string_view name) {
  return name.front() == '$' || name == "lsid" || name == "txnNumber" || name == "stmtId" ||
         name == "stmtIds" || name == "writeConcern" || name == "readConcern" ||
         name == "maxTimeMS" || name == "comment" || name == "autocommit" ||
         name.substr(0, 3) == "api";
}

}  // namespace

net::Task<Capture::Answer> Capture::refuse_as_the_store(const wire::OpMsg& parsed, CommandKind kind,
                                                        wire::WireError ours) {
  Answer answer;
  std::string request = guarded_message(parsed, backend_.next_request_id());
  Result<std::string> reply = co_await backend_.call(std::move(request));
  const auto said = reply ? wire::parse_op_msg_trusted(*reply)
                          : wire::WireResult<wire::OpMsg>(tl::unexpected(ours));
  if (!said) {
    answer.kind = Answer::Kind::kClose;
    co_return answer;
  }
  const bool unknown_field = code_in(said->body) == wire::code::kUnknownField;
  const auto text = said->body.find("errmsg");
  const bool of_the_guard = unknown_field && text && text->type == bson::Type::kString &&
                            text->as_string().find(kGuard) != std::string_view::npos;
  const bool refused = unknown_field ? !of_the_guard : !met_the_guard(kind, said->body);
  if (refused) {
    answer.kind = Answer::Kind::kMessage;
    answer.bytes = std::move(*reply);
  } else {
    answer.bytes = with_times(wire::error_body(ours), said->body);
  }
  co_return answer;
}

// A whole command is retried: mongod, which remembers it as we do, answers it again. What only we
// remember (mongod was killed before it was durable there) is put together here.
net::Task<std::optional<Capture::Answer>> Capture::answer_retry(ReplyBuilder& reply) {
  const std::vector<Statement>& statements = command_->statements;
  for (const Statement& statement : statements) {
    if (!remembered(statement)) co_return std::nullopt;
  }
  std::string request = guarded_message(*parsed_, backend_.next_request_id());
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
  if (!said || code_in(said->body) == 0) co_return std::nullopt;
  co_return std::string(said->body.bytes());
}

}  // namespace outrigger
