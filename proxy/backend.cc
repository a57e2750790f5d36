#include "proxy/backend.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>

#include "proxy/wire/op_msg.h"

namespace outrigger {
namespace {

constexpr int64_t kDialTimeoutMs = 5'000;

std::array<uint8_t, 16> random_uuid() {
  std::random_device source;
  std::array<uint8_t, 16> out{};
  for (uint8_t& byte : out) byte = static_cast<uint8_t>(source());
  out[6] = static_cast<uint8_t>((out[6] & 0x0f) | 0x40);
  out[8] = static_cast<uint8_t>((out[8] & 0x3f) | 0x80);
  return out;
}

tl::unexpected<Error> gone(const std::string& address) {
  return fail(ErrorCode::kClosed, "read from the store", address, "the connection ended",
              "is mongod running?");
}

// Those of ours: their names are numbers.
void remove_left_sockets(const std::filesystem::path& dir) {
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(dir, error)) {
    const std::string name = file.path().filename();
    const bool is_number = name.find_first_not_of("0123456789") == std::string::npos;
    if (is_number && file.is_socket(error)) std::filesystem::remove(file, error);
  }
}

// Not every file system has names for sockets. 0, or the reason.
int try_to_bind(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool bound = fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
  const int reason = bound ? 0 : errno;
  if (bound) ::unlink(name.sun_path);
  if (fd >= 0) ::close(fd);
  return reason;
}

}  // namespace

Result<std::string> make_socket_dir(const std::string& data_dir) {
  const auto refused = [&](const std::string& cause, const char* hint) {
    return fail(ErrorCode::kInvalidArgument, "name sockets to the store", data_dir, cause, hint);
  };
  std::error_code error;
  const std::filesystem::path dir = std::filesystem::absolute(data_dir, error) / "sockets";
  // As net::connect names them: a slash and up to 20 digits; the kernel wants a zero behind.
  constexpr size_t kDirBytesMax = sizeof(sockaddr_un::sun_path) - 22;
  const char* const tcp_hint = "choose another data_dir, or host and port in store.uri";
  if (dir.string().size() > kDirBytesMax) {
    return refused("a Unix socket's name in it would be longer than the system allows", tcp_hint);
  }
  if (dir.string().find_first_of(":[]") != std::string::npos) {
    return refused("mongod takes no Unix socket whose name holds a colon or a bracket", tcp_hint);
  }
  std::filesystem::create_directory(dir, error);
  if (error) return refused(error.message(), "let this user write there");
  remove_left_sockets(dir);
  if (const int reason = try_to_bind(dir / "0"); reason != 0) {
    return refused(std::string("no Unix socket can be named there: ") + std::strerror(reason),
                   tcp_hint);
  }
  return dir.string();
}

Backend::Backend(std::unique_ptr<net::Stream> stream)
    : stream_(std::move(stream)), lsid_(random_uuid()) {}

std::string Backend::lsid_text() const {
  return std::string(reinterpret_cast<const char*>(lsid_.data()), lsid_.size());
}

net::Task<Result<std::unique_ptr<Backend>>> Backend::dial(net::Loop& loop, std::string address,
                                                          std::string socket_dir) {
  Result<std::unique_ptr<net::Stream>> stream =
      co_await net::connect(loop, std::move(address), kDialTimeoutMs, std::move(socket_dir));
  if (!stream) co_return tl::unexpected(stream.error());
  co_return std::make_unique<Backend>(std::move(*stream));
}

net::Task<Status> Backend::send(std::span<const std::string_view> messages) {
  Status sent = co_await stream_->write(messages);
  co_return sent;
}

net::Task<Result<std::string>> Backend::receive() {
  for (;;) {
    Result<std::string_view> bytes = co_await stream_->read_some();
    if (!bytes) co_return tl::unexpected(bytes.error());
    if (bytes->empty()) co_return gone(stream_->peer_address());
    std::string_view rest = *bytes;
    const wire::Framer::Step step = framer_.next(rest);
    if (step.kind == wire::Framer::Kind::kError) {
      co_return fail(ErrorCode::kCorrupt, "read from the store", stream_->peer_address(),
                     step.error.message);
    }
    if (step.kind != wire::Framer::Kind::kMessage) continue;
    std::string message(step.message);
    if (!rest.empty()) stream_->unread(rest);
    co_return message;
  }
}

net::Task<Result<std::string>> Backend::call(std::string message) {
  Status sent = co_await stream_->write(message);
  if (!sent) co_return tl::unexpected(sent.error());
  Result<std::string> reply = co_await receive();
  co_return reply;
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
        if (head.size() < wire::kHeaderBytes + 4) continue;
        piece = head;
      }
      const auto header = wire::read_header(piece);
      const auto length = static_cast<size_t>(header->message_length);
      if (header->message_length < static_cast<int32_t>(wire::kHeaderBytes) + 4 ||
          length > wire::kMessageBytesMax) {
        co_return fail(ErrorCode::kCorrupt, "read from the store", stream_->peer_address(),
                       "a reply has an impossible length");
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

}  // namespace outrigger
