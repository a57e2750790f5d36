// What goes back to an app: compressed, where what it asked came compressed.
//
// As mongod does it: a reply is packed by the compressor of its request, and plain to a plain one,
// whatever a hello agreed on. To be packed a reply has to be held whole, twice for a moment. So
// beyond one read of a socket it is held only while the room for that has some left; else it goes
// plain and in pieces, as every driver takes it.
//
// One that mongod packed, as store.uri asks for it, has to be held whatever the client takes. It
// waits for room, unread, and nobody waits for long: who holds room while others wait has to take
// what it asked for at a certain rate, or its connection is closed. Where store.uri asks for no
// compression nobody waits, and nobody is hurried.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "proxy/mongo/backend.h"
#include "proxy/mongo/message_room.h"
#include "proxy/mongo/wire/op_compressed.h"

namespace outrigger {

// Of one client connection.
class ClientReplies {
 public:
  // All of it outlives this. `spoken`: the compressors that may be used. `push_out` as
  // MessageRoom::Hold's.
  ClientReplies(net::Stream& client, const wire::Compressors& spoken, MessageRoom& room, Logger log,
                std::function<void()> push_out);

  [[nodiscard]] bool speaks(wire::Compressor compressor) const;
  // The message that is served now came packed by this; nothing: plain.
  void answer_by(std::optional<wire::Compressor> compressor) { packed_by_ = compressor; }

  // The client's hello or isMaster, which mongod took; and the answer to it with what they have
  // agreed on, now or before.
  [[nodiscard]] std::string agreed(const bson::Document& hello, const bson::Document& reply);

  // A whole message that is not packed.
  net::Task<Status> send(std::string_view message);
  // As Backend::relay_reply; or one that came packed.
  net::Task<Result<uint32_t>> relay(Backend& backend);
  // The client is to go: whatever waits for room ends.
  void release() { held_.release(); }

 private:
  [[nodiscard]] bool packs(size_t bytes) const;
  net::Task<Status> send_held(std::string message);
  net::Task<Result<uint32_t>> relay_held(Backend& backend);

  net::Stream& client_;
  const wire::Compressors& spoken_;
  MessageRoom& room_;
  const Logger log_;
  std::optional<wire::Compressor> packed_by_;
  wire::Compressors agreed_;  // in the client's order
  size_t taken_bytes_ = 0;    // by the client, of what is held
  MessageRoom::Hold held_;
};

}  // namespace outrigger
