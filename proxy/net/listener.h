// Accepts connections and hands each to a handler as a Stream.
//
// Out of file descriptors: a listener that keeps failing to accept would spin, since the
// connection stays in the queue. It holds one descriptor in reserve: on EMFILE it gives that up
// for a moment to take and close what waits (the client sees a clear end rather than a hang), then
// pauses. Connections that exist are not disturbed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "config/result.h"
#include "proxy/net/loop.h"
#include "proxy/net/stream.h"

namespace outrigger::net {

class Listener {
 public:
  // Called on the loop thread with each new connection. Usually spawns a task into a TaskGroup.
  using Handler = std::function<void(std::unique_ptr<Stream>)>;

  // Binds and listens now, on "host:port" ("[::]:0", port 0 = any free one; a name is resolved
  // here, blocking) or "unix:/path" (a socket file nobody listens on is replaced). An address in
  // use is an error that names it.
  [[nodiscard]] static Result<std::unique_ptr<Listener>> listen(Loop& loop,
                                                                const std::string& address,
                                                                Handler handler);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  // Closes. May be called from the handler.
  ~Listener();

  // Stops listening; connections already accepted live on. Idempotent.
  void close();

  // Asked before each connection is handed over; false closes it at once and counts it as refused.
  // This is where a limit on connections goes.
  void set_admission(std::function<bool()> admit);

  [[nodiscard]] uint16_t port() const;               // the real one; 0 for a Unix socket
  [[nodiscard]] const std::string& address() const;  // with the real port
  [[nodiscard]] uint64_t accepted() const;           // handed to the handler
  [[nodiscard]] uint64_t refused() const;            // by admission
  [[nodiscard]] uint64_t shed() const;               // closed for want of descriptors
  [[nodiscard]] uint64_t pauses() const;             // times accepting was paused
  // How long accepting rests after an error, e.g. out of descriptors; default 100 ms.
  void set_pause_ms(int64_t ms);

 private:
  struct Core;
  explicit Listener(Core* core) : core_(core) {}
  Core* core_;  // freed when its handles have closed
};

}  // namespace outrigger::net
