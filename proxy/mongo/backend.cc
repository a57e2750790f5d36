#include "proxy/mongo/backend.h"

#include <algorithm>

#include "proxy/mongo/user_digest.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/mongo/wire/op_msg.h"
#include "proxy/mongo/wire/op_reply.h"
#include "replication/store/session_token.h"
#include "replication/store/store.h"

namespace outrigger {
namespace {

constexpr int64_t kDialTimeoutMs = 5'000;
constexpr int64_t kHelloMs = 3'000;     // of one of several
constexpr size_t kReadableMax = 1'000;  // namespaces remembered for one connection

tl::unexpected<Error> gone(const std::string& address) {
  return fail(ErrorCode::kClosed, "read from the store", address, "the connection ended",
              "is mongod running?");
}

// Why `message` is no reply whose documents can be walked; nothing when it is one.
std::optional<std::string> flaw_of_reply(const std::string& message) {
  const auto header = wire::read_header(message);
  if (header && header->op_code == wire::OpCode::kReply) {
    const auto reply = wire::parse_op_reply(message);
    if (!reply) return reply.error().message;
    if (reply->documents.empty()) return "an OP_REPLY without a document";
    return std::nullopt;
  }
  const auto reply = wire::parse_op_msg(message);
  if (!reply) return reply.error().message;
  return std::nullopt;
}

}  // namespace

Backend::Backend(std::unique_ptr<net::Stream> stream, const Uuid& lsid, Logger log,
                 wire::Compressors offered)
    : stream_(std::move(stream)), log_(std::move(log)), lsid_(lsid), offered_(std::move(offered)) {}

std::string Backend::with_offer(const bson::Document& hello) const {
  if (offered_.empty()) return std::string(hello.bytes());
  std::vector<std::string_view> names;
  for (const wire::Compressor each : offered_) names.push_back(wire::name_of(each));
  return offering(hello, names);
}

void Backend::note_agreed(const bson::Document& reply) {
  const auto agreed = reply.find("compression");
  if (offered_.empty() || !wire::is_ok(reply)) return;
  packs_by_.reset();
  if (!agreed || agreed->type != bson::Type::kArray) return;
  for (const bson::Element& each : agreed->as_document()) {
    const bool is_name = each.value.type == bson::Type::kString;
    const auto named = is_name ? wire::compressor_named(each.value.as_string()) : std::nullopt;
    if (named && !packs_by_) packs_by_ = named;
  }
}

tl::unexpected<Error> Backend::no_reply(std::string why) {
  auto error = fail(ErrorCode::kCorrupt, "read from the store", stream_->peer_address(),
                    std::move(why), "is that a mongod?");
  log_->error("{}", error.value().message());
  stream_->close();
  return error;
}

std::string Backend::lsid_text() const {
  return std::string(reinterpret_cast<const char*>(lsid_.data()), lsid_.size());
}

void Backend::can_read(const std::string& ns) {
  if (readable_.size() >= kReadableMax) readable_.clear();
  readable_.insert(ns);
}

net::Task<Result<std::unique_ptr<Backend>>> Backend::dial(const StoreEndpoint& store,
                                                          Random& random, Logger log) {
  Result<std::unique_ptr<net::Stream>> stream =
      co_await store.network->connect(store.address, kDialTimeoutMs);
  if (!stream) co_return tl::unexpected(stream.error());
  if (store.tls) {
    Result<std::unique_ptr<net::TlsStream>> secured = co_await net::TlsStream::handshake(
        std::move(*stream), store.tls, store.host, kDialTimeoutMs);
    if (!secured) {
      Error error = secured.error();
      error.hint = "see the tls options of store.uri; the certificate must be for " + store.host;
      co_return tl::unexpected(std::move(error));
    }
    stream = std::move(*secured);
  }
  co_return std::make_unique<Backend>(std::move(*stream), random.uuid(), std::move(log),
                                      store.compressors);
}

net::Task<Status> Backend::send(std::span<const std::string_view> messages) {
  if (!packs_by_) {
    Status sent = co_await stream_->write(messages);
    co_return sent;
  }
  std::vector<std::optional<std::string>> forms;
  std::vector<std::string_view> pieces;
  forms.reserve(messages.size());  // the views below need them to stay where they are
  for (const std::string_view message : messages) {
    forms.push_back(packed(message));
    pieces.push_back(forms.back() ? std::string_view(*forms.back()) : message);
  }
  Status sent = co_await stream_->write(pieces);
  co_return sent;
}

// A part of a message would be read by mongod as one, or the other way round.
std::optional<std::string> Backend::packed(std::string_view message) const {
  if (!packs_by_) return std::nullopt;
  const auto header = wire::read_header(message);
  OUTRIGGER_ASSERT(header && static_cast<size_t>(header->message_length) == message.size());
  return wire::compress_command(message, *packs_by_);
}

net::Task<Status> Backend::send_one(std::string_view message) {
  const std::optional<std::string> form = packed(message);
  Status sent = co_await stream_->write(form ? std::string_view(*form) : message);
  co_return sent;
}

net::Task<Result<std::string>> Backend::receive() {
  Result<std::string> message = co_await receive_unread();
  if (!message) co_return message;
  std::optional<std::string> wrong = flaw_of_reply(*message);
  if (wrong) co_return no_reply(std::move(*wrong));
  co_return message;
}

net::Task<Result<std::string>> Backend::receive_unread() {
  for (;;) {
    Result<std::string_view> bytes = co_await stream_->read_some();
    if (!bytes) co_return tl::unexpected(bytes.error());
    if (bytes->empty()) co_return gone(stream_->peer_address());
    std::string_view rest = *bytes;
    const wire::Framer::Step step = framer_.next(rest);
    if (step.kind == wire::Framer::Kind::kError) co_return no_reply(step.error.message);
    if (step.kind != wire::Framer::Kind::kMessage) continue;
    std::string message;
    if (step.header.op_code == wire::OpCode::kCompressed) {
      const auto packed = wire::parse_op_compressed(step.message, wire::kMessageBytesMax);
      if (!packed) co_return no_reply(packed.error().message);
      auto plain = wire::expand(*packed);
      if (!plain) co_return no_reply(plain.error().message);
      message = std::move(*plain);
      framer_.release();
    } else {
      message = framer_.take(step);
    }
    if (!rest.empty()) stream_->unread(rest);
    co_return message;
  }
}

net::Task<Result<Backend::Announced>> Backend::next_reply() {
  std::string head;
  std::optional<wire::MsgHeader> header;
  const auto is_short = [&] {
    header = wire::read_header(head);
    if (!header) return true;
    return header->op_code == wire::OpCode::kCompressed && head.size() < wire::kCompressedHeadBytes;
  };
  while (is_short()) {
    Result<std::string_view> bytes = co_await stream_->read_some();
    if (!bytes) co_return tl::unexpected(bytes.error());
    if (bytes->empty()) co_return gone(stream_->peer_address());
    head.append(*bytes);
  }
  stream_->unread(head);
  const bool is_possible = header->message_length >= static_cast<int32_t>(wire::kHeaderBytes) &&
                           header->message_length <= static_cast<int32_t>(wire::kMessageBytesMax);
  if (!is_possible) co_return no_reply("a reply has an impossible length");
  const auto length = static_cast<size_t>(header->message_length);
  Announced announced{length};
  if (header->op_code == wire::OpCode::kCompressed) {
    const auto packed = wire::parse_op_compressed(head, wire::kMessageBytesMax);
    if (!packed) co_return no_reply(packed.error().message);
    announced.bytes = packed->message_bytes;
    announced.packed_bytes = length;
  }
  co_return announced;
}

net::Task<Result<std::string>> Backend::call(std::string message) {
  Status sent = co_await send_one(message);
  if (!sent) co_return tl::unexpected(sent.error());
  Result<std::string> reply = co_await receive();
  co_return reply;
}

net::Task<Result<std::string>> Backend::ping() {
  bson::Writer command;
  command.int32("ping", 1).string("$db", "admin");
  std::string request =
      wire::build_op_msg(next_request_id(), 0, 0, bson::Document(command.finish()));
  Result<std::string> reply = co_await call(std::move(request));
  co_return reply;
}

net::Task<Status> Backend::learn_process() {
  bson::Writer command;
  command.int32("hello", 1).string("$db", "admin");
  std::string request =
      wire::build_op_msg(next_request_id(), 0, 0, bson::Document(command.finish()));
  Result<std::string> reply = co_await call(std::move(request));
  if (!reply) co_return tl::unexpected(reply.error());
  const auto said = wire::parse_op_msg_trusted(*reply);
  // A mongod that shuts down refuses, and looks like one of a set of one then.
  if (!said || !wire::is_ok(said->body)) {
    co_return fail(ErrorCode::kUnavailable, "ask the store what it is", stream_->peer_address(),
                   "it does not say");
  }
  process = process_of(said->body);
  note_hello(said->body);
  co_return Status();
}

void Backend::note_hello(const bson::Document& hello) {
  const auto wire_version = hello.find("maxWireVersion");
  if (wire_version) wire_version_ = static_cast<int32_t>(wire_version->to_int64().value_or(0));
  const auto version = hello.find("topologyVersion");
  if (version) topology_ = bson::Writer().value("topologyVersion", *version).finish();
}

std::string Backend::with_topology(const bson::Document& error) const {
  bson::Writer out;
  for (const bson::Element& field : error) out.element(field);
  if (!topology_.empty()) {
    for (const bson::Element& field : bson::Document(topology_)) out.element(field);
  }
  return out.finish();
}

net::Task<Status> Backend::learn_user() {
  if (user) co_return Status();
  bson::Writer out;
  out.int32("connectionStatus", 1).string("$db", "admin");
  const std::string body = out.finish();
  std::string request = wire::build_op_msg(next_request_id(), 0, 0, bson::Document(body));
  Result<std::string> reply = co_await call(std::move(request));
  if (!reply) co_return tl::unexpected(reply.error());
  const auto said = wire::parse_op_msg_trusted(*reply);
  if (!said) co_return no_reply("an answer to connectionStatus that is none");
  user = user_in_digest(digest_of_user(said->body));
  co_return Status();
}

net::Task<Result<uint32_t>> Backend::relay_reply(net::Stream& to) {
  std::string head;  // while fewer bytes than a header and its flags have come
  size_t left = 0;   // of the message, once its length is known
  uint32_t flags = 0;
  for (;;) {
    Result<std::string_view> bytes = co_await stream_->read_some();
    if (!bytes) co_return tl::unexpected(bytes.error());
    if (bytes->empty()) co_return gone(stream_->peer_address());
    std::string_view piece = *bytes;
    if (left == 0) {
      if (!head.empty() || piece.size() < wire::kHeaderBytes + 4) {
        head.append(piece);
        piece = head;
      }
      const auto header = wire::read_header(piece);
      if (!header) continue;
      const auto length = static_cast<size_t>(header->message_length);
      if (header->message_length < static_cast<int32_t>(wire::kHeaderBytes) + 4 ||
          length > wire::kMessageBytesMax) {
        co_return no_reply("a reply has an impossible length");
      }
      if (piece.size() < wire::kHeaderBytes + 4) continue;
      if (header->op_code == wire::OpCode::kCompressed) {
        co_return no_reply("a reply is packed where no request was");
      }
      if (header->op_code == wire::OpCode::kMsg) {
        flags = wire::peek_op_msg_flags(piece).value_or(0);
      }
      left = length;
    }
    if (piece.size() > left) {
      stream_->unread(piece.substr(left));
      piece = piece.substr(0, left);
    }
    left -= piece.size();
    Status sent = co_await to.write(piece);
    if (!sent) co_return fail(ErrorCode::kIo, "answer the client", to.peer_address(), "it is gone");
    head.clear();
    if (left == 0) co_return flags;
  }
}

net::Task<Result<std::unique_ptr<Backend>>> dial_answering(net::Loop& loop,
                                                           const StoreMember& member,
                                                           Random& random, Logger log) {
  Result<std::unique_ptr<Backend>> dialled =
      co_await Backend::dial(member.store, random, std::move(log));
  if (!dialled) co_return dialled;
  Backend* const backend = dialled->get();
  net::Timer limit(loop);
  if (!member.name.empty()) limit.start(kHelloMs, [backend] { backend->close(); });
  const Status learned = co_await backend->learn_process();
  limit.close();
  if (!learned) co_return tl::unexpected(learned.error());
  co_return dialled;
}

net::Task<Result<std::unique_ptr<Backend>>> dial_any(net::Loop& loop, const StoreMembers& members,
                                                     Random& random, Logger log) {
  Result<std::unique_ptr<Backend>> found;
  for (const StoreMember& member : members) {
    Logger same = log;
    Result<std::unique_ptr<Backend>> dialled =
        co_await dial_answering(loop, member, random, std::move(same));
    const bool is_primary = dialled && !is_follower(*(*dialled)->process);
    if (is_primary || !found || !*found) found = std::move(dialled);
    if (is_primary) break;
  }
  co_return found;
}

std::optional<wire::OpMsg> answer_in(const Result<std::string>& reply) {
  if (!reply) return std::nullopt;
  const auto parsed = wire::parse_op_msg_trusted(*reply);
  if (!parsed) return std::nullopt;
  return *parsed;
}

}  // namespace outrigger
