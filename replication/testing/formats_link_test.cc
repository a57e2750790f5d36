// Frames and messages of the link, as FORMATS.md describes them.
#include "replication/link/block.h"
#include "replication/link/frame.h"
#include "replication/link/message.h"
#include "replication/record/record_codec.h"
#include "replication/testing/formats_testing.h"

namespace outrigger::formats {
namespace {

using link::MessageType;

bool same(const link::Hello& a, const link::Hello& b) {
  const SiteHello& x = a.site;
  const SiteHello& y = b.site;
  return a.version_min == b.version_min && a.version_max == b.version_max &&
         a.window_bytes == b.window_bytes && a.policy_lines == b.policy_lines && x.site == y.site &&
         x.site_id == y.site_id && x.epoch == y.epoch && x.policy_hash == y.policy_hash &&
         x.members == y.members && x.applied == y.applied && x.stable == y.stable &&
         x.floor == y.floor;
}

link::Hello hello() {
  link::Hello hello;
  hello.window_bytes = 8 << 20;
  hello.site.site = "oslo";
  hello.site.site_id = kOslo.site;
  hello.site.epoch = kOslo.epoch;
  hello.site.policy_hash = "9f1c";
  hello.site.members = {"oslo", "rome"};
  hello.site.applied.raise(kOslo, 5);
  hello.site.applied.raise(kRome, 3);
  hello.site.stable.raise(kOslo, 4);
  hello.policy_lines = {"shop.*"};
  return hello;
}

Report report() {
  Report report;
  report.site = kOslo.site;
  report.epoch = kOslo.epoch;
  report.serial = 300;
  report.vector.raise(kOslo, 5);
  report.vector.raise(kRome, 3);
  report.issued.raise(kOslo, 6);
  report.closed.raise(kOslo, 4);
  return report;
}

// What a message is as a frame, alone on a connection.
std::string framed(MessageType type, std::string_view payload, uint8_t flags = 0) {
  std::string out;
  link::write_frame(out, static_cast<uint8_t>(type), flags, payload);
  return out;
}

link::Frame frame_in(const std::string& bytes, link::FrameReader& reader) {
  reader.push(bytes);
  const auto frame = reader.next();
  EXPECT_TRUE(frame && *frame);
  return frame && *frame ? **frame : link::Frame();
}

Example ping_frame() {
  return {"frame-ping", [] { return Parts{framed(MessageType::kPing, link::encode_time(1))}; },
          [](const Parts& parts) {
            link::FrameReader reader;
            const link::Frame frame = frame_in(parts.at(0), reader);
            EXPECT_EQ(frame.type, static_cast<uint8_t>(MessageType::kPing));
            EXPECT_EQ(frame.flags, 0);
            EXPECT_EQ(link::decode_time(frame.payload), 1u);
          }};
}

// Of two frames.
Example batch_frames() {
  const auto encode = [] {
    const std::string plain = encode_segments({});
    link::BlockPacker packer;
    std::string out;
    for (const std::string_view part :
         {std::string_view(plain).substr(0, 2), std::string_view(plain).substr(2)}) {
      const bool last = part.end() == std::string_view(plain).end();
      out += framed(MessageType::kBatch, link::encode_varint(part.size()) + packer.pack(part),
                    last ? 0 : link::kFlagMore);
    }
    return Parts{out};
  };
  return {"frames-batch", encode, [](const Parts& parts) {
            link::FrameReader reader;
            link::BlockExpander expander;
            std::string plain;
            link::Frame frame = frame_in(parts.at(0), reader);
            EXPECT_EQ(frame.flags, link::kFlagMore);
            ASSERT_TRUE(expander.expand(frame.payload.substr(1), 2, plain));
            frame = frame_in("", reader);
            EXPECT_EQ(frame.flags, 0);
            ASSERT_TRUE(expander.expand(frame.payload.substr(1), 4, plain));
            const auto segments = decode_segments(plain);
            ASSERT_TRUE(segments);
            EXPECT_TRUE(segments->empty());
          }};
}

Example hello_example() {
  return {"message-hello", [] { return Parts{link::encode_hello(hello())}; },
          [](const Parts& parts) {
            const auto read = link::decode_hello(parts.at(0));
            ASSERT_TRUE(read) << read.error().message();
            EXPECT_TRUE(same(*read, hello()));
            EXPECT_TRUE(link::decode_hello(parts.at(0) + "later"));
          }};
}

Example farewell_example(const std::string& name, uint8_t code, const std::string& text) {
  return {name,
          [=] {
            return Parts{link::encode_farewell({code, text})};
          },
          [=](const Parts& parts) {
            const auto read = link::decode_farewell(parts.at(0));
            ASSERT_TRUE(read) << read.error().message();
            EXPECT_EQ(read->code, code);
            EXPECT_EQ(read->text, text);
          }};
}

}  // namespace

std::vector<Example> link_examples() {
  const auto number = [](uint64_t value) { return link::encode_varint(value); };
  const auto time = [](uint64_t value) { return link::encode_time(value); };
  const std::vector<MemberId> members = {{"rome", kRome.site}};
  return {
      ping_frame(),
      batch_frames(),
      hello_example(),
      example("message-welcome", uint64_t{1}, number, link::decode_varint),
      farewell_example("message-refuse", static_cast<uint8_t>(link::RefuseCode::kPolicy), "no"),
      example("message-reports", std::vector<Report>{report()}, link::encode_reports,
              link::decode_reports),
      example("message-credit", uint64_t{300}, number, link::decode_varint),
      example("message-ping", uint64_t{1000}, time, link::decode_time),
      farewell_example("message-bye", static_cast<uint8_t>(link::ByeCode::kShutdown), "bye"),
      example("message-members", members, link::encode_members, link::decode_members),
  };
}

}  // namespace outrigger::formats
