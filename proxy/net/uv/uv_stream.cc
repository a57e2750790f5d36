#include "proxy/net/uv/uv_stream.h"

#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "proxy/net/address.h"
#include "proxy/net/uv/uv_loop.h"

namespace outrigger::net {

namespace {

constexpr unsigned kKeepaliveSeconds = 60;  // below what NATs and load balancers forget after

using Core = UvStream::Core;

Core& core_of(uv_handle_t* handle) { return *static_cast<Core*>(handle->data); }

void allocate(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
  Core& core = core_of(handle);
  const size_t size =
      core.reader ? Loop::kReadBufferBytes : limits::kUnreadBytesMax - core.unread.size();
  *buffer = uv_buf_init(core.loop.read_buffer(), static_cast<unsigned>(size));
}

void stop_reading(Core& core) {
  uv_read_stop(core.stream());
  core.is_reading = false;
}

Result<std::string_view> ended(const Core& core) {
  if (core.end == UV_EOF) return std::string_view();
  return tl::unexpected<Error>(uv_error(core.end, "read", core.peer));
}

void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
  if (count == 0) return;  // EAGAIN
  Core& core = *static_cast<Core*>(stream->data);
  if (count < 0) {
    core.end = static_cast<int>(count);
    stop_reading(core);
    if (core.reader == nullptr) {
      const std::function<void()> hook = std::exchange(core.end_hook, nullptr);
      if (hook) hook();
      return;
    }
    ReadAwaiter* reader = std::exchange(core.reader, nullptr);
    reader->set(ended(core));
    reader->resume_now();
    return;
  }
  const std::string_view bytes(buffer->base, static_cast<size_t>(count));
  if (core.reader != nullptr) {
    // The hot path: no copy, no allocation. The reader may close or destroy the stream here; the
    // core lives on until its close callback.
    ReadAwaiter* reader = std::exchange(core.reader, nullptr);
    reader->set(bytes);
    reader->resume_now();
    return;
  }
  core.unread.append(bytes);
  if (core.unread.size() >= limits::kUnreadBytesMax) stop_reading(core);
}

// One write the kernel did not take at once.
struct QueuedWrite {
  uv_write_t request;
  WriteAwaiter* writer;
  std::string peer;
};

struct QueuedShutdown {
  uv_shutdown_t request;
  ShutdownAwaiter* waiter;
  std::string peer;
};

std::string describe(const sockaddr_storage& name, std::string& host) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  Address address;
  if (name.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(name);
    uv_ip6_name(&v6, text.data(), text.size());
    address.port = ntohs(v6.sin6_port);
  } else {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(name);
    uv_ip4_name(&v4, text.data(), text.size());
    address.port = ntohs(v4.sin_port);
  }
  address.host = host = text.data();
  return address.text();
}

}  // namespace

Error uv_error(int status, std::string step, std::string object) {
  ErrorCode code = ErrorCode::kIo;
  switch (status) {
    case UV_EOF:
    case UV_ECANCELED:
    case UV_ECONNRESET:
    case UV_ECONNABORTED:
    case UV_EPIPE:
    case UV_ENOTCONN:
      code = ErrorCode::kClosed;
      break;
    case UV_ETIMEDOUT:
      code = ErrorCode::kTimeout;
      break;
    case UV_ECONNREFUSED:
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH:
    case UV_ENOENT:
    case UV_EAI_AGAIN:
    case UV_EAI_NONAME:
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_EADDRINUSE:
    case UV_EADDRNOTAVAIL:
      code = ErrorCode::kUnavailable;
      break;
    default:
      break;
  }
  return Error{code, std::move(step), std::move(object), uv_strerror(status), {}};
}

UvStream::Core::Core(Loop& owner, bool unix_socket) : handle(), loop(owner), is_unix(unix_socket) {
  const int status = unix_socket ? uv_pipe_init(uv_loop_of(owner), &handle.pipe, 0)
                                 : uv_tcp_init(uv_loop_of(owner), &handle.tcp);
  OUTRIGGER_ASSERT(status == 0);
  handle.any.data = this;
}

void UvStream::Core::close() {
  OUTRIGGER_ASSERT(!is_closed);
  is_closed = true;
  uv_close(&handle.any, [](uv_handle_t* closed) { delete &core_of(closed); });
}

UvStream::UvStream(Core* core, std::string peer)
    : Stream(core->loop), core_(core), peer_(std::move(peer)) {
  core->peer = peer_;
  if (core->is_unix) return;
  uv_tcp_nodelay(&core->handle.tcp, 1);
  uv_tcp_keepalive(&core->handle.tcp, 1, kKeepaliveSeconds);
  sockaddr_storage name{};
  int size = sizeof name;
  std::string host;
  if (uv_tcp_getpeername(&core->handle.tcp, reinterpret_cast<sockaddr*>(&name), &size) == 0) {
    core->peer = peer_ = describe(name, host);
  }
  is_loopback_ = net::is_loopback(host);  // a peer that is gone already is taken for a stranger
}

Result<std::unique_ptr<Stream>> UvStream::adopt(Loop& loop, int fd, bool is_unix,
                                                std::string peer) {
  Core* core = new Core(loop, is_unix);
  const int status =
      is_unix ? uv_pipe_open(&core->handle.pipe, fd) : uv_tcp_open(&core->handle.tcp, fd);
  if (status < 0) {
    core->close();
    ::close(fd);
    return tl::unexpected<Error>(uv_error(status, "open connection", std::move(peer)));
  }
  return std::make_unique<UvStream>(core, std::move(peer));
}

