// Two streams joined in memory, for tests: no sockets, no kernel buffers, and faults at will.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "config/limits.h"
#include "proxy/net/listener.h"
#include "proxy/net/stream.h"

namespace outrigger::net {

// What happens between the two ends. Copies refer to the same wire.
class MemoryWire {
 public:
  enum class Way { kFirstToSecond, kSecondToFirst };

  // Bytes written stay in the buffer, unseen by the reader, until uncork(): writers fill the
  // buffer and wait, as with a reader that has stopped.
  void cork(Way way);
  void uncork(Way way);
  // From now on a read gives at most this many bytes, as a network that splits messages anywhere.
  void chop(Way way, size_t read_bytes_max);
  // Flips one bit of the last byte in flight (there must be one).
  void corrupt(Way way);
  // The reader sees an orderly end below whatever protocol runs on top, as when a middle box
  // hangs up.
  void hang_up(Way way);
  // Both ends fail from now on as after a connection reset; what is in flight is lost.
  void cut();
  [[nodiscard]] size_t bytes_in_flight(Way way) const;
  [[nodiscard]] size_t bytes_in_flight_max(Way way) const;  // the most there ever was

  struct State;

 private:
  friend struct MemoryHalf make_memory_half(Loop&, size_t, struct MemoryNames);
  explicit MemoryWire(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

struct MemoryPair {
  std::unique_ptr<Stream> first;
  std::unique_ptr<Stream> second;
  MemoryWire wire;
};

// The same where nobody knows yet on which loop the second end will live.
struct MemoryHalf {
  std::unique_ptr<Stream> first;
  std::unique_ptr<Arrival> second;
  MemoryWire wire;
};

// What the ends are called: the peer_address() of an end is the name of the other.
struct MemoryNames {
  std::string first;  // empty: the other end shows "memory" as its peer
  std::string second;
  bool is_loopback = true;
};

// Each way holds up to `buffer_bytes` (at least 1); a writer waits for the rest.
[[nodiscard]] MemoryPair make_memory_pair(Loop& loop, size_t buffer_bytes = limits::kUnreadBytesMax,
                                          MemoryNames names = {});
// `loop`: the first end's. Loops of both ends take turns, never run at once.
[[nodiscard]] MemoryHalf make_memory_half(Loop& loop, size_t buffer_bytes, MemoryNames names = {});

}  // namespace outrigger::net
