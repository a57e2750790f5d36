#include "proxy/net/uv/uv_listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "proxy/net/address.h"
#include "proxy/net/uv/socket_names.h"
#include "proxy/net/uv/uv_loop.h"
#include "proxy/net/uv/uv_stream.h"

namespace outrigger::net {

namespace {

constexpr int kBacklog = 511;
constexpr int kAcceptsPerTurnMax = 64;  // then the connections that exist get their turn
constexpr int64_t kPauseMs = 100;

int open_reserve() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

Error listen_error(int error, const std::string& address) {
  Error result = uv_error(-error, "listen on", address);
  if (error == EADDRINUSE) {
    result.hint = "another process listens there: stop it or choose another address";
  } else if (error == EACCES) {
    result.hint = "ports below 1024 and foreign folders need rights: choose another address";
  } else if (error == EADDRNOTAVAIL) {
    result.hint = "this machine does not have that address";
  }
  return result;
}

// What became of a path that a Unix socket was to be bound to.
Error unix_error(int error, const Address& address) {
  Error result = listen_error(error, address.text());
  struct stat file {};
  const bool is_there = ::lstat(address.path.c_str(), &file) == 0;
  if (error == EADDRINUSE && is_there && !S_ISSOCK(file.st_mode)) {
    result.hint = "what is there is no socket: remove it, or choose another path";
  } else if (error == EACCES || error == ENOENT) {
    result.hint = "the folder must be there, and writable for the sidecar";
  }
  return result;
}

// Binds and listens, or closes and gives errno.
int bind_and_listen(int fd, const sockaddr* name, socklen_t size, int& error) {
  if (fd >= 0 && ::bind(fd, name, size) == 0 && ::listen(fd, kBacklog) == 0) return fd;
  error = errno;
  if (fd >= 0) ::close(fd);
  return -1;
}

Result<int> listen_tcp(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  const std::string port = std::to_string(address.port);
  const int status = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &list);
  if (status != 0) {
    return fail(ErrorCode::kInvalidArgument, "listen on", address.text(), gai_strerror(status));
  }
  int fd = -1;
  int error = EADDRNOTAVAIL;
  for (const addrinfo* info = list; info != nullptr && fd < 0; info = info->ai_next) {
    fd = ::socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    // So that a restart need not wait for old connections; a live listener still conflicts.
    if (fd >= 0) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    fd = bind_and_listen(fd, info->ai_addr, info->ai_addrlen, error);
    if (fd < 0 && error == EADDRINUSE) break;  // the next address would hide it
  }
  ::freeaddrinfo(list);
  if (fd < 0) return tl::unexpected<Error>(listen_error(error, address.text()));
  return fd;
}

// A socket file that refuses connections was left by a process that is gone.
bool is_stale(const sockaddr_un& name) {
  struct stat file {};
  if (::stat(name.sun_path, &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool refused = ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 &&
                       errno == ECONNREFUSED;
  ::close(fd);
  return refused;
}

// The file we have bound, and no other that a link in its place leads to.
bool set_mode(const char* path, uint32_t mode) {
  struct stat file {};
  if (::lstat(path, &file) != 0) return false;
  if (S_ISSOCK(file.st_mode) && (file.st_mode & 07777) == mode) return true;
  return ::fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) == 0;
}

// With `mode` from the moment it is there: what the process's mask takes from that is given back
// behind it.
Result<int> listen_unix(const Address& address, uint32_t mode) {
  const sockaddr_un name = unix_name(address.path);
  int fd = -1;
  int error = 0;
  for (int attempt = 0; attempt < 2 && fd < 0; ++attempt) {
    if (attempt == 1 && (error != EADDRINUSE || !is_stale(name))) break;
    if (attempt == 1) ::unlink(name.sun_path);
    fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) ::fchmod(fd, mode);
    fd = bind_and_listen(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name, error);
  }
  if (fd >= 0 && set_mode(name.sun_path, mode)) return fd;
  if (fd >= 0) {
    error = errno;
    ::unlink(name.sun_path);
    ::close(fd);
  }
  return tl::unexpected<Error>(unix_error(error, address));
}

// Which file it is, so that another one of the same path is told apart.
std::pair<dev_t, ino_t> file_at(const std::string& path) {
  struct stat file {};
  if (::lstat(path.c_str(), &file) != 0) return {};
  return {file.st_dev, file.st_ino};
}

uint16_t bound_port(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return 0;
  if (name.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in&>(name).sin_port);
  if (name.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6&>(name).sin6_port);
  return 0;
}

class UvArrival final : public Arrival {
 public:
  UvArrival(int fd, bool is_unix, std::string peer)
      : fd_(fd), is_unix_(is_unix), peer_(std::move(peer)) {}
  ~UvArrival() override {
    if (fd_ >= 0) ::close(fd_);
  }

  Result<std::unique_ptr<Stream>> open(Loop& loop) override {
    return UvStream::adopt(loop, std::exchange(fd_, -1), is_unix_, std::move(peer_));
  }

