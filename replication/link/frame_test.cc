#include "replication/link/frame.h"

#include <gtest/gtest.h>

#include <vector>

#include "replication/record/bytes.h"

namespace outrigger::link {
namespace {

struct Copy {
  uint8_t type;
  uint8_t flags;
  std::string payload;
  friend bool operator==(const Copy&, const Copy&) = default;
};

// Frames read until no more come; `error` is set when that is because of an error.
std::vector<Copy> drain(FrameReader& reader, std::string* error = nullptr) {
  std::vector<Copy> frames;
  for (;;) {
    Result<std::optional<Frame>> next = reader.next();
    if (!next) {
      if (error != nullptr) *error = next.error().message();
      return frames;
    }
    if (!*next) return frames;
    frames.push_back({(*next)->type, (*next)->flags, std::string((*next)->payload)});
  }
}

std::string three_frames() {
  std::string bytes;
  write_frame(bytes, 7, 0, "12345678");
  write_frame(bytes, 4, 1, "");
  write_frame(bytes, 200, 0, std::string(3000, 'x'));
  return bytes;
}

TEST(FrameTest, EverySplitGivesTheSameFrames) {
  const std::string bytes = three_frames();
  const std::vector<Copy> expected = {
      {7, 0, "12345678"}, {4, 1, ""}, {200, 0, std::string(3000, 'x')}};
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    FrameReader reader;
    reader.push(std::string_view(bytes).substr(0, cut));
    std::vector<Copy> frames = drain(reader);
    reader.push(std::string_view(bytes).substr(cut));
    for (Copy& frame : drain(reader)) frames.push_back(frame);
    ASSERT_EQ(frames, expected) << "cut at " << cut;
  }
}

TEST(FrameTest, AnyFlippedBitIsFoundOrLeavesTheFrameIncomplete) {
  std::string bytes;
  write_frame(bytes, 7, 0, "12345678");
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    FrameReader reader;
    // A longer length waits for more bytes: let it have them.
    if (bit < 32) damaged.append(kFrameLengthMax, '\0');
    reader.push(damaged);
    std::string error;
    EXPECT_TRUE(drain(reader, &error).empty()) << "bit " << bit;
    EXPECT_FALSE(error.empty()) << "bit " << bit;
  }
}

TEST(FrameTest, ImpossibleLengthsAreRefusedAfterFourBytes) {
  for (uint32_t length : {0u, 1u, kFrameLengthMax + 1, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    ByteWriter writer;
    writer.u32(length);
    FrameReader reader;
    reader.push(writer.view());
    std::string error;
    drain(reader, &error);
    EXPECT_NE(error.find("length"), std::string::npos) << length;
  }
}

TEST(FrameTest, AFrameOfTheLargestLengthPasses) {
  std::string bytes;
  write_frame(bytes, 4, 0, std::string(kFrameLengthMax - 2, 'y'));
  FrameReader reader;
  reader.push(bytes);
  EXPECT_EQ(drain(reader).size(), 1u);
}

}  // namespace
}  // namespace outrigger::link
