// What accepts connections and hands each to a handler: as a Stream, or, where several loops serve
// connections, as an Arrival, which becomes one wherever it is to live. Made by a Network
// (network.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "proxy/net/stream.h"

namespace outrigger::net {

// A connection that belongs to no loop yet. Dropped, it is closed. Of one thread at a time.
class Arrival {
 public:
  Arrival() = default;
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;
  virtual ~Arrival() = default;

  // Its stream, on `loop`, on whose thread this is called. Once. After an error it is closed.
  [[nodiscard]] virtual Result<std::unique_ptr<Stream>> open(Loop& loop) = 0;
};

class Listener {
 public:
  // Called on the loop thread with each new connection. Usually spawns a task into a TaskGroup.
  using Handler = std::function<void(std::unique_ptr<Stream>)>;
  // The same; what is dropped was refused. This is where a limit on connections goes.
  using ArrivalHandler = std::function<void(std::unique_ptr<Arrival>)>;

  Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  // Closes. May be called from the handler.
  virtual ~Listener() = default;

  // Stops listening; connections already accepted live on. Idempotent.
  virtual void close() = 0;
  [[nodiscard]] virtual uint16_t port() const = 0;  // the real one; 0 for a Unix socket
  [[nodiscard]] virtual const std::string& address() const = 0;  // with the real port
};

// `handler` with what came, opened on `loop`, which outlives it.
[[nodiscard]] inline Listener::ArrivalHandler opening_on(Loop& loop, Listener::Handler handler) {
  return [&loop, handler = std::move(handler)](std::unique_ptr<Arrival> arrival) {
    auto stream = arrival->open(loop);
    if (stream) handler(std::move(*stream));
  };
}

}  // namespace outrigger::net
