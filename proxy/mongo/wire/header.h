// Every MongoDB message opens with four little-endian int32: its length (these 16 bytes included),
// a request id, the id it answers, and an opcode. This file names them, the limits that hold before
// anything is allocated, and the error that the parsers of this folder return: one that carries
// mongod's own error code, so that a refused message gets the answer mongod would have given.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "config/limits.h"
#include "replication/bson/bson.h"

namespace outrigger::wire {

using bson::Bytes;

inline constexpr size_t kHeaderBytes = 16;
inline constexpr size_t kMessageBytesMax = limits::kMessageBytesMax;

// Values not listed here may arrive: what is unknown or removed (2001 OP_UPDATE, 2002 OP_INSERT,
// 2004-2007) must not be forwarded blindly, an old backend would execute it.
enum class OpCode : int32_t {
  kReply = 1,
  kUpdate = 2001,
  kInsert = 2002,
  kQuery = 2004,
  kGetMore = 2005,
  kDelete = 2006,
  kKillCursors = 2007,
  kCompressed = 2012,
  kMsg = 2013,
};

struct MsgHeader {
  int32_t message_length = 0;  // bytes, header included
  int32_t request_id = 0;
  int32_t response_to = 0;
  OpCode op_code = OpCode::kMsg;
  friend bool operator==(const MsgHeader&, const MsgHeader&) = default;
};

// The first 16 bytes decoded, lengths not judged; nothing when there are fewer.
[[nodiscard]] std::optional<MsgHeader> read_header(Bytes bytes);
void append_header(std::string& out, const MsgHeader& header);
// Overwrites a built message's length, once its end is known. `out` starts with the header.
void patch_length(std::string& out);
// Changes one field of a complete message in place; an OP_MSG checksum is not recomputed.
void patch_request_id(std::string& message, int32_t request_id);
void patch_response_to(std::string& message, int32_t response_to);

// A message that mongod would refuse: its code, text, and whether the connection dies with it.
struct WireError {
  int code = 0;
  std::string message;
  bool close_connection = false;
};

template <typename T>
using WireResult = tl::expected<T, WireError>;

[[nodiscard]] inline tl::unexpected<WireError> wire_fail(int code, std::string message,
                                                         bool close_connection = false) {
  return tl::unexpected<WireError>(WireError{code, std::move(message), close_connection});
}

}  // namespace outrigger::wire
