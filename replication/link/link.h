// The peer protocol as a pure state machine: bytes in, bytes and events out. No sockets, no clock;
// whoever moves the bytes passes the time in. One Link is one connection.
//
// The problem: two sidecars must hand each other records over lines that break, stall and lie,
// without unbounded memory and without ever believing a wrong byte. The idea: checked frames
// (frame.h), a hello that refuses every pair that must not talk (handshake.h), byte credits so that
// no more is under way than the receiver can hold, and heartbeats so that a line that only looks
// open is noticed. What a peer lacks follows from vectors exchanged anew on every connection, so
// duplicates are harmless and nothing about a connection survives it.
//
// Conversation (D dialled, A accepted):
//   D -> A  hello
//   A -> D  hello welcome   | refuse, end         A has checked D's hello
//   D -> A  welcome         | refuse, end         D has checked A's hello: established at D,
//                                                 at A when this arrives
//   both    batch* reports* credit* ping pong ... bye, end
//
// Messages are the payloads of frames: FORMATS.md, section 10. A frame of an unknown type is
// skipped, so that later versions may add messages; an unknown flag is refused, since it might
// change what a message means.
//
// Credits: a side may have at most the window its peer's hello named (plain bytes of batches) not
// yet given back by credit; one batch larger than the window may go when nothing else is under way.
// A receiver holds its peer to that.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/limits.h"
#include "replication/link/block.h"
#include "replication/link/frame.h"
#include "replication/link/handshake.h"
#include "replication/record/record.h"

namespace outrigger::link {

using limits::kBatchBytesMax;

struct LinkOptions {
  bool dialled = false;  // we dialled: we speak first
  // Asked when our hello is sent and again when the peer's is checked, so that the peer's claims
  // are compared with what we have now.
  std::function<Hello()> hello;
  // Asked once, when the peer's hello has come: what we know of that site.
  std::function<Expectation(const SiteHello&)> expect;
  uint64_t window_bytes = 8 * 1024 * 1024;
  int64_t heartbeat_ms = 1000;
  int64_t silence_ms = 5000;  // nothing heard for so long: the line is dead
  int64_t handshake_ms = 10'000;
};

// ---- what came out of the bytes, in order
struct Established {
  SiteHello peer;
  uint32_t version = 0;
};
struct Batch {
  std::vector<Segment> segments;
  size_t bytes = 0;  // pass to grant() when they are taken
};
struct ReportsHeard {
  std::vector<Report> reports;
};
struct MembersHeard {
  std::vector<MemberId> members;
};
// It is time to send reports (the ping has been sent).
struct HeartbeatDue {};
// The last event of a link whose hello was refused, by us or by the peer.
struct Refused {
  RefuseCode code = RefuseCode::kOther;
  std::string text;
  bool by_peer = false;
};
// The last event of any other link.
struct Closed {
  ByeCode code = ByeCode::kOther;
  std::string text;
  bool by_peer = false;
};
using LinkEvent =
    std::variant<Established, Batch, ReportsHeard, MembersHeard, HeartbeatDue, Refused, Closed>;

// Not thread-safe. After a Refused or Closed event it takes and gives no more, except that the
// output still holds what should be sent before the connection is closed.
class Link {
 public:
  // Times are in milliseconds of any steady clock.
  Link(LinkOptions options, int64_t now_ms);

  [[nodiscard]] std::vector<LinkEvent> receive(std::string_view bytes, int64_t now_ms);
  // Heartbeats and time-outs; call a few times per heartbeat_ms.
  [[nodiscard]] std::vector<LinkEvent> tick(int64_t now_ms);

  [[nodiscard]] bool has_output() const { return !output_.empty(); }
  [[nodiscard]] size_t output_bytes() const { return output_.size(); }
  [[nodiscard]] std::string take_output() { return std::exchange(output_, {}); }

  // May another batch of about `bytes` go now?
  [[nodiscard]] bool can_send(size_t bytes) const;
  // Segments, encoded. When they turn out larger than the credit left, they wait inside for credit,
  // and can_send is false meanwhile. kRefused when they are larger than any batch may be; kClosed
  // when not established.
  [[nodiscard]] Status send_batch(std::string plain);
  // No effect unless established.
  void send_reports(const std::vector<Report>& reports);
  void send_members(const std::vector<MemberId>& members);
  // The receiver is done with this many bytes of Batch events.
  void grant(size_t bytes);
  // Says goodbye; no event follows.
  void close(ByeCode code, const std::string& text);

  [[nodiscard]] bool established() const { return state_ == State::kOpen; }
  [[nodiscard]] bool ended() const { return state_ == State::kEnded; }
  // Who the other side says it is: empty before its hello, and only believed once established.
  [[nodiscard]] const SiteHello& peer() const { return peer_; }
  [[nodiscard]] uint64_t bytes_in_flight() const { return in_flight_; }
  [[nodiscard]] int64_t rtt_ms() const { return rtt_ms_; }  // -1: not measured yet

 private:
  enum class State { kAwaitHello, kAwaitWelcome, kOpen, kEnded };

  void write(MessageType type, std::string_view payload, uint8_t flags = 0);
  [[nodiscard]] Hello our_hello() const;
  [[nodiscard]] bool has_credit(size_t bytes) const;
  void write_batch(std::string_view plain);
  void end(ByeCode code, std::string text);
  void refuse(Refusal refusal);
  void protocol_error(const std::string& reason);

  void on_frame(const Frame& frame);
  void on_hello(std::string_view payload);
  void on_welcome(std::string_view payload);
  void on_refuse(std::string_view payload);
  void on_bye(std::string_view payload);
  void on_batch(const Frame& frame);
  void on_reports(std::string_view payload);
  void on_members(std::string_view payload);
  void on_credit(std::string_view payload);
  void on_ping(std::string_view payload);
  void on_pong(std::string_view payload);

  LinkOptions options_;
  State state_ = State::kAwaitHello;
  FrameReader reader_;
  std::string output_;
  std::vector<LinkEvent> events_;  // of the call that is running
  uint32_t version_ = 0;
  SiteHello peer_;

  int64_t now_ms_;
  const int64_t started_ms_;
  int64_t heard_ms_;
  int64_t ticked_ms_;
  int64_t beat_ms_;
  int64_t rtt_ms_ = -1;

  // Sending.
  BlockPacker packer_;
  uint64_t peer_window_ = 0;
  uint64_t in_flight_ = 0;  // sent and not given back
  std::string staged_;      // encoded, waiting for credit

  // Receiving.
  BlockExpander expander_;
  std::string partial_;  // plain bytes of a batch whose last frame has not come
  bool in_batch_ = false;
  bool alone_ = false;  // nothing else was held when this batch began
  uint64_t held_ = 0;   // received and not granted back, the partial batch included
};

}  // namespace outrigger::link
