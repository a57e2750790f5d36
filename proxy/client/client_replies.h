// What goes back to an app: compressed, where what it asked came compressed.
//
// As mongod does it: a reply is packed by the compressor of its request, and plain to a plain one,
// whatever a hello agreed on. To be packed a reply has to be held whole, twice for a moment. So
// beyond one read of a socket it is held only while the room for that has some left; else it goes
// plain and in pieces, as every driver takes it. Nobody waits for that room: an app that takes
// nothing of its reply keeps no other from getting one.
#pragma once

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
  // All of it outlives this. `spoken`: the compressors that may be used.
  ClientReplies(net::Stream& client, const wire::Compressors& spoken, RoomBudget& room)
      : client_(client), spoken_(spoken), room_(room) {}

  [[nodiscard]] bool speaks(wire::Compressor compressor) const;
  // The message that is served now came packed by this; nothing: plain.
  void answer_by(std::optional<wire::Compressor> compressor) { packed_by_ = compressor; }

  // The client's hello or isMaster, which mongod took; and the answer to it with what they have
  // agreed on, now or before.
  [[nodiscard]] std::string agreed(const bson::Document& hello, const bson::Document& reply);

  // A whole message that is not packed.
  net::Task<Status> send(std::string_view message);
  // As Backend::relay_reply.
  net::Task<Result<uint32_t>> relay(Backend& backend);

 private:
  net::Task<Status> pack_and_send(std::string_view message);

  net::Stream& client_;
  const wire::Compressors& spoken_;
  RoomBudget& room_;
  std::optional<wire::Compressor> packed_by_;
  wire::Compressors agreed_;  // in the client's order
};

}  // namespace outrigger
