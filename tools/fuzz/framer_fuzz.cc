// The framer and the parsers behind it: any bytes, cut at any place, give the same messages as the
// bytes in one piece, and every message parses or is refused.
#include <cstdint>
#include <vector>

#include "config/result.h"
#include "proxy/mongo/wire/framer.h"
#include "proxy/mongo/wire/op_compressed.h"
#include "proxy/mongo/wire/op_msg.h"
#include "proxy/mongo/wire/op_query.h"
#include "proxy/mongo/wire/op_reply.h"

namespace {
using namespace outrigger;
using wire::Framer;

// What comes out is as long as it says, and goes back in.
void unpack(bson::Bytes message) {
  constexpr size_t kBytesMax = 1 << 20;
  const auto packed = wire::parse_op_compressed(message, kBytesMax);
  if (!packed) return;
  const auto plain = wire::expand(*packed);
  if (!plain) return;
  OUTRIGGER_ASSERT(plain->size() == packed->message_bytes && plain->size() <= kBytesMax);
  const auto again = wire::compress(*plain, packed->compressor);
  const auto parsed = wire::parse_op_compressed(*again, kBytesMax);
  OUTRIGGER_ASSERT(parsed && wire::expand(*parsed) == *plain);
}

void parse(bson::Bytes message) {
  if (auto parsed = wire::parse_op_msg(message)) {
    (void)parsed->command_name();
    (void)parsed->database();
    std::vector<wire::SequenceOut> out;
    for (const auto& s : parsed->sequences) out.push_back({s.identifier, s.bytes});
    const auto& h = parsed->header;
    const auto again =
        wire::build_op_msg(h.request_id, h.response_to, parsed->flags, parsed->body, out);
    OUTRIGGER_ASSERT(wire::parse_op_msg(again).has_value());
    OUTRIGGER_ASSERT(again.size() == message.size());
  }
  (void)wire::parse_op_msg_trusted(message);
  if (auto parsed = wire::parse_op_query(message)) (void)wire::refuse_op_query(*parsed);
  (void)wire::parse_op_reply(message);
  unpack(message);
}

// Messages, and whether an error ended them. `step` 0: all at once.
std::vector<std::string> frame(bson::Bytes stream, size_t step, bool relay) {
  std::vector<std::string> messages;
  Framer framer;
  while (!stream.empty()) {
    bson::Bytes piece = stream.substr(0, step == 0 ? stream.size() : step);
    stream.remove_prefix(piece.size());
    while (!piece.empty()) {
      if (framer.relay_left() > 0) {
        messages.back() += framer.relay(piece);
        continue;
      }
      const auto got = relay ? framer.next_header(piece) : framer.next(piece);
      if (got.kind == Framer::Kind::kError) return messages;
      if (got.kind == Framer::Kind::kMessage) messages.emplace_back(got.message);
      if (got.kind == Framer::Kind::kHeader) messages.emplace_back(framer.relay(piece));
    }
  }
  if (!framer.between_messages() && framer.relay_left() > 0) messages.pop_back();
  return messages;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const bson::Bytes stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = frame(stream, 0, false);
  OUTRIGGER_ASSERT(frame(stream, 1 + data[0] % 40, false) == whole);
  OUTRIGGER_ASSERT(frame(stream, 1 + data[0] % 40, true) == whole);
  for (const auto& message : whole) parse(message);
  return 0;
}
