// What a session does before its client is let in: bounds, the gate, the masked hello, the steps of
// a login.
#include "proxy/mongo/hello.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/mongo/wire/op_query.h"
#include "proxy/mongo/wire/op_reply.h"
#include "proxy/session/refusals.h"
#include "proxy/session/session.h"

namespace outrigger {

using bson::Document;

namespace {

wire::WireError certificate_refused() {
  return {wire::code::kAuthenticationFailed,
          "MONGODB-X509 does not pass Outrigger: the certificate mongod sees is the sidecar's; log "
          "in with a password",
          false};
}

}  // namespace

bool Session::is_stranger() const { return !is_let_in_ && context_.login_rule.asks_login(); }

size_t Session::message_bytes_max() const {
  return is_stranger() ? limits::kStrangerMessageBytesMax : limits::kMessageBytesMax;
}

net::Task<bool> Session::make_room(const wire::Framer::Step& step) {
  const auto bytes = static_cast<size_t>(step.header.message_length);
  if (bytes <= limits::kUnreadBytesMax) co_return true;
  MessageRooms& rooms = context_.rooms;
  MessageRoom* room = &rooms.large;
  if (bytes <= limits::kSmallMessageBytesMax) room = &rooms.small;
  if (message_bytes_max() == limits::kStrangerMessageBytesMax) room = &rooms.strangers;
  const bool has_room = co_await room_.take(*room, bytes);
  co_return has_room;
}

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
  Status sent = co_await client_->write(*reply);
  co_return sent ? Next::kGoOn : Next::kEnd;
}

// An error says nothing of it: then it is asked for before anything else is sent.
void Session::note_process(const Document& hello) {
  std::string process = process_of(hello);
  if (!process.empty()) backend_->process = std::move(process);
}

net::Task<Session::Next> Session::hello(const wire::OpMsg& parsed) {
  const wire::MsgHeader header = parsed.header;
  const std::string command = mask_hello_request(parsed.body);
  std::string request = wire::build_op_msg(header.request_id, 0, 0, Document(command));
  Result<std::string> reply = co_await backend_->call(std::move(request));
  if (!reply) co_return Next::kEnd;
  const auto answer = wire::parse_op_msg_trusted(*reply);
  if (!answer) co_return Next::kEnd;
  note_process(answer->body);
  if (logs_in_with_hello(answer->body)) let_in();
  const std::string body = mask_hello_reply(answer->body, context_.advertise);
  const std::string out =
      wire::build_op_msg(answer->header.request_id, header.request_id, 0, Document(body));
  Status sent = co_await client_->write(out);
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
    Status sent = co_await client_->write(out);
    co_return sent && !refused->close_connection ? Next::kGoOn : Next::kEnd;
  }
  const CommandKind kind = command_info(query->command_name()).kind;
  const bool is_hello = kind == CommandKind::kHello;
  backend_->user.reset();
  std::string request(message);
  if (is_hello) {
    request = wire::build_op_query(header.request_id, query->database,
                                   Document(mask_hello_request(query->command)), query->flags);
  }
  Result<std::string> reply = co_await backend_->call(std::move(request));
  if (!reply) co_return Next::kEnd;
  out = std::move(*reply);
  if (is_hello) {
    context_.metrics.hellos.Increment();
    const auto parsed = wire::parse_op_reply(out);
    if (!parsed) co_return Next::kEnd;
    note_process(parsed->documents.front());
    const std::string body = mask_hello_reply(parsed->documents.front(), context_.advertise);
    if (logs_in_with_hello(parsed->documents.front())) let_in();
    out = wire::build_op_reply(parsed->header.request_id, header.request_id, Document(body));
  } else if (kind == CommandKind::kLogin) {
    const auto parsed = wire::parse_op_reply(out);
    if (parsed && ends_login(query->command_name(), parsed->documents.front())) let_in();
  }
  Status sent = co_await client_->write(out);
  co_return sent ? Next::kGoOn : Next::kEnd;
}

net::Task<bool> Session::pass_gate(std::string_view message) {
  if (backend_->is_admitted) co_return true;
  if (!backend_->process) {
    const Status learned = co_await backend_->learn_process();
    if (!learned) co_return false;
  }
  std::string process = *backend_->process;
  backend_->is_admitted = co_await context_.gate.pass(context_.loop, std::move(process));
  if (backend_->is_admitted) co_return true;
  const auto parsed = wire::parse_op_msg(message);  // as needs_gate() did
  std::string body = not_served_body();
  [[maybe_unused]] const Next next = co_await answer(*parsed, std::move(body));
  co_return false;
}

}  // namespace outrigger
