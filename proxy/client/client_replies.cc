#include "proxy/client/client_replies.h"

#include <algorithm>

#include "proxy/mongo/hello.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {

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

net::Task<Status> ClientReplies::pack_and_send(std::string_view message) {
  const std::optional<std::string> packed = wire::compress(message, *packed_by_);
  Status sent = co_await client_.write(packed ? std::string_view(*packed) : message);
  co_return sent;
}

net::Task<Status> ClientReplies::send(std::string_view message) {
  const size_t bytes = message.size();
  const bool is_small = bytes <= limits::kUnreadBytesMax;
  if (packed_by_ && (is_small || room_.take(bytes))) {
    Status sent = co_await pack_and_send(message);
    if (!is_small) room_.give_back(bytes);
    co_return sent;
  }
  Status sent = co_await client_.write(message);
  co_return sent;
}

net::Task<Result<uint32_t>> ClientReplies::relay(Backend& backend) {
  if (packed_by_) {
    const Result<size_t> plain = co_await backend.next_reply_bytes();
    if (!plain) co_return tl::unexpected(plain.error());
    const size_t bytes = 2 * *plain;
    const bool is_small = *plain <= limits::kUnreadBytesMax;
    if (is_small || room_.take(bytes)) {
      const Result<std::string> reply = co_await backend.receive();
      Status sent;
      if (reply) sent = co_await pack_and_send(*reply);
      if (!is_small) room_.give_back(bytes);
      if (!reply) co_return tl::unexpected(reply.error());
      if (!sent) co_return tl::unexpected(sent.error());
      const bool is_msg = wire::read_header(*reply)->op_code == wire::OpCode::kMsg;
      co_return is_msg ? wire::peek_op_msg_flags(*reply).value_or(0) : 0;
    }
  }
  Result<uint32_t> flags = co_await backend.relay_reply(client_);
  co_return flags;
}

}  // namespace outrigger
