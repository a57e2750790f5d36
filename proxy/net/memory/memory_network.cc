#include "proxy/net/memory/memory_network.h"

#include <algorithm>

#include "config/limits.h"

namespace outrigger::net {

namespace {

constexpr size_t kBufferBytes = limits::kUnreadBytesMax;
constexpr int64_t kRetryMs = 100;  // of a first packet that did not get through

tl::unexpected<Error> dead(const char* step, const std::string& address) {
  return fail(ErrorCode::kClosed, step, address, "this process is gone");
}

}  // namespace

class MemoryNetwork::Port final : public Listener {
 public:
  Port(MemoryNetwork& network, MemoryProcess& process, uint16_t port, Handler handler)
      : network_(network),
        process_(process),
        key_(process.machine(), port),
        text_(key_.first + ":" + std::to_string(port)),
        handler_(std::move(handler)) {
    network_.ports_[key_] = this;
  }
  ~Port() override { Port::close(); }

  void close() override {
    if (std::exchange(is_open_, false)) network_.ports_.erase(key_);
  }
  void set_admission(std::function<bool()> admit) override { admit_ = std::move(admit); }
  [[nodiscard]] uint16_t port() const override { return key_.second; }
  [[nodiscard]] const std::string& address() const override { return text_; }

  [[nodiscard]] MemoryProcess& process() { return process_; }
  // May close this, or destroy it.
  void accept(std::unique_ptr<Stream> stream) {
    if (admit_ && !admit_()) return;
    const Handler handler = handler_;
    handler(std::move(stream));
  }

 private:
  MemoryNetwork& network_;
  MemoryProcess& process_;
  const Key key_;
  const std::string text_;
  const Handler handler_;
  std::function<bool()> admit_;
  bool is_open_ = true;
};

// Each process has one end of a pair of its own; the other ends are the network's.
struct MemoryNetwork::Connection {
  struct End {
    MemoryProcess* process;  // null when it is gone
    std::string machine;
    std::unique_ptr<Stream> ours;
    MemoryWire wire;
  };
  End dialled;
  End accepted;
  std::unique_ptr<MemoryFlow> there;
  std::unique_ptr<MemoryFlow> back;

