// Where connections come from: one dials and listens through this port, and does not know whether
// what comes is a socket (uv/uv_network.h) or a stream in memory (memory/memory_network.h). Made
// at the top of a program and passed down.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "config/result.h"
#include "proxy/net/listener.h"
#include "proxy/net/stream.h"
#include "proxy/net/task.h"

namespace outrigger::net {

class Network {
 public:
  virtual ~Network() = default;

  // Dials "host:port", "[v6]:port" or "unix:/path". The network outlives the task. Errors name the
  // address: kTimeout, kUnavailable (nobody listens there), kInvalidArgument.
  virtual Task<Result<std::unique_ptr<Stream>>> connect(std::string address,
                                                        int64_t timeout_ms) = 0;
  // Listens from now on, on "host:port" (port 0: any free one) or "unix:/path". An address in use
  // is an error that names it.
  [[nodiscard]] virtual Result<std::unique_ptr<Listener>> listen_for_arrivals(
      const std::string& address, Listener::ArrivalHandler handler) = 0;
  // The same for connections that live on this network's loop.
  [[nodiscard]] Result<std::unique_ptr<Listener>> listen(const std::string& address,
                                                         Listener::Handler handler) {
    return listen_for_arrivals(address, opening_on(loop(), std::move(handler)));
  }
  // Where what is dialled lives. Everything of a network is of this loop's thread.
  [[nodiscard]] virtual Loop& loop() const = 0;
};

}  // namespace outrigger::net
