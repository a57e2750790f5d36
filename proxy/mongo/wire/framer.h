// Cuts a byte stream into messages. TCP gives bytes in any pieces; the framer is fed those pieces
// and answers with the next whole message, "so many more bytes", or an error. It owns no socket.
//
// Two ways to use it, free to choose anew for each message:
//  - whole: `next(input)` until it says kNeedMore. A message that lies whole in `input` is returned
//    as a view of `input` (no copy); one that arrives in pieces is gathered in the framer.
//  - streamed: `next_header(input)` until it says kHeader, decide by length and opcode, then
//    `relay(input)` hands the message on piece by piece, without gathering it.
//
// Memory: a length below 16 or above the limit is an error before anything is allocated, and the
// buffer grows with the bytes that really came, never by what a header claims. Who waits for the
// next message holds nothing of the last one, once it was taken or released.
#pragma once

#include "proxy/mongo/wire/header.h"

namespace outrigger::wire {

class Framer {
 public:
  enum class Kind { kNeedMore, kHeader, kMessage, kError };

  struct Step {
    Kind kind = Kind::kNeedMore;
    MsgHeader header;         // kHeader, kMessage; kNeedMore once it is known, else of length 0
    Bytes message;            // kMessage: header included; see `next` for its lifetime
    size_t bytes_needed = 0;  // kNeedMore: at least so many more make progress possible
    WireError error;          // kError: the stream is beyond repair, close it
  };

  // `message_bytes_max` refuses longer messages; lower it for clients that have not logged in yet.
  explicit Framer(size_t message_bytes_max = kMessageBytesMax) : bytes_max_(message_bytes_max) {}
  void set_message_bytes_max(size_t bytes_max) { bytes_max_ = bytes_max; }

  // Takes bytes off the front of `input` (all of it, unless a message ends earlier). The message is
  // valid until the next call on this framer, and as long as the bytes behind `input`. After an
  // error every further call repeats it.
  [[nodiscard]] Step next(Bytes& input);

  // The next message's header: kNeedMore (all of `input` was taken), kHeader or kError. A header
  // that lies whole in `input` is left there, so call `next` (whole) or `relay` with the same
  // input. Asking again before the message is consumed repeats the answer.
  [[nodiscard]] Step next_header(Bytes& input);

  // After kHeader: the next piece of that message, header included; empty when `input` is used up.
  // Once begun, a message must be relayed to its end: do { piece = relay(input); } while
  // (relay_left() > 0), reading more in between. Each piece is valid like a message of `next`.
  [[nodiscard]] Bytes relay(Bytes& input);
  [[nodiscard]] size_t relay_left() const { return relay_left_; }

  // Bytes held of a message that is not complete: not 0 at end of stream means it was cut off.
  [[nodiscard]] size_t buffered_bytes() const { return delivered_ ? 0 : buffer_.size(); }
  // What they are. Valid until the next call.
  [[nodiscard]] Bytes gathered() const { return delivered_ ? Bytes() : Bytes(buffer_); }
  // The message that next() has just given, as its owner: not copied where it was gathered.
  [[nodiscard]] std::string take(const Step& step);
  // Its view is not used any more: a large buffer is given back, now and not with the next bytes.
  void release();

  [[nodiscard]] bool between_messages() const { return buffered_bytes() == 0 && relay_left_ == 0; }
  // What it holds, of whatever use.
  [[nodiscard]] size_t capacity() const { return buffer_.capacity(); }

 private:
  [[nodiscard]] Step judge(const MsgHeader& header);  // kHeader or kError

  size_t bytes_max_;
  std::string buffer_;      // front of a message that came in pieces
  bool delivered_ = false;  // buffer_ was handed out, its view dies with the next call
  size_t announced_ = 0;    // length that next_header told; 0 once the message is begun
  size_t relay_left_ = 0;
  std::optional<WireError> error_;
};

}  // namespace outrigger::wire
