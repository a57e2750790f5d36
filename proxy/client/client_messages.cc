#include "proxy/client/client_messages.h"

#include <utility>

namespace outrigger {

ClientMessages::ClientMessages(net::Stream& client, MessageRooms& rooms, ClientReplies& replies,
                               Logger log, std::function<void()> push_out)
    : client_(client),
      rooms_(rooms),
      replies_(replies),
      log_(std::move(log)),
      room_([this] { return framer_.buffered_bytes(); },
            [this, push_out = std::move(push_out)] {
              log_->warn("{}: its message stopped while others waited to send theirs",
                         client_.peer_address());
              push_out();
            }) {}

void ClientMessages::begin(bool is_stranger) {
  bytes_max_ = is_stranger ? limits::kStrangerMessageBytesMax : limits::kMessageBytesMax;
  framer_.set_message_bytes_max(bytes_max_);
  replies_.answer_by(std::nullopt);
}

void ClientMessages::served() {
  framer_.release();
  std::string().swap(expanded_);  // an assignment would keep its memory
  room_.release();
}

MessageRoom& ClientMessages::room_for(size_t bytes) {
  if (bytes_max_ == limits::kStrangerMessageBytesMax) return rooms_.strangers;
  return bytes <= limits::kSmallMessageBytesMax ? rooms_.small : rooms_.large;
}

net::Task<bool> ClientMessages::make_room(const wire::Framer::Step& step) {
  if (room_.is_held()) co_return true;
  auto bytes = static_cast<size_t>(step.header.message_length);
  if (step.header.op_code == wire::OpCode::kCompressed) {
    if (framer_.gathered().size() < wire::kCompressedHeadBytes) co_return true;  // not said yet
    const auto head = wire::parse_op_compressed(framer_.gathered(), bytes_max_);
    if (!head) co_return false;
    bytes += head->message_bytes;
  }
  if (bytes <= limits::kUnreadBytesMax) co_return true;
  const bool has_room = co_await room_.take(room_for(bytes), bytes);
  co_return has_room;
}

net::Task<bool> ClientMessages::expand(std::string_view message) {
  auto compressed = wire::parse_op_compressed(message, bytes_max_);
  if (!compressed || !replies_.speaks(compressed->compressor)) {
    log_->debug("{}: {}", client_.peer_address(),
                compressed ? "a compressor that is not spoken here" : compressed.error().message);
    co_return false;
  }
  const size_t bytes = message.size() + compressed->message_bytes;
  std::string kept;
  if (!room_.is_held() && bytes > limits::kUnreadBytesMax) {  // it came at once
    kept = message;
    compressed->packed = std::string_view(kept).substr(wire::kCompressedHeadBytes);
    const bool has_room = co_await room_.take(room_for(bytes), bytes);
    if (!has_room) co_return false;
    room_.complete();
  }
  auto expanded = wire::expand(*compressed);
  if (!expanded) {
    log_->debug("{}: {}", client_.peer_address(), expanded.error().message);
    co_return false;
  }
  expanded_ = std::move(*expanded);
  replies_.answer_by(compressed->compressor);
  co_return true;
}

}  // namespace outrigger