UvStream::~UvStream() { UvStream::close(); }

Error UvStream::closed_here(const char* step) const {
  return Error{ErrorCode::kClosed, step, peer_, "the connection was closed on this side", {}};
}

void UvStream::close() {
  if (core_ == nullptr) return;
  Core* core = std::exchange(core_, nullptr);
  if (ReadAwaiter* reader = std::exchange(core->reader, nullptr)) {
    // uv_close answers pending writes and shutdowns with ECANCELED, but never a pending read.
    reader->set(tl::unexpected<Error>(closed_here("read")));
    reader->resume_soon(loop());
  }
  core->end_hook = nullptr;
  core->close();
}

std::string UvStream::local_address() const {
  if (core_ == nullptr) return {};
  if (core_->is_unix) {
    char path[sizeof(sockaddr_un::sun_path) + 1];
    size_t length = sizeof path;
    if (uv_pipe_getsockname(&core_->handle.pipe, path, &length) != 0) return {};
    return {path, length};
  }
  sockaddr_storage name{};
  int size = sizeof name;
  std::string host;
  if (uv_tcp_getsockname(&core_->handle.tcp, reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    return {};
  }
  return describe(name, host);
}

void UvStream::on_end(std::function<void()> hook) {
  if (core_ != nullptr) core_->end_hook = std::move(hook);
}

bool UvStream::start_read(ReadAwaiter& reader) {
  if (core_ == nullptr) {
    reader.set(tl::unexpected<Error>(closed_here("read")));
    return true;
  }
  Core& core = *core_;
  OUTRIGGER_ASSERT(core.reader == nullptr);
  if (core.lent.capacity() > 0) std::string().swap(core.lent);
  const bool has_unread = !core.unread.empty();
  if (has_unread) {
    core.lent.swap(core.unread);
    reader.set(std::string_view(core.lent));
  }
  if (core.end == 0 && !core.is_reading) {
    const int status = uv_read_start(core.stream(), allocate, on_read);
    if (status < 0) {
      core.end = status;
    } else {
      core.is_reading = true;
    }
  }
  if (has_unread) return true;
  if (core.end == 0) {
    core.reader = &reader;
    return false;
  }
  reader.set(ended(core));
  return true;
}

bool UvStream::start_write(WriteAwaiter& writer) {
  if (core_ == nullptr) {
    writer.set(tl::unexpected<Error>(closed_here("write")));
    return true;
  }
  constexpr size_t kPiecesAtOnce = 16;
  std::array<uv_buf_t, kPiecesAtOnce> buffers;
  unsigned count = 0;
  size_t total = 0;
  for (const auto piece : writer.pieces()) {
    if (!piece.empty() && count < kPiecesAtOnce) {
      buffers[count++] =
          uv_buf_init(const_cast<char*>(piece.data()), static_cast<unsigned>(piece.size()));
    }
    total += piece.size();
  }
  if (total == 0) return true;
  const int status = uv_try_write(core_->stream(), buffers.data(), count);
  if (status < 0 && status != UV_EAGAIN) {
    writer.set(tl::unexpected<Error>(uv_error(status, "write", peer_)));
    return true;
  }
  const size_t written = status > 0 ? static_cast<size_t>(status) : 0;
  return written == total || start_queued_write(writer, written);
}

bool UvStream::start_queued_write(WriteAwaiter& writer, size_t written_bytes) {
  writer.keep_borrowed(loop());
  std::vector<uv_buf_t> buffers;
  for (auto piece : writer.pieces()) {
    const size_t skip = std::min(written_bytes, piece.size());
    written_bytes -= skip;
    piece.remove_prefix(skip);
    if (piece.empty()) continue;
    buffers.push_back(
        uv_buf_init(const_cast<char*>(piece.data()), static_cast<unsigned>(piece.size())));
  }
  auto* queued = new QueuedWrite{{}, &writer, peer_};
  queued->request.data = queued;
  const auto on_written = [](uv_write_t* request, int status) {
    const std::unique_ptr<QueuedWrite> done(static_cast<QueuedWrite*>(request->data));
    if (status < 0) {
      done->writer->set(tl::unexpected<Error>(uv_error(status, "write", std::move(done->peer))));
    }
    done->writer->resume_now();
  };
  const int status = uv_write(&queued->request, core_->stream(), buffers.data(),
                              static_cast<unsigned>(buffers.size()), on_written);
  if (status == 0) return false;
  delete queued;
  writer.set(tl::unexpected<Error>(uv_error(status, "write", peer_)));
  return true;
}

bool UvStream::start_shutdown(ShutdownAwaiter& waiter) {
  if (core_ == nullptr) {
    waiter.set(tl::unexpected<Error>(closed_here("shutdown")));
    return true;
  }
  auto* queued = new QueuedShutdown{{}, &waiter, peer_};
  queued->request.data = queued;
  const auto on_shutdown = [](uv_shutdown_t* request, int status) {
    const std::unique_ptr<QueuedShutdown> done(static_cast<QueuedShutdown*>(request->data));
    if (status < 0) {
      done->waiter->set(tl::unexpected<Error>(uv_error(status, "shutdown", done->peer)));
    }
    done->waiter->resume_now();
  };
  const int status = uv_shutdown(&queued->request, core_->stream(), on_shutdown);
  if (status == 0) return false;
  delete queued;
  waiter.set(tl::unexpected<Error>(uv_error(status, "shutdown", peer_)));
  return true;
}

}  // namespace outrigger::net
