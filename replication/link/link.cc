#include "replication/link/link.h"

#include <algorithm>

#include "replication/record/bytes.h"
#include "replication/record/record_codec.h"

namespace outrigger::link {
namespace {

// Heartbeats and answers to pings are not worth more memory than this when the other side does not
// read: it will be found silent, or reads again.
constexpr size_t kIdleOutputBytesMax = 1024 * 1024;

std::string seconds(int64_t ms) {
  std::string text = std::to_string(ms / 1000);
  if (ms % 1000 != 0) text += "." + std::to_string(ms % 1000 / 100);
  return text + " s";
}

}  // namespace

Link::Link(LinkOptions options, int64_t now_ms)
    : options_(std::move(options)),
      now_ms_(now_ms),
      started_ms_(now_ms),
      heard_ms_(now_ms),
      ticked_ms_(now_ms),
      beat_ms_(now_ms) {
  OUTRIGGER_ASSERT(options_.hello && options_.expect);
  if (options_.dialled) write(MessageType::kHello, encode_hello(our_hello()));
}

// ---- sending

void Link::write(MessageType type, std::string_view payload, uint8_t flags) {
  if (payload.size() > kFrameLengthMax - 2) {
    // What others say of themselves (members, origins) is in it.
    return end(ByeCode::kOther, "what there is to say takes a frame of " +
                                    std::to_string(payload.size()) + " bytes, more than one has");
  }
  write_frame(output_, static_cast<uint8_t>(type), flags, payload);
}

Hello Link::our_hello() const {
  Hello hello = options_.hello();
  hello.window_bytes = options_.window_bytes;
  return hello;
}

bool Link::has_credit(size_t bytes) const {
  return in_flight_ == 0 || in_flight_ + bytes <= peer_window_;
}

bool Link::can_send(size_t bytes) const {
  return established() && staged_.empty() && has_credit(bytes);
}

Status Link::send_batch(std::string plain) {
  if (!established() || !staged_.empty()) {
    return fail(ErrorCode::kClosed, "send batch", peer_.site, "the link takes none now");
  }
  const size_t bytes = plain.size();
  if (bytes > kBatchBytesMax) {
    return fail(ErrorCode::kRefused, "send batch", peer_.site,
                "it takes " + std::to_string(bytes) + " bytes, more than the " +
                    std::to_string(kBatchBytesMax) + " a batch may have");
  }
  if (has_credit(bytes)) {
    write_batch(plain);
  } else {
    staged_ = std::move(plain);
  }
  return {};
}

void Link::write_batch(std::string_view plain) {
  in_flight_ += plain.size();
  while (!plain.empty()) {
    std::string_view block = plain.substr(0, kBlockBytesMax);
    plain.remove_prefix(block.size());
    std::string payload = encode_varint(block.size());
    payload += packer_.pack(block);
    write(MessageType::kBatch, payload, plain.empty() ? 0 : kFlagMore);
  }
}

void Link::send_reports(const std::vector<Report>& reports) {
  if (!established() || reports.empty()) return;
  // A report of a site with very many epochs can be large: each in a frame of its own then.
  std::string payload = encode_reports(reports);
  if (payload.size() <= kFrameLengthMax - 2) {
    write(MessageType::kReports, payload);
    return;
  }
  for (const Report& report : reports) {
    payload = encode_reports({report});
    if (payload.size() <= kFrameLengthMax - 2) write(MessageType::kReports, payload);
  }
}

void Link::send_members(const std::vector<MemberId>& members) {
  if (established()) write(MessageType::kMembers, encode_members(members));
}

void Link::grant(size_t bytes) {
  OUTRIGGER_ASSERT(bytes <= held_);
  held_ -= bytes;
  if (established() && bytes > 0) write(MessageType::kCredit, encode_varint(bytes));
}

void Link::close(ByeCode code, const std::string& text) {
  if (ended()) return;
  write(MessageType::kBye, encode_farewell({static_cast<uint8_t>(code), text}));
  state_ = State::kEnded;
}

// ---- ending

void Link::end(ByeCode code, std::string text) {
  close(code, text);
  events_.push_back(Closed{code, std::move(text), false});
}

void Link::refuse(Refusal refusal) {
  write(MessageType::kRefuse, encode_farewell({static_cast<uint8_t>(refusal.code), refusal.text}));
  state_ = State::kEnded;
  events_.push_back(Refused{refusal.code, std::move(refusal.text), false});
}

void Link::protocol_error(const std::string& reason) {
  std::string who = peer_.site.empty() ? "the other side" : peer_.site;
  end(ByeCode::kProtocol, who + " sent what cannot be: " + reason);
}

// ---- receiving

std::vector<LinkEvent> Link::receive(std::string_view bytes, int64_t now_ms) {
  now_ms_ = now_ms;
  if (!bytes.empty()) heard_ms_ = now_ms;
  if (!ended()) reader_.push(bytes);
  while (!ended()) {
    Result<std::optional<Frame>> frame = reader_.next();
    if (!frame) {
      protocol_error(frame.error().message());
    } else if (*frame) {
      on_frame(**frame);
    } else {
      break;
    }
  }
  return std::exchange(events_, {});
}

void Link::on_frame(const Frame& frame) {
  auto type = static_cast<MessageType>(frame.type);
  bool known = frame.type >= static_cast<uint8_t>(MessageType::kHello) &&
               frame.type <= static_cast<uint8_t>(MessageType::kMembers);
  uint8_t flags_allowed = type == MessageType::kBatch ? kFlagMore : 0;
  if (known && (frame.flags & ~flags_allowed) != 0) {
    return protocol_error("message " + std::to_string(frame.type) + " with flags " +
                          std::to_string(frame.flags));
  }
  if (type == MessageType::kBye) return on_bye(frame.payload);
  if (type == MessageType::kRefuse && !established()) return on_refuse(frame.payload);
  if (state_ == State::kAwaitHello) {
    if (type == MessageType::kHello) return on_hello(frame.payload);
    return protocol_error("message " + std::to_string(frame.type) + " before a hello");
  }
  if (state_ == State::kAwaitWelcome) {
    if (type == MessageType::kWelcome) return on_welcome(frame.payload);
    return protocol_error("message " + std::to_string(frame.type) + " before a welcome");
  }
  if (!known) return;
  if (in_batch_ && type != MessageType::kBatch) {
    return protocol_error("message " + std::to_string(frame.type) + " inside a batch");
  }
  switch (type) {
    case MessageType::kBatch:
      return on_batch(frame);
    case MessageType::kReports:
      return on_reports(frame.payload);
    case MessageType::kMembers:
      return on_members(frame.payload);
    case MessageType::kCredit:
      return on_credit(frame.payload);
    case MessageType::kPing:
      return on_ping(frame.payload);
    case MessageType::kPong:
      return on_pong(frame.payload);
    case MessageType::kHello:
    case MessageType::kWelcome:
    case MessageType::kRefuse:
      return protocol_error("message " + std::to_string(frame.type) + " on an open link");
    case MessageType::kBye:
      return;
  }
}

void Link::on_hello(std::string_view payload) {
  Result<Hello> theirs = decode_hello(payload);
  if (!theirs) return protocol_error(theirs.error().message());
  // Before the checks, so that every text can name the site it is about.
  peer_ = theirs->site;
  Hello ours = our_hello();
  std::optional<Refusal> no = check_hello(ours, *theirs, options_.expect(theirs->site));
  if (no) return refuse(std::move(*no));

  version_ = common_version(ours, *theirs);
  peer_window_ = theirs->window_bytes;
  // The accepting side's own hello goes out only to a site that may know it.
  if (!options_.dialled) write(MessageType::kHello, encode_hello(ours));
  write(MessageType::kWelcome, encode_varint(version_));
  state_ = State::kAwaitWelcome;
}

void Link::on_welcome(std::string_view payload) {
  Result<uint64_t> version = decode_varint(payload);
  if (!version || *version != version_) {
    return protocol_error("a welcome for another version than " + std::to_string(version_));
  }
  state_ = State::kOpen;
  events_.push_back(Established{peer_, version_});
}

void Link::on_refuse(std::string_view payload) {
  Result<Farewell> refusal = decode_farewell(payload);
  if (!refusal) return protocol_error(refusal.error().message());
  state_ = State::kEnded;
  events_.push_back(Refused{static_cast<RefuseCode>(refusal->code), refusal->text, true});
}

void Link::on_bye(std::string_view payload) {
  Result<Farewell> bye = decode_farewell(payload);
  if (!bye) return protocol_error(bye.error().message());
  state_ = State::kEnded;
  events_.push_back(Closed{static_cast<ByeCode>(bye->code), bye->text, true});
}

void Link::on_batch(const Frame& frame) {
  ByteReader reader(frame.payload, "batch");
  reader.only_shortest();
  uint64_t plain_size = reader.varint();
  if (!reader.ok()) return protocol_error("a batch without a size");
  if (plain_size > kBlockBytesMax || partial_.size() + plain_size > kBatchBytesMax) {
    return protocol_error("a batch of more than " + std::to_string(kBatchBytesMax) + " bytes");
  }
  if (!in_batch_) alone_ = held_ == 0;
  in_batch_ = true;
  held_ += plain_size;
  if (!alone_ && held_ > options_.window_bytes) {
    return protocol_error("more than the " + std::to_string(options_.window_bytes) +
                          " bytes it may have under way");
  }
  Status expanded = expander_.expand(reader.rest(), plain_size, partial_);
  if (!expanded) return protocol_error(expanded.error().message());
  if ((frame.flags & kFlagMore) != 0) return;

  in_batch_ = false;
  RecordLimits limits;
  limits.bytes_max = kBatchBytesMax;
  std::string plain = std::exchange(partial_, {});
  Result<std::vector<Segment>> segments = decode_segments(plain, limits);
  if (!segments) return protocol_error(segments.error().message());
  events_.push_back(Batch{std::move(*segments), plain.size()});
}

void Link::on_reports(std::string_view payload) {
  Result<std::vector<Report>> reports = decode_reports(payload);
  if (!reports) return protocol_error(reports.error().message());
  events_.push_back(ReportsHeard{std::move(*reports)});
}

void Link::on_members(std::string_view payload) {
  Result<std::vector<MemberId>> members = decode_members(payload);
  if (!members) return protocol_error(members.error().message());
  events_.push_back(MembersHeard{std::move(*members)});
}

void Link::on_credit(std::string_view payload) {
  Result<uint64_t> bytes = decode_varint(payload);
  if (!bytes || *bytes > in_flight_) return protocol_error("credit for more than it was sent");
  in_flight_ -= *bytes;
  if (!staged_.empty() && has_credit(staged_.size())) write_batch(std::exchange(staged_, {}));
}

void Link::on_ping(std::string_view payload) {
  Result<uint64_t> time = decode_time(payload);
  if (!time) return protocol_error("a ping without a time");
  if (output_.size() < kIdleOutputBytesMax) write(MessageType::kPong, encode_time(*time));
}

void Link::on_pong(std::string_view payload) {
  Result<uint64_t> time = decode_time(payload);
  if (!time) return protocol_error("a pong without a time");
  auto asked_ms = static_cast<int64_t>(*time);
  if (asked_ms >= started_ms_ && asked_ms <= now_ms_) rtt_ms_ = now_ms_ - asked_ms;
}

// ---- time

std::vector<LinkEvent> Link::tick(int64_t now_ms) {
  now_ms_ = now_ms;
  if (ended()) return {};
  // When this process itself stood still, what the peer said meanwhile waits unread: not its fault.
  if (now_ms - ticked_ms_ > options_.silence_ms / 2) {
    heard_ms_ = std::max(heard_ms_, now_ms - options_.silence_ms / 2);
  }
  ticked_ms_ = now_ms;

  std::string who = peer_.site.empty() ? "the other side" : peer_.site;
  if (now_ms - heard_ms_ >= options_.silence_ms) {
    end(ByeCode::kSilent, "nothing heard from " + who + " for " + seconds(options_.silence_ms) +
                              ": the line is cut, or the sidecar there hangs");
  } else if (!established() && now_ms - started_ms_ >= options_.handshake_ms) {
    end(ByeCode::kSilent,
        who + " did not finish its hello within " + seconds(options_.handshake_ms));
  } else if (established() && now_ms - beat_ms_ >= options_.heartbeat_ms) {
    beat_ms_ = now_ms;
    if (output_.size() < kIdleOutputBytesMax) {
      write(MessageType::kPing, encode_time(static_cast<uint64_t>(now_ms)));
      events_.push_back(HeartbeatDue{});
    }
  }
  return std::exchange(events_, {});
}

}  // namespace outrigger::link
