// A hostile sidecar: any bytes at any stage of a link end in a closed link or in well-formed
// events, with bounded output, and the same bytes cut elsewhere give the same events.
//
// The first byte says how far the link has come when the bytes arrive: not at all, or open. The
// rest are either the raw stream, or (top bit) payloads that are put into correct frames first, so
// that the checksum does not keep the fuzzer from the decoders.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/link/block.h"
#include "replication/link/frame.h"
#include "replication/link/link.h"

namespace {
using namespace outrigger;
using link::Link;

constexpr uint8_t kOpen = 0x01;
constexpr uint8_t kFramed = 0x80;

link::Hello hello_of(const std::string& site, uint8_t id) {
  link::Hello hello;
  hello.site.site = site;
  hello.site.site_id.fill(id);
  hello.site.members = {"oslo", "paris"};
  return hello;
}

link::LinkOptions options_of(const std::string& site, uint8_t id, bool dialled) {
  link::LinkOptions options;
  options.dialled = dialled;
  options.hello = [site, id] { return hello_of(site, id); };
  options.expect = [](const SiteHello&) { return link::Expectation(); };
  return options;
}

// type:u8 flags:u8 size:u8 payload, again and again. A batch's payload is packed first, so that the
// bytes behind it reach the decoder of records.
std::string framed(std::string_view bytes) {
  std::string out;
  link::BlockPacker packer;
  while (bytes.size() >= 3) {
    auto type = static_cast<uint8_t>(bytes[0]);
    auto flags = static_cast<uint8_t>(bytes[1]);
    std::string_view payload = bytes.substr(3, static_cast<uint8_t>(bytes[2]));
    bytes.remove_prefix(3 + payload.size());
    bool pack = type == static_cast<uint8_t>(link::MessageType::kBatch) && (flags & 0x80) != 0 &&
                !payload.empty();
    std::string packed =
        pack ? link::encode_varint(payload.size()) + packer.pack(payload) : std::string(payload);
    link::write_frame(out, type, pack ? flags & 0x7f : flags, packed);
  }
  return out;
}

struct Outcome {
  std::vector<size_t> kinds;  // of events; credit makes the order of the output depend on the cuts
  size_t output_bytes = 0;
};

Outcome feed(std::string_view bytes, bool open, size_t piece) {
  Link paris(options_of("paris", 2, false), 0);
  if (open) {
    Link oslo(options_of("oslo", 1, true), 0);
    (void)paris.receive(oslo.take_output(), 0);
    (void)oslo.receive(paris.take_output(), 0);
    (void)paris.receive(oslo.take_output(), 0);
    OUTRIGGER_ASSERT(paris.established());
  }
  Outcome outcome;
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    for (link::LinkEvent& event : paris.receive(part, 0)) {
      outcome.kinds.push_back(event.index());
      if (auto* batch = std::get_if<link::Batch>(&event)) paris.grant(batch->bytes);
    }
  }
  outcome.output_bytes = paris.output_bytes();
  return outcome;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const bool open = (data[0] & kOpen) != 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string bytes = (data[0] & kFramed) != 0 ? framed(rest) : std::string(rest);
  Outcome whole = feed(bytes, open, SIZE_MAX);
  OUTRIGGER_ASSERT(whole.kinds == feed(bytes, open, 7).kinds);
  OUTRIGGER_ASSERT(whole.output_bytes < 4 * 1024 * 1024);
  return 0;
}
