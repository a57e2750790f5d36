// What a session does before its client is let in: bounds, the gate, the masked hello, the steps of
// a login.
#include "proxy/mongo/hello.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/mongo/wire/op_query.h"
#include "proxy/mongo/wire/op_reply.h"
#include "proxy/outputs/output_write.h"
#include "proxy/session/own_database.h"
#include "proxy/session/refusals.h"
#include "proxy/session/session.h"
#include "proxy/session/transaction_command.h"

namespace outrigger {

using bson::Document;

namespace {

// What the sidecar sees to by itself, and the store does on its primary alone.
bool needs_primary(const wire::OpMsg& parsed, const Policy& policy) {
  if (is_in_transaction(parsed) || OwnDatabase::answers(parsed)) return true;
  const CommandKind kind = command_info(parsed.command_name()).kind;
  if (is_captured(kind)) return !policy.stays_here(ns_of(parsed));
  if (kind == CommandKind::kDdl) return ddl_travels(parsed, policy);
  return output_that_travels(parsed, policy).has_value();
}

std::string_view read_preference(const wire::OpMsg& parsed) {
  const auto preference = parsed.body.find("$readPreference");
  if (!preference || preference->type != bson::Type::kDocument) return "primary";
  const auto mode = preference->as_document().find("mode");
  return mode && mode->type == bson::Type::kString ? mode->as_string() : "primary";
}

// An app that reads at the primary, or would rather. Where it goes on reading what another one has
// given it, it has said so before.
bool wants_primary(const wire::OpMsg& parsed) {
  const CommandKind kind = command_info(parsed.command_name()).kind;
  const bool reads = kind == CommandKind::kRead || kind == CommandKind::kAggregate;
  if (!reads || parsed.command_name() == "getMore") return false;
  const std::string_view mode = read_preference(parsed);
  return mode == "primary" || mode == "primaryPreferred";
}

// mongod answers these at its primary alone, if it is not told otherwise. What it would answer is
// not waited for: it could be elected in between, and lack what was acknowledged.
bool reads_at_primary_only(const wire::OpMsg& parsed) {
  const std::string_view name = parsed.command_name();
  const bool reads = name == "find" || name == "aggregate" || name == "count" || name == "distinct";
  return reads && read_preference(parsed) == "primary" && parsed.database() != "local";
}

wire::WireError certificate_refused() {
  return {wire::code::kAuthenticationFailed,
          "MONGODB-X509 does not pass Outrigger: the certificate mongod sees is the sidecar's; log "
          "in with a password",
          false};
}

}  // namespace

bool Session::is_stranger() const { return !is_let_in_ && context_.login_rule.asks_login(); }

void Session::let_in() {
  if (std::exchange(is_let_in_, true)) return;
  on_news_(News::kLetIn);
}

net::Task<Session::Next> Session::log_in(std::string_view message, const wire::OpMsg& parsed) {
  if (is_by_certificate(parsed.body)) {
    std::string body = wire::error_body(certificate_refused());
    const Next refused = co_await answer(parsed, std::move(body));
    co_return refused;
  }
  if (parsed.more_to_come()) {  // nobody would hear whether it succeeded
    const Next next = co_await pass(message, true);
    co_return next;
  }
  std::string request(message);
  const Result<std::string> reply = co_await backend_->call(std::move(request));
  if (!reply) co_return Next::kEnd;
  const auto answer = wire::parse_op_msg(*reply);
  if (answer && ends_login(parsed.command_name(), answer->body)) let_in();
  Status sent = co_await replies_.send(*reply);
  co_return sent ? Next::kGoOn : Next::kEnd;
}

net::Task<Session::Next> Session::serve_query(std::string_view message) {
  const wire::WireResult<wire::OpQuery> query = wire::parse_op_query(message);
  const wire::MsgHeader header = *wire::read_header(message);
  std::string out;
  std::optional<wire::WireError> refused;
  if (!query) refused = query.error();
  if (query) refused = wire::refuse_op_query(*query);
  if (query && !refused && is_by_certificate(query->command)) refused = certificate_refused();
  if (refused) {
    out = wire::build_op_reply(backend_->next_request_id(), header.request_id,
                               Document(wire::error_body(*refused)));
    Status sent = co_await replies_.send(out);
    co_return sent && !refused->close_connection ? Next::kGoOn : Next::kEnd;
  }
  const CommandKind kind = command_info(query->command_name()).kind;
  const bool is_hello = kind == CommandKind::kHello;
  backend_->user.reset();
  std::string request(message);
  if (is_hello) {
    const std::string masked = greeting_.masked(*backend_, query->command);
    request =
        wire::build_op_query(header.request_id, query->database, Document(masked), query->flags);
  }
  const bool waits = is_hello && waits_for_news(query->command);
  Result<std::string> reply = co_await greeting_.ask(*backend_, std::move(request), waits);
  if (!reply) co_return Next::kEnd;
  out = std::move(*reply);
  if (is_hello) {
    context_.metrics.hellos.Increment();
    const auto parsed = wire::parse_op_reply(out);
    if (!parsed) co_return Next::kEnd;
    const Document said = parsed->documents.front();
    const std::string body = co_await greeting_.shown(*backend_, query->command, said);
    out = wire::build_op_reply(parsed->header.request_id, header.request_id, Document(body));
  } else if (kind == CommandKind::kLogin) {
    const auto parsed = wire::parse_op_reply(out);
    if (parsed && ends_login(query->command_name(), parsed->documents.front())) let_in();
  }
  Status sent = co_await replies_.send(out);
  co_return sent ? Next::kGoOn : Next::kEnd;
}

net::Task<std::optional<Session::Next>> Session::pass_gate(std::string_view message) {
  using Verdict = StorePassage::Verdict;
  const auto parsed = wire::parse_op_msg(message);  // as needs_gate() did
  const Verdict verdict = co_await passage_.pass(*backend_, *parsed);
  if (verdict == Verdict::kFree) co_return std::nullopt;
  // Nobody would hear that it is no primary: mongod closes such a connection.
  const bool is_to_read = verdict == Verdict::kNotToBeRead;
  if ((verdict == Verdict::kNotPrimary || is_to_read) && !parsed->more_to_come()) {
    const std::string error = is_to_read ? not_to_be_read_body() : not_primary_body(*parsed);
    std::string body = backend_->with_topology(Document(error));
    const Next next = co_await answer_refusal(*parsed, std::move(body));
    co_return next;
  }
  if (verdict == Verdict::kNotServed) {
    const std::string error = not_served_body();
    std::string body = backend_->with_topology(Document(error));
    [[maybe_unused]] const Next next = co_await answer(*parsed, std::move(body));
  }
  co_return Next::kEnd;
}

// ---- which run of mongod it is to

// As mongod says it, with the labels that drivers go by.
std::string not_primary_body(const wire::OpMsg& parsed) {
  constexpr const char* kWords = "not primary";
  const std::string_view name = parsed.command_name();
  const bool ends = name == "commitTransaction" || name == "abortTransaction";
  if (is_in_transaction(parsed) && !ends) {
    return wire::error_body(wire::code::kNotWritablePrimary, kWords, {"TransientTransactionError"});
  }
  if (ends || parsed.body.has("txnNumber")) {
    return wire::error_body(wire::code::kNotWritablePrimary, kWords, {"RetryableWriteError"});
  }
  return wire::error_body(wire::code::kNotWritablePrimary, kWords);
}

std::string not_to_be_read_body() {
  return wire::error_body(wire::code::kNotPrimaryNoSecondaryOk,
                          "not primary and secondaryOk=false");
}

net::Task<StorePassage::Verdict> StorePassage::pass(Backend& backend, const wire::OpMsg& parsed) {
  if (!backend.process) {
    const Status learned = co_await backend.learn_process();
    if (!learned) co_return Verdict::kClosed;
  }
  if (is_follower(*backend.process)) {
    const bool needs = needs_primary(parsed, context_.policy);
    if (!needs && !wants_primary(parsed)) co_return Verdict::kFree;
    const Status learned = co_await backend.learn_process();
    if (!learned) co_return Verdict::kClosed;
    if (is_follower(*backend.process)) {
      if (needs) co_return Verdict::kNotPrimary;
      co_return reads_at_primary_only(parsed) ? Verdict::kNotToBeRead : Verdict::kFree;
    }
  }
  std::string process = *backend.process;
  backend.is_admitted = co_await context_.gate.pass(context_.loop, std::move(process));
  co_return backend.is_admitted ? Verdict::kFree : Verdict::kNotServed;
}

}  // namespace outrigger