  void reset() {
    for (End* end : {&dialled, &accepted}) end->wire.cut();
    there->close();
    back->close();
  }
};

MemoryNetwork::MemoryNetwork(Loop& loop, uint64_t seed) : loop_(loop), random_(seed) {}
MemoryNetwork::~MemoryNetwork() = default;

std::unique_ptr<MemoryProcess> MemoryNetwork::start_process(const std::string& machine) {
  return std::make_unique<MemoryProcess>(*this, machine);
}

MemoryLine& MemoryNetwork::line(const std::string& from, const std::string& to) {
  return lines_[{from, to}];
}

void MemoryNetwork::set_delay(const std::string& from, const std::string& to, MemoryDelay delay) {
  line(from, to).delay = delay;
}

void MemoryNetwork::cut(const std::string& from, const std::string& to) {
  line(from, to).is_cut = true;
}

void MemoryNetwork::heal(const std::string& from, const std::string& to) { line(from, to).heal(); }

void MemoryNetwork::reset(const std::string& one, const std::string& other) {
  for (Connection& connection : connections_) {
    const std::string& from = connection.dialled.machine;
    const std::string& to = connection.accepted.machine;
    if ((from == one && to == other) || (from == other && to == one)) connection.reset();
  }
}

void MemoryNetwork::process_died(MemoryProcess& process) {
  std::map<Key, Port*> left = ports_;
  for (const auto& [key, port] : left) {
    if (&port->process() == &process) port->close();
  }
  for (Connection& connection : connections_) {
    for (auto* end : {&connection.dialled, &connection.accepted}) {
      if (end->process != &process) continue;
      end->process = nullptr;
      end->wire.cut();  // the flow to the other end passes it on
    }
  }
}

Task<void> MemoryNetwork::stop() {
  for (Connection& connection : connections_) connection.reset();
  co_await tasks_.until_empty();
}

Result<std::unique_ptr<Listener>> MemoryNetwork::listen(MemoryProcess& process,
                                                        const std::string& address,
                                                        Listener::Handler handler) {
  if (!process.is_alive()) return dead("listen on", address);
  const auto where = parse_address(address);
  if (!where) return tl::unexpected<Error>(where.error());
  if (where->is_unix()) {
    return fail(ErrorCode::kInvalidArgument, "listen on", address, "this network has only ports");
  }
  const uint16_t port = where->port != 0 ? where->port : next_port_++;
  if (ports_.count({process.machine(), port}) != 0) {
    return fail(ErrorCode::kUnavailable, "listen on", address, "address already in use");
  }
  return std::make_unique<Port>(*this, process, port, std::move(handler));
}

Task<bool> MemoryNetwork::travel(std::string from, std::string to, uint64_t deadline_us) {
  Timer timer(loop_);
  const int64_t delay_ms = line(from, to).draw_ms(random_);
  co_await timer.sleep_ms(delay_ms);
  while (line(from, to).is_cut && loop_.now_us() < deadline_us) {
    const auto left_ms = static_cast<int64_t>((deadline_us - loop_.now_us() + 999) / 1000);
    const int64_t wait_ms = std::min(left_ms, kRetryMs);
    co_await timer.sleep_ms(wait_ms);
  }
  co_return !line(from, to).is_cut && loop_.now_us() <= deadline_us;
}

Task<Result<std::unique_ptr<Stream>>> MemoryNetwork::connect(MemoryProcess& from,
                                                             std::string address,
                                                             int64_t timeout_ms) {
  const auto where = parse_address(address);
  if (!where) co_return tl::unexpected<Error>(where.error());
  if (where->is_unix()) {
    co_return fail(ErrorCode::kInvalidArgument, "connect", address, "this network has only ports");
  }
  const std::string to = is_loopback(where->host) ? from.machine() : where->host;
  const uint64_t deadline_us = loop_.now_us() + static_cast<uint64_t>(timeout_ms) * 1000;
  const bool arrived = co_await travel(from.machine(), to, deadline_us);
  if (!from.is_alive()) co_return dead("connect", address);
  std::unique_ptr<Stream> stream;
  const auto port = ports_.find({to, where->port});
  if (arrived && port != ports_.end()) stream = join(from, *port->second);
  bool answered = false;
  if (arrived) answered = co_await travel(to, from.machine(), deadline_us);
  if (!answered) co_return fail(ErrorCode::kTimeout, "connect", address, "connection timed out");
  if (!from.is_alive()) co_return dead("connect", address);
  if (!stream) {
    co_return fail(ErrorCode::kUnavailable, "connect", address, "connection refused",
                   "is it running there?");
  }
  co_return stream;
}

// Gives the dialler's end; the port's handler has got the other.
std::unique_ptr<Stream> MemoryNetwork::join(MemoryProcess& from, Port& port) {
  const std::string& to = port.process().machine();
  const std::string dialler = from.machine() + ":" + std::to_string(next_port_++);
  const bool is_local = from.machine() == to;
  MemoryPair near = make_memory_pair(loop_, kBufferBytes, {dialler, port.address(), is_local});
  MemoryPair far = make_memory_pair(loop_, kBufferBytes, {dialler, port.address(), is_local});
  const auto made = connections_.insert(
      connections_.end(), Connection{{&from, from.machine(), std::move(near.second), near.wire},
                                     {&port.process(), to, std::move(far.first), far.wire},
                                     nullptr,
                                     nullptr});
  made->there = std::make_unique<MemoryFlow>(loop_, line(from.machine(), to), random_,
                                             *made->dialled.ours, *made->accepted.ours, far.wire);
  made->back = std::make_unique<MemoryFlow>(loop_, line(to, from.machine()), random_,
                                            *made->accepted.ours, *made->dialled.ours, near.wire);
  tasks_.spawn(carry(made));
  port.accept(std::move(far.second));
  return std::move(near.first);
}

Task<void> MemoryNetwork::carry(std::list<Connection>::iterator connection) {
  TaskGroup both;
  both.spawn(connection->there->run());
  both.spawn(connection->back->run());
  co_await both.until_empty();
  connections_.erase(connection);
}

}  // namespace outrigger::net
