// The network in life: TCP and Unix sockets.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "proxy/net/network.h"

namespace outrigger::net {

class UvNetwork final : public Network {
 public:
  // `loop` is on libuv and outlives the network.
  explicit UvNetwork(Loop& loop) : loop_(loop) {}

  // A Unix socket has no address of its own unless it is given one. From now on each that dials
  // gets a name in this folder (socket_names.h) that no other connection ever had, which the other
  // end sees as its peer; the file is gone again once connected.
  void name_our_ends_in(std::string socket_dir) { socket_dir_ = std::move(socket_dir); }

  // Who may connect to the Unix sockets it listens on from now on, as a file's mode; else 0700.
  void set_socket_mode(uint32_t mode) { socket_mode_ = mode; }

  // Every address the name has is tried in turn within the one timeout. TCP_NODELAY and keepalive
  // are on.
  Task<Result<std::unique_ptr<Stream>>> connect(std::string address, int64_t timeout_ms) override;
  [[nodiscard]] Result<std::unique_ptr<Listener>> listen_for_arrivals(
      const std::string& address, Listener::ArrivalHandler handler) override;
  [[nodiscard]] Loop& loop() const override { return loop_; }

 private:
  Loop& loop_;
  std::string socket_dir_;
  uint32_t socket_mode_ = 0700;
};

}  // namespace outrigger::net
