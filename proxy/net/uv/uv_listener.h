// Accepts connections on a TCP or Unix socket.
//
// Out of file descriptors: a listener that keeps failing to accept would spin, since the
// connection stays in the queue. It holds one descriptor in reserve: on EMFILE it gives that up
// for a moment to take and close what waits (the client sees a clear end rather than a hang), then
// pauses. Connections that exist are not disturbed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "config/result.h"
#include "proxy/net/listener.h"

namespace outrigger::net {

class UvListener final : public Listener {
 public:
  // Binds and listens now, on "host:port" ("[::]:0", port 0 = any free one; a name is resolved
  // here, blocking) or "unix:/path" (a socket file nobody listens on is replaced). An address in
  // use is an error that names it.
  [[nodiscard]] static Result<std::unique_ptr<UvListener>> listen(Loop& loop,
                                                                  const std::string& address,
                                                                  Handler handler);
  // `socket_mode`: who may connect to a Unix socket, as a file's mode.
  [[nodiscard]] static Result<std::unique_ptr<UvListener>> listen_for_arrivals(
      Loop& loop, const std::string& address, ArrivalHandler handler, uint32_t socket_mode = 0700);
  ~UvListener() override;

  void close() override;
  [[nodiscard]] uint16_t port() const override;
  [[nodiscard]] const std::string& address() const override;

  [[nodiscard]] uint64_t accepted() const;  // handed to the handler
  [[nodiscard]] uint64_t shed() const;      // closed for want of descriptors
  [[nodiscard]] uint64_t pauses() const;    // times accepting was paused
  // How long accepting rests after an error, e.g. out of descriptors; default 100 ms.
  void set_pause_ms(int64_t ms);

 private:
  struct Core;
  explicit UvListener(Core* core) : core_(core) {}
  Core* core_;  // freed when its handles have closed
};

}  // namespace outrigger::net
