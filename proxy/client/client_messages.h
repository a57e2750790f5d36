// What an app sends, as whole messages: bounded before anything is known of it, gathered only where
// there is room, and expanded where it came compressed.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "config/log.h"
#include "proxy/client/client_replies.h"
#include "proxy/mongo/message_room.h"
#include "proxy/mongo/wire/framer.h"

namespace outrigger {

// Of one client connection.
class ClientMessages {
 public:
  // All of it outlives this; `push_out` as MessageRoom::Hold's.
  ClientMessages(net::Stream& client, MessageRooms& rooms, ClientReplies& replies, Logger log,
                 std::function<void()> push_out);

  // A message begins, of a client that is a stranger or none.
  void begin(bool is_stranger);
  // As Framer::next. A message that is compressed goes through expand().
  [[nodiscard]] wire::Framer::Step next(std::string_view& bytes) { return framer_.next(bytes); }
  // A part of a message has come: whether the rest may.
  net::Task<bool> make_room(const wire::Framer::Step& step);
  // It is whole: nobody is pushed out for its own work.
  void complete() { room_.complete(); }
  // What a compressed message holds is in expanded() now, and is answered in kind. False: it is no
  // such message, or may not come.
  net::Task<bool> expand(std::string_view message);
  [[nodiscard]] const std::string& expanded() const { return expanded_; }
  // It has been served.
  void served();
  // The client is to go: whatever waits for room ends.
  void release() { room_.release(); }

 private:
  [[nodiscard]] MessageRoom& room_for(size_t bytes);

  net::Stream& client_;
  MessageRooms& rooms_;
  ClientReplies& replies_;
  const Logger log_;
  wire::Framer framer_;
  size_t bytes_max_ = limits::kStrangerMessageBytesMax;
  std::string expanded_;
  MessageRoom::Hold room_;
};

}  // namespace outrigger