 private:
  int fd_;  // -1: it was opened
  const bool is_unix_;
  std::string peer_;
};

}  // namespace

// Accepting is done here and not by uv_listen, because libuv's own way out of EMFILE drops
// connections without telling anyone, and spins when its reserve is gone.
struct UvListener::Core {
  Core(Loop& owner, int socket, const Address& bound, ArrivalHandler on_connection)
      : loop(owner),
        fd(socket),
        where(bound),
        file(bound.is_unix() ? file_at(bound.path) : std::pair<dev_t, ino_t>()),
        text(bound.text()),
        handler(std::move(on_connection)) {
    uv_poll_init(uv_loop_of(loop), &poll, fd);
    uv_timer_init(uv_loop_of(loop), &pause);
    poll.data = pause.data = this;
  }

  void resume() {
    uv_poll_start(&poll, UV_READABLE, [](uv_poll_t* handle, int, int) {
      static_cast<Core*>(handle->data)->accept_waiting();
    });
  }

  void accept_waiting() {
    for (int i = 0; i < kAcceptsPerTurnMax && !is_closed; ++i) {
      const int socket = ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket >= 0) {
        take(socket);
        continue;
      }
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (errno == EMFILE || errno == ENFILE) shed_waiting();
      rest();
      return;
    }
  }

  void take(int socket) {
    ++accepted;
    // May close this listener, even destroy its owner.
    handler(std::make_unique<UvArrival>(socket, where.is_unix(), text));
  }

  void shed_waiting() {
    for (int i = 0; i < kAcceptsPerTurnMax; ++i) {
      if (reserve_fd >= 0) ::close(reserve_fd);
      const int socket = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket >= 0) ::close(socket);
      reserve_fd = open_reserve();
      if (socket < 0) return;
      ++shed;
    }
  }

  void rest() {
    ++pauses;
    uv_poll_stop(&poll);
    uv_update_time(pause.loop);
    const auto on_rested = [](uv_timer_t* timer) { static_cast<Core*>(timer->data)->resume(); };
    uv_timer_start(&pause, on_rested, static_cast<uint64_t>(pause_ms), 0);
  }

  void close() {
    if (is_closed) return;
    is_closed = true;
    uv_poll_stop(&poll);
    // Before it is closed: then somebody else may take the path.
    if (where.is_unix() && file_at(where.path) == file) ::unlink(where.path.c_str());
    ::close(fd);
    if (reserve_fd >= 0) ::close(reserve_fd);
    const auto on_closed = [](uv_handle_t* handle) { static_cast<Core*>(handle->data)->release(); };
    uv_close(reinterpret_cast<uv_handle_t*>(&poll), on_closed);
    uv_close(reinterpret_cast<uv_handle_t*>(&pause), on_closed);
  }

  // Two handles and the UvListener share the core; the last one frees it.
  void release() {
    if (--references == 0) delete this;
  }

  Loop& loop;
  const int fd;
  int reserve_fd = open_reserve();
  const Address where;
  const std::pair<dev_t, ino_t> file;  // of a Unix socket
  const std::string text;
  const ArrivalHandler handler;
  int64_t pause_ms = kPauseMs;
  uint64_t accepted = 0;
  uint64_t shed = 0;
  uint64_t pauses = 0;
  bool is_closed = false;
  int references = 3;
  uv_poll_t poll;
  uv_timer_t pause;
};

Result<std::unique_ptr<UvListener>> UvListener::listen(Loop& loop, const std::string& address,
                                                       Handler handler) {
  return listen_for_arrivals(loop, address, opening_on(loop, std::move(handler)));
}

Result<std::unique_ptr<UvListener>> UvListener::listen_for_arrivals(Loop& loop,
                                                                    const std::string& address,
                                                                    ArrivalHandler handler,
                                                                    uint32_t socket_mode) {
  auto where = parse_address(address);
  if (!where) return tl::unexpected<Error>(std::move(where.error()));
  auto fd = where->is_unix() ? listen_unix(*where, socket_mode) : listen_tcp(*where);
  if (!fd) return tl::unexpected<Error>(std::move(fd.error()));
  if (!where->is_unix()) where->port = bound_port(*fd);
  auto* core = new Core(loop, *fd, *where, std::move(handler));
  core->resume();
  return std::unique_ptr<UvListener>(new UvListener(core));
}

UvListener::~UvListener() {
  core_->close();
  core_->release();
}

void UvListener::close() { core_->close(); }
uint16_t UvListener::port() const { return core_->where.port; }
const std::string& UvListener::address() const { return core_->text; }
uint64_t UvListener::accepted() const { return core_->accepted; }
uint64_t UvListener::shed() const { return core_->shed; }
uint64_t UvListener::pauses() const { return core_->pauses; }
void UvListener::set_pause_ms(int64_t ms) { core_->pause_ms = ms; }

}  // namespace outrigger::net
