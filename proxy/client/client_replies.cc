#include "proxy/client/client_replies.h"

#include <algorithm>

#include "proxy/mongo/hello.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {

ClientReplies::ClientReplies(net::Stream& client, const wire::Compressors& spoken,
                             MessageRoom& room, Logger log, std::function<void()> push_out)
    : client_(client),
      spoken_(spoken),
      room_(room),
      log_(std::move(log)),
      held_([this] { return taken_bytes_; },
            [this, push_out = std::move(push_out)] {
              log_->warn("{}: it takes its reply too slowly while others wait for theirs",
                         client_.peer_address());
              push_out();
            }) {}

bool ClientReplies::speaks(wire::Compressor compressor) const {
  return std::find(spoken_.begin(), spoken_.end(), compressor) != spoken_.end();
}

std::string ClientReplies::agreed(const bson::Document& hello, const bson::Document& reply) {
  if (!wire::is_ok(reply)) return std::string(reply.bytes());
  const auto asked = hello.find("compression");
  if (asked && asked->type == bson::Type::kArray) {
    agreed_.clear();
    for (const bson::Element& each : asked->as_document()) {
      if (each.value.type != bson::Type::kString) continue;
      const auto named = wire::compressor_named(each.value.as_string());
      if (named && speaks(*named)) agreed_.push_back(*named);
    }
  }
  std::vector<std::string_view> names;
  for (const wire::Compressor each : agreed_) names.push_back(wire::name_of(each));
  return with_compressors(reply, names);
}

bool ClientReplies::packs(size_t bytes) const {
  return packed_by_ && bytes <= wire::packed_bytes_max(*packed_by_);
}

// In pieces, so that it shows whether the client takes them.
net::Task<Status> ClientReplies::send_held(std::string message) {
  if (packs(message.size())) {
    if (auto packed = wire::compress(message, *packed_by_)) message = std::move(*packed);
  }
  taken_bytes_ = 0;
  held_.resume();
  Status sent;
  while (sent && taken_bytes_ < message.size()) {
    const auto piece = std::string_view(message).substr(taken_bytes_, limits::kUnreadBytesMax);
    sent = co_await client_.write(piece);
    taken_bytes_ += piece.size();
  }
  co_return sent;
}

net::Task<Status> ClientReplies::send(std::string_view message) {
  const bool is_small = message.size() <= limits::kUnreadBytesMax;
  Status sent;
  if (packs(message.size()) && (is_small || held_.take_now(room_, 2 * message.size()))) {
    std::string copy(message);
    sent = co_await send_held(std::move(copy));
    held_.release();
  } else {
    sent = co_await client_.write(message);
  }
  co_return sent;
}

net::Task<Result<uint32_t>> ClientReplies::relay_held(Backend& backend) {
  held_.complete();  // it is the store's to send
  Result<std::string> reply = co_await backend.receive_unread();
  if (!reply) co_return tl::unexpected(reply.error());
  const bool is_msg = wire::read_header(*reply)->op_code == wire::OpCode::kMsg;
  const uint32_t flags = is_msg ? wire::peek_op_msg_flags(*reply).value_or(0) : 0;
  const Status sent = co_await send_held(std::move(*reply));
  if (!sent) co_return tl::unexpected(sent.error());
  co_return flags;
}

net::Task<Result<uint32_t>> ClientReplies::relay(Backend& backend) {
  bool is_held = false;
  if (packed_by_ || backend.packs()) {
    const Result<Backend::Announced> reply = co_await backend.next_reply();
    if (!reply) co_return tl::unexpected(reply.error());
    const bool is_packed = reply->packed_bytes > 0;
    const size_t times = packs(reply->bytes) ? 2 : 1;
    const size_t bytes = reply->packed_bytes + times * reply->bytes;
    const bool is_small = bytes <= times * limits::kUnreadBytesMax;
    is_held = is_packed || packs(reply->bytes);
    if (is_packed && !is_small) {
      const bool has_room = co_await held_.take(room_, bytes);
      if (!has_room)
        co_return fail(ErrorCode::kClosed, "answer the client", client_.peer_address(),
                       "it is to go");
    } else if (is_held && !is_small) {
      is_held = held_.take_now(room_, bytes);
    }
  }
  Result<uint32_t> flags;
  if (is_held) {
    flags = co_await relay_held(backend);
  } else {
    flags = co_await backend.relay_reply(client_);
  }
  held_.release();
  co_return flags;
}

}  // namespace outrigger
