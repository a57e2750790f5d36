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
  Port(MemoryNetwork& network, MemoryProcess& process, uint16_t port, ArrivalHandler handler)
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
  [[nodiscard]] uint16_t port() const override { return key_.second; }
  [[nodiscard]] const std::string& address() const override { return text_; }

  [[nodiscard]] MemoryProcess& process() { return process_; }
  // May close this, or destroy it.
  void accept(std::unique_ptr<Arrival> arrival) {
    const ArrivalHandler handler = handler_;
    handler(std::move(arrival));
  }

 private:
  MemoryNetwork& network_;
  MemoryProcess& process_;
  const Key key_;
  const std::string text_;
  const ArrivalHandler handler_;
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
                                                        Listener::ArrivalHandler handler) {
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

Task<Result<std::unique_ptr<Arrival>>> MemoryNetwork::dial(MemoryProcess& from, std::string address,
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
  std::unique_ptr<Arrival> ours;
  const auto port = ports_.find({to, where->port});
  if (arrived && port != ports_.end()) ours = join(from, *port->second);
  bool answered = false;
  if (arrived) answered = co_await travel(to, from.machine(), deadline_us);
  if (!answered) co_return fail(ErrorCode::kTimeout, "connect", address, "connection timed out");
  if (!from.is_alive()) co_return dead("connect", address);
  if (!ours) {
    co_return fail(ErrorCode::kUnavailable, "connect", address, "connection refused",
                   "is it running there?");
  }
  co_return ours;
}

// Gives the dialler's end; the port's handler has got the other.
std::unique_ptr<Arrival> MemoryNetwork::join(MemoryProcess& from, Port& port) {
  const std::string& to = port.process().machine();
  const std::string dialler = from.machine() + ":" + std::to_string(next_port_++);
  const bool is_local = from.machine() == to;
  MemoryHalf near = make_memory_half(loop_, kBufferBytes, {port.address(), dialler, is_local});
  MemoryHalf far = make_memory_half(loop_, kBufferBytes, {dialler, port.address(), is_local});
  const auto made = connections_.insert(
      connections_.end(), Connection{{&from, from.machine(), std::move(near.first), near.wire},
                                     {&port.process(), to, std::move(far.first), far.wire},
                                     nullptr,
                                     nullptr});
  made->there = std::make_unique<MemoryFlow>(loop_, line(from.machine(), to), random_,
                                             *made->dialled.ours, *made->accepted.ours, far.wire);
  made->back = std::make_unique<MemoryFlow>(loop_, line(to, from.machine()), random_,
                                            *made->accepted.ours, *made->dialled.ours, near.wire);
  tasks_.spawn(carry(made));
  port.accept(std::move(far.second));
  return std::move(near.second);
}

Task<void> MemoryNetwork::carry(std::list<Connection>::iterator connection) {
  TaskGroup both;
  both.spawn(connection->there->run());
  both.spawn(connection->back->run());
  co_await both.until_empty();
  connections_.erase(connection);
}

Task<Result<std::unique_ptr<Stream>>> MemoryProcess::connect(std::string address,
                                                             int64_t timeout_ms) {
  Result<std::unique_ptr<Arrival>> dialled =
      co_await network_.dial(*this, std::move(address), timeout_ms);
  if (!dialled) co_return tl::unexpected<Error>(dialled.error());
  Result<std::unique_ptr<Stream>> stream = (*dialled)->open(network_.loop_);
  co_return stream;
}

// Dialling happens on the network's loop, what comes of it is opened on this one.
class MemoryProcess::OnLoop final : public Network {
 public:
  OnLoop(MemoryProcess& process, Loop& loop) : process_(process), loop_(loop) {}

  Task<Result<std::unique_ptr<Stream>>> connect(std::string address, int64_t timeout_ms) override {
    const auto shot = std::make_shared<Shot>(loop_);
    std::function<void()> dial = [&process = process_, &loop = loop_, shot, address, timeout_ms] {
      process.network_.tasks_.spawn(tell(process, address, timeout_ms, loop, shot));
    };
    process_.network_.loop_.post(std::move(dial));
    const std::shared_ptr<Dialled> dialled = co_await shot->wait();
    if (!*dialled) co_return tl::unexpected<Error>(dialled->error());
    Result<std::unique_ptr<Stream>> stream = (**dialled)->open(loop_);
    co_return stream;
  }
  [[nodiscard]] Result<std::unique_ptr<Listener>> listen_for_arrivals(
      const std::string& address, Listener::ArrivalHandler) override {
    return fail(ErrorCode::kInvalidArgument, "listen on", address, "not on this loop");
  }
  [[nodiscard]] Loop& loop() const override { return loop_; }

 private:
  using Dialled = Result<std::unique_ptr<Arrival>>;
  using Shot = OneShot<std::shared_ptr<Dialled>>;

  static Task<void> tell(MemoryProcess& process, std::string address, int64_t timeout_ms,
                         Loop& loop, std::shared_ptr<Shot> shot) {
    Dialled dialled = co_await process.network_.dial(process, std::move(address), timeout_ms);
    const auto told = std::make_shared<Dialled>(std::move(dialled));
    loop.post([shot, told] { shot->set(told); });
  }

  MemoryProcess& process_;
  Loop& loop_;
};

std::unique_ptr<Network> MemoryProcess::on(Loop& loop) {
  return std::make_unique<OnLoop>(*this, loop);
}

}  // namespace outrigger::net
