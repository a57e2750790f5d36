// Frames: how messages are cut out of a byte stream. Every frame carries its length and a checksum
// over everything but the checksum itself, so a flipped, lost or inserted byte ends the connection
// instead of reaching a message decoder.
//
// The bytes: FORMATS.md, section 10.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/limits.h"
#include "config/result.h"

namespace outrigger::link {

inline constexpr uint32_t kFrameLengthMax = limits::kFrameBytesMax;

struct Frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  std::string_view payload;  // borrowed from the reader, until its next call
};

// Appends one frame to `out`. The payload must fit (an invariant of ours).
void write_frame(std::string& out, uint8_t type, uint8_t flags, std::string_view payload);

// Bytes in, frames out. Holds at most one incomplete frame and what was pushed behind it.
class FrameReader {
 public:
  void push(std::string_view bytes);
  // The next whole frame, nothing when more bytes are needed, kCorrupt for a length that cannot be
  // (told as soon as it is seen, before anything is gathered) or a wrong checksum. After an error
  // the reader is of no further use.
  [[nodiscard]] Result<std::optional<Frame>> next();

 private:
  std::string buffer_;
  size_t begin_ = 0;  // of what is not consumed yet
};

}  // namespace outrigger::link
