// To connect is to resolve a name and try its addresses in turn, all within one timeout. Whatever
// libuv still has in hand when the time is up (a getaddrinfo cannot be interrupted) finishes on
// shared state that nobody waits for any more.
#include "proxy/net/uv/uv_network.h"

#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "proxy/net/address.h"
#include "proxy/net/uv/socket_names.h"
#include "proxy/net/uv/uv_listener.h"
#include "proxy/net/uv/uv_loop.h"
#include "proxy/net/uv/uv_stream.h"

namespace outrigger::net {

namespace {

constexpr int64_t kBacklogPauseMs = 5;

struct Step {
  explicit Step(Loop& loop) : status(loop) {}
  OneShot<int> status;
  union {
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
  } request{};
  std::vector<sockaddr_storage> found;
};

using StepPointer = std::shared_ptr<Step>;

// libuv's request holds a reference of its own until its callback has run.
template <typename Request>
void hand_to_uv(const StepPointer& step, Request& request) {
  request.data = new StepPointer(step);
}

StepPointer take_from_uv(void* data) {
  const std::unique_ptr<StepPointer> held(static_cast<StepPointer*>(data));
  return *held;
}

void on_resolved(uv_getaddrinfo_t* request, int status, addrinfo* list) {
  const StepPointer step = take_from_uv(request->data);
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    sockaddr_storage name{};
    std::memcpy(&name, info->ai_addr, info->ai_addrlen);
    step->found.push_back(name);
  }
  uv_freeaddrinfo(list);
  step->status.set(status);
}

void on_connected(uv_connect_t* request, int status) {
  take_from_uv(request->data)->status.set(status);
}

class Dialer {
 public:
  Dialer(Loop& loop, const Address& address, int64_t timeout_ms, const std::string& socket_dir)
      : loop_(loop),
        address_(address),
        socket_dir_(socket_dir),
        timer_(loop),
        deadline_us_(in_ms(loop, timeout_ms)) {}

  Task<Result<std::unique_ptr<Stream>>> run() {
    if (address_.is_unix()) {
      Result<std::unique_ptr<Stream>> local = co_await connect_unix();
      co_return local;
    }
    std::vector<sockaddr_storage> names;
    const int status = co_await resolve(names);
    if (status < 0) co_return tl::unexpected<Error>(error_of(status, "resolve"));
    Result<std::unique_ptr<Stream>> stream =
        fail(ErrorCode::kUnavailable, "resolve", address_.text(), "the name has no address");
    for (const auto& name : names) {
      stream = co_await try_one(&name);
      if (stream || stream.error().code == ErrorCode::kTimeout) break;
    }
    co_return stream;
  }

 private:
  static uint64_t in_ms(Loop& loop, int64_t ms) {
    return loop.now_us() + static_cast<uint64_t>(ms > 0 ? ms : 0) * 1000;
  }

  Error error_of(int status, const char* step) {
    Error error = uv_error(status, step, address_.text());
    if (status == UV_ECONNREFUSED || status == UV_ENOENT) error.hint = "is it running there?";
    return error;
  }

  void start_timeout(const StepPointer& step) {
    const uint64_t now_us = loop_.now_us();
    const uint64_t left_us = deadline_us_ > now_us ? deadline_us_ - now_us : 0;
    timer_.start(static_cast<int64_t>((left_us + 999) / 1000),
                 [step] { step->status.set(UV_ETIMEDOUT); });
  }

  Task<int> resolve(std::vector<sockaddr_storage>& names) {
    sockaddr_storage name{};
    if (uv_ip4_addr(address_.host.c_str(), address_.port, reinterpret_cast<sockaddr_in*>(&name)) ==
            0 ||
        uv_ip6_addr(address_.host.c_str(), address_.port, reinterpret_cast<sockaddr_in6*>(&name)) ==
            0) {
      names.push_back(name);
      co_return 0;
    }
    const auto step = std::make_shared<Step>(loop_);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    const std::string port = std::to_string(address_.port);
    hand_to_uv(step, step->request.resolve);
    int status = uv_getaddrinfo(uv_loop_of(loop_), &step->request.resolve, on_resolved,
                                address_.host.c_str(), port.c_str(), &hints);
    if (status < 0) {
      take_from_uv(step->request.resolve.data);
      co_return status;
    }
    start_timeout(step);
    status = co_await step->status.wait();
    timer_.cancel();
    if (status == 0) names = step->found;
    co_return status;
  }

  // By hand: libuv leaves a socket that was bound before unreadable, and connecting to a Unix
  // socket never waits but where too many already do.
  Task<Result<std::unique_ptr<Stream>>> connect_unix() {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) co_return tl::unexpected<Error>(error_of(-errno, "open socket"));
    Result<std::string> own_name;  // empty: none is asked for
    if (!socket_dir_.empty()) own_name = take_name(fd, socket_dir_);
    if (!own_name) {
      ::close(fd);
      co_return tl::unexpected<Error>(own_name.error());
    }
    const sockaddr_un theirs = unix_name(address_.path);
    int status = try_unix(fd, theirs);
    while (status == UV_EAGAIN && loop_.now_us() < deadline_us_) {
      co_await timer_.sleep_ms(kBacklogPauseMs);
      status = try_unix(fd, theirs);
    }
    if (!own_name->empty()) ::unlink(own_name->c_str());
    if (status < 0) {
      ::close(fd);
      co_return tl::unexpected<Error>(error_of(status, "connect"));
    }
    co_return UvStream::adopt(loop_, fd, true, address_.text());
  }

  static int try_unix(int fd, const sockaddr_un& name) {
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0 ? 0 : -errno;
  }

  Task<Result<std::unique_ptr<Stream>>> try_one(const sockaddr_storage* name) {
    auto* core = new UvStream::Core(loop_, false);
    const auto step = std::make_shared<Step>(loop_);
    hand_to_uv(step, step->request.connect);
    int status = uv_tcp_connect(&step->request.connect, &core->handle.tcp,
                                reinterpret_cast<const sockaddr*>(name), on_connected);
    if (status < 0) {
      take_from_uv(step->request.connect.data);
    } else {
      start_timeout(step);
      status = co_await step->status.wait();
      timer_.cancel();
    }
    if (status < 0) {
      core->close();
      co_return tl::unexpected<Error>(error_of(status, "connect"));
    }
    co_return std::make_unique<UvStream>(core, address_.text());
  }

  Loop& loop_;
  const Address& address_;
  const std::string& socket_dir_;
  Timer timer_;
  const uint64_t deadline_us_;
};

}  // namespace

Task<Result<std::unique_ptr<Stream>>> UvNetwork::connect(std::string address, int64_t timeout_ms) {
  auto parsed = parse_address(address);
  if (!parsed) co_return tl::unexpected<Error>(std::move(parsed.error()));
  const std::string socket_dir = socket_dir_;
  Dialer dialer(loop_, *parsed, timeout_ms, socket_dir);
  Result<std::unique_ptr<Stream>> stream = co_await dialer.run();
  co_return stream;
}

Result<std::unique_ptr<Listener>> UvNetwork::listen_for_arrivals(const std::string& address,
                                                                 Listener::ArrivalHandler handler) {
  auto listener = UvListener::listen_for_arrivals(loop_, address, std::move(handler), socket_mode_);
  if (!listener) return tl::unexpected<Error>(std::move(listener.error()));
  return std::move(*listener);
}

}  // namespace outrigger::net
