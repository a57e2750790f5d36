// Verbs for the tests of sockets: dialling, and pairs of streams connected through the kernel.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "proxy/net/test_support.h"
#include "proxy/net/uv/uv_listener.h"
#include "proxy/net/uv/uv_network.h"

namespace outrigger::net::testing {

inline Result<std::unique_ptr<Stream>> dial_to(Loop& loop, const std::string& address,
                                               int64_t timeout_ms = kTimeoutMs,
                                               const std::string& socket_dir = {}) {
  UvNetwork network(loop);
  network.name_our_ends_in(socket_dir);
  return loop.block_on(network.connect(address, timeout_ms));
}

struct StreamPair {
  std::unique_ptr<Stream> near;  // dialled
  std::unique_ptr<Stream> far;   // accepted
};

// Two ends of one connection through the kernel, on any free port or on the given address.
inline StreamPair connected_pair(Loop& loop, const std::string& address = "127.0.0.1:0") {
  StreamPair pair;
  Event accepted(loop);
  auto listener = UvListener::listen(loop, address, [&](std::unique_ptr<Stream> stream) {
    pair.far = std::move(stream);
    accepted.set();
  });
  if (!listener) {
    ADD_FAILURE() << listener.error().message();
    std::abort();
  }
  auto dialled = dial_to(loop, (*listener)->address());
  if (!dialled) ADD_FAILURE() << dialled.error().message();
  if (dialled) pair.near = std::move(*dialled);
  while (!accepted.is_set()) loop.block_on(turns(loop, 1));
  return pair;
}

}  // namespace outrigger::net::testing
