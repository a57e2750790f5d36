#include "proxy/session/session.h"

#include "proxy/catalog/catalog_in_transaction.h"
#include "proxy/catalog/database_drop.h"
#include "proxy/catalog/listed_indexes.h"
#include "proxy/catalog/rename_write.h"
#include "proxy/mongo/commands.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/outputs/output_write.h"
#include "proxy/session/own_database.h"
#include "proxy/session/refusals.h"
#include "proxy/session/transaction_command.h"
#include "proxy/writes/capture.h"
#include "proxy/writes/catalog_write.h"

namespace outrigger {
namespace {

using bson::Document;

// What a driver sends before anything that could see or change a document.
bool is_handshake(CommandKind kind) {
  return kind == CommandKind::kHello || kind == CommandKind::kLogin;
}

// Nobody needs to hear of what is written there.
bool stays_here(const wire::OpMsg& parsed, const Policy& policy) {
  const std::string ns = ns_of(parsed);
  return !ns.empty() && policy.stays_here(ns);
}

// What is no command is refused.
bool needs_gate(std::string_view message) {
  const auto parsed = wire::parse_op_msg(message);
  return parsed && !is_handshake(command_info(parsed->command_name()).kind);
}

// Of a transaction, beside reads and writes.
bool may_be_of_one(CommandKind kind) {
  return kind == CommandKind::kAggregate || kind == CommandKind::kDdl;
}

// In a transaction.
bool makes_collection(const wire::OpMsg& parsed, const ProxyContext& context) {
  return context.retryable && is_made_in_transactions(parsed) &&
         ddl_travels(parsed, context.policy);
}

Metrics::Counter& counter_of(ProxyMetrics& metrics, CommandKind kind, bool reads, bool writes) {
  if (reads) return metrics.reads;
  if (writes) return metrics.writes;
  return kind == CommandKind::kHello ? metrics.hellos : metrics.others;
}

}  // namespace

Session::Session(ProxyContext& context, const StoreMember& member, bool by_socket,
                 std::unique_ptr<net::Stream> client, std::function<void(News)> on_news)
    : context_(context),
      member_(member),
      passage_(context),
      client_(std::move(client)),
      replies_(*client_, context.compressors, context.rooms.replies, context.log,
               [this] { static_cast<void>(abort()); }),
      messages_(*client_, context.rooms, replies_, context.log,
                [this] { static_cast<void>(abort()); }),
      greeting_(context.loop, context.gate, by_socket ? member.socket_names : member.names,
                replies_, {[this] { let_in(); }, [this] { waited(); }}),
      on_news_(std::move(on_news)) {
  client_->on_end([this] { client_gone(); });
  context_.metrics.connections.Increment();
}

Session::~Session() { context_.metrics.connections.Decrement(); }

// A stranger that listens to news is as good as one that asks for them.
void Session::waited() {
  busy_since_us_ = context_.loop.now_us();
  if (!is_let_in_) on_news_(News::kSpoke);
}

// While the store works on a read for a client that has left, there is nobody to answer.
void Session::client_gone() {
  if (serving_ && !writing_ && backend_) backend_->close();
  replies_.release();
}

void Session::drain() {
  draining_ = true;
  greeting_.end();
  if (serving_ && !greeting_.is_waiting()) return;
  client_->close();
  if (serving_) backend_->close();
  messages_.release();
  replies_.release();
}

bool Session::abort() {
  draining_ = true;
  if (writing_) return false;
  client_->close();
  messages_.release();
  replies_.release();
  if (backend_) backend_->close();
  return true;
}

net::Task<void> Session::run() {
  for (;;) {
    Result<std::string_view> bytes = co_await client_->read_some();
    if (!bytes || bytes->empty()) break;
    std::string_view rest = *bytes;
    if (busy_since_us_ == 0) {
      busy_since_us_ = context_.loop.now_us();
      messages_.begin(is_stranger());
    }
    const wire::Framer::Step step = messages_.next(rest);
    if (!rest.empty()) client_->unread(rest);
    if (step.kind == wire::Framer::Kind::kNeedMore) {
      const bool may_go_on = co_await messages_.make_room(step);
      if (!may_go_on) break;
      continue;
    }
    if (step.kind == wire::Framer::Kind::kError) {
      context_.log->debug("{}: {}", client_->peer_address(), step.error.message);
      break;
    }
    messages_.complete();
    std::string_view message = step.message;
    if (step.header.op_code == wire::OpCode::kCompressed) {
      const bool is_expanded = co_await messages_.expand(message);
      if (!is_expanded) break;
      message = messages_.expanded();
    }
    if (!is_let_in_) on_news_(News::kSpoke);
    serving_ = true;
    const Next next = co_await serve(message);
    serving_ = false;
    messages_.served();
    busy_since_us_ = 0;
    if (next == Next::kEnd || draining_) break;
  }
  client_->close();
  if (backend_) backend_->close();
}

net::Task<bool> Session::connect() {
  if (backend_ && backend_->is_open()) co_return true;
  if (backend_) co_return false;  // what the client authenticated died with it
  Result<std::unique_ptr<Backend>> backend =
      co_await Backend::dial(member_.store, context_.random, context_.log);
  if (!backend) {
    context_.log->warn("{}", backend.error().message());
    co_return false;
  }
  backend_ = std::move(*backend);
  co_return true;
}

net::Task<Session::Next> Session::serve(std::string_view borrowed) {
  const auto header = wire::read_header(borrowed);
  // A command that passes is sent on from the read buffer; whatever waits for more first copies.
  const bool connected = backend_ && backend_->is_open() && backend_->is_admitted;
  if (header->op_code == wire::OpCode::kMsg) {
    if (connected) {
      const Next next = co_await serve_msg(borrowed);
      co_return next;
    }
    const std::string message(borrowed);
    const bool dialled = co_await connect();
    if (!dialled) co_return Next::kEnd;
    if (needs_gate(message)) {
      const std::optional<Next> stopped = co_await pass_gate(message);
      if (stopped) co_return *stopped;
    }
    const Next next = co_await serve_msg(message);
    co_return next;
  }
  const std::string message(borrowed);
  if (header->op_code == wire::OpCode::kQuery) {
    const bool dialled = co_await connect();
    if (!dialled) co_return Next::kEnd;
    const Next next = co_await serve_query(message);
    co_return next;
  }
  context_.log->debug("{}: opcode {} is not spoken here", client_->peer_address(),
                      static_cast<int>(header->op_code));
  co_return Next::kEnd;
}

net::Task<Session::Next> Session::serve_msg(std::string_view borrowed) {
  wire::WireResult<wire::OpMsg> parsed = wire::parse_op_msg(borrowed);
  if (!parsed) {
    const wire::MsgHeader header = *wire::read_header(borrowed);
    const Next next = co_await answer_error(header, parsed.error());
    co_return next;
  }
  const CommandInfo info = command_info(parsed->command_name());
  const bool is_write = is_captured(info.kind);
  const bool greets = is_handshake(info.kind);
  if (greets || parsed->command_name() == "logout") backend_->user.reset();
  if (!is_let_in_ && !greets && !context_.login_rule.asks_login()) let_in();
  const bool in_transaction = is_in_transaction(*parsed);
  const bool is_own = !in_transaction && OwnDatabase::answers(*parsed);
  const bool stays = (info.kind == CommandKind::kRead && !lists_relaxed(context_, *parsed)) ||
                     (is_write && stays_here(*parsed, context_.policy));
  if (stays && !in_transaction && !is_own) {
    context_.metrics.reads.Increment();
    const Next next = co_await pass(borrowed, parsed->more_to_come());
    co_return next;
  }
  // Everything else waits for something before its bytes are used up.
  const std::string message(borrowed);
  wire::WireResult<wire::OpMsg> kept = wire::parse_op_msg_trusted(message);
  Next next = Next::kEnd;
  if (!kept) co_return next;
  std::optional<std::string> refused = refusal_of(*kept, context_.policy);
  const bool is_read = is_own || (in_transaction && !is_write);
  if (!refused) counter_of(context_.metrics, info.kind, is_read, is_write).Increment();
  if (refused) {
    context_.metrics.refused_unsupported.Increment();
    next = co_await answer_refusal(*kept, std::move(*refused));
    co_return next;
  }
  Answer done = Answer::pass();
  if (is_own) {
    OwnDatabase own(context_, *backend_, writing_);
    done = co_await own.run(message, *kept, is_stranger());
  } else if (in_transaction && (stays || is_write || may_be_of_one(info.kind))) {
    TransactionCommand command(context_, *backend_, alive_, writing_);
    const bool travels =
        (is_write && !stays) || (makes_collection(*kept, context_) && !is_stranger());
    done = co_await command.run(message, *kept, info.kind, travels, is_stranger());
  } else if (is_write) {
    done = co_await write(message, *kept, info.kind);
  } else if (auto output = output_that_travels(*kept, context_.policy); output && !is_stranger()) {
    OutputWrite copy(context_, *backend_, writing_, *kept, std::move(*output));
    done = co_await copy.run();
  } else if (greets || info.kind == CommandKind::kDdl) {
    if (info.kind == CommandKind::kHello) {
      const bool is_answered = co_await greeting_.greet(*backend_, *kept);
      next = is_answered ? Next::kGoOn : Next::kEnd;
    }
    if (info.kind == CommandKind::kLogin) next = co_await log_in(message, *kept);
    if (info.kind == CommandKind::kDdl) next = co_await ddl(message, *kept);
    co_return next;
  }
  next = co_await finish(message, *kept, std::move(done));
  co_return next;
}

net::Task<Session::Next> Session::pass(std::string_view message, bool more_to_come) {
  const Status sent = co_await backend_->send_one(message);
  if (!sent) co_return Next::kEnd;
  if (more_to_come) co_return Next::kGoOn;
  for (;;) {
    Result<uint32_t> flags = co_await replies_.relay(*backend_);
    if (!flags) co_return Next::kEnd;
    if ((*flags & wire::kMoreToCome) == 0) co_return Next::kGoOn;
  }
}

net::Task<Answer> Session::write(std::string_view message, const wire::OpMsg& parsed,
                                 CommandKind kind) {
  writing_ = true;
  Capture capture(context_, *backend_);
  Answer done = co_await capture.run(message, parsed, kind, is_stranger());
  writing_ = false;
  co_return done;
}

net::Task<Session::Next> Session::finish(std::string_view message, const wire::OpMsg& parsed,
                                         Answer done) {
  Next next = Next::kEnd;
  if (lists_relaxed(context_, parsed)) done = co_await list_indexes(context_, *backend_, parsed);
  if (done.kind == Answer::Kind::kPass) {
    next = co_await pass(message, parsed.more_to_come());
  } else if (done.kind == Answer::Kind::kBody) {
    next = co_await answer(parsed, std::move(done.bytes));
  } else if (done.kind == Answer::Kind::kMessage && parsed.more_to_come()) {
    next = Next::kGoOn;
  } else if (done.kind == Answer::Kind::kMessage) {
    wire::patch_response_to(done.bytes, parsed.header.request_id);
    Status sent = co_await replies_.send(done.bytes);
    next = sent ? Next::kGoOn : Next::kEnd;
  }
  co_return next;
}

net::Task<Session::Next> Session::ddl(std::string_view message, const wire::OpMsg& parsed) {
  const std::string ns = ns_of(parsed);
  Next next = Next::kEnd;
  // A stranger's mongod refuses, and nobody waits for that.
  if (is_stranger() || !ddl_travels(parsed, context_.policy)) {
    context_.facts.forget(ns);
    next = co_await pass(message, parsed.more_to_come());
    context_.facts.forget(ns);
    co_return next;
  }
  Answer done;
  if (parsed.command_name() == "dropDatabase") {
    DatabaseDrop drop(context_, *backend_, writing_);
    done = co_await drop.run(parsed);
  } else if (parsed.command_name() == "renameCollection") {
    RenameWrite rename(context_, *backend_, writing_, message, parsed);
    done = co_await rename.run();
  } else {
    CatalogWrite change(context_, *backend_, writing_);
    done = co_await change.run(message, parsed, ns);
  }
  next = co_await finish(message, parsed, std::move(done));
  co_return next;
}

net::Task<Session::Next> Session::answer(const wire::OpMsg& parsed, std::string body) {
  if (parsed.more_to_come()) co_return Next::kGoOn;
  const std::string out =
      wire::build_op_msg(backend_->next_request_id(), parsed.header.request_id, 0, Document(body));
  Status sent = co_await replies_.send(out);
  co_return sent ? Next::kGoOn : Next::kEnd;
}

// A refusal of ours carries the store's times, as its own would: it is asked for nothing else.
net::Task<Session::Next> Session::answer_refusal(const wire::OpMsg& parsed, std::string body) {
  if (parsed.more_to_come()) co_return Next::kGoOn;
  Result<std::string> reply = co_await backend_->ping();
  if (!reply) co_return Next::kEnd;
  const auto said = wire::parse_op_msg_trusted(*reply);
  if (!said) co_return Next::kEnd;
  const Next next = co_await answer(parsed, with_times(body, said->body));
  co_return next;
}

net::Task<Session::Next> Session::answer_error(const wire::MsgHeader& header,
                                               const wire::WireError& error) {
  if (error.close_connection) co_return Next::kEnd;  // mongod does not answer these either
  const std::string body = wire::error_body(error);
  const std::string out =
      wire::build_op_msg(backend_->next_request_id(), header.request_id, 0, Document(body));
  Status sent = co_await replies_.send(out);
  co_return sent ? Next::kGoOn : Next::kEnd;
}

}  // namespace outrigger
