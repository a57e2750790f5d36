// What accepts connections and hands each to a handler as a Stream. Made by a Network (network.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "proxy/net/stream.h"

namespace outrigger::net {

class Listener {
 public:
  // Called on the loop thread with each new connection. Usually spawns a task into a TaskGroup.
  using Handler = std::function<void(std::unique_ptr<Stream>)>;

  Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  // Closes. May be called from the handler.
  virtual ~Listener() = default;

  // Stops listening; connections already accepted live on. Idempotent.
  virtual void close() = 0;
  // Asked before each connection is handed over; false closes it at once and counts it as refused.
  // This is where a limit on connections goes.
  virtual void set_admission(std::function<bool()> admit) = 0;

  [[nodiscard]] virtual uint16_t port() const = 0;  // the real one; 0 for a Unix socket
  [[nodiscard]] virtual const std::string& address() const = 0;  // with the real port
};

}  // namespace outrigger::net
