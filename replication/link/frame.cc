#include "replication/link/frame.h"

#include "replication/bson/crc32c.h"
#include "replication/record/bytes.h"

namespace outrigger::link {
namespace {

constexpr size_t kLengthBytes = 4;
constexpr size_t kCrcEnd = 8;

uint32_t checksum(std::string_view length, std::string_view body) {
  return crc32c(body, crc32c(length));
}

}  // namespace

void write_frame(std::string& out, uint8_t type, uint8_t flags, std::string_view payload) {
  OUTRIGGER_ASSERT(payload.size() <= kFrameLengthMax - 2);
  ByteWriter length;
  length.u32(static_cast<uint32_t>(payload.size() + 2));
  const char body[2] = {static_cast<char>(type), static_cast<char>(flags)};
  ByteWriter crc;
  crc.u32(crc32c(payload, checksum(length.view(), std::string_view(body, 2))));
  out.append(length.view()).append(crc.view()).append(body, 2).append(payload);
}

void FrameReader::push(std::string_view bytes) {
  buffer_.erase(0, begin_);
  begin_ = 0;
  buffer_.append(bytes);
}

Result<std::optional<Frame>> FrameReader::next() {
  std::string_view left = std::string_view(buffer_).substr(begin_);
  if (left.size() < kLengthBytes) return std::nullopt;
  uint32_t length = ByteReader(left, "frame").u32();
  if (length < 2 || length > kFrameLengthMax) {
    return fail(ErrorCode::kCorrupt, "read frame", "",
                "its length is " + std::to_string(length) + ", outside 2 to " +
                    std::to_string(kFrameLengthMax));
  }
  if (left.size() < kCrcEnd + length) return std::nullopt;
  uint32_t expected = ByteReader(left.substr(kLengthBytes), "frame").u32();
  std::string_view body = left.substr(kCrcEnd, length);
  if (checksum(left.substr(0, kLengthBytes), body) != expected) {
    return fail(ErrorCode::kCorrupt, "read frame", "", "its checksum (CRC32C) does not match");
  }
  begin_ += kCrcEnd + length;
  return Frame{static_cast<uint8_t>(body[0]), static_cast<uint8_t>(body[1]), body.substr(2)};
}

}  // namespace outrigger::link
