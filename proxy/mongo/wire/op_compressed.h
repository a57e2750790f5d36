// OP_COMPRESSED carries another message: its opcode, its length without header, a compressor, and
// its bytes packed. What the length claims decides how much is allocated before anything is known
// of the bytes, and whoever believes it hands out memory of others (CVE-2025-14847). So it is held
// against a bound first, and the bytes must come out as exactly as many.
//
// mongod closes the connection on whatever is wrong here, so all errors of this file close.
#pragma once

#include <optional>
#include <vector>

#include "proxy/mongo/wire/header.h"

namespace outrigger::wire {

// By their numbers in messages. 0, which packs nothing, is for mongod's own tests.
enum class Compressor : uint8_t { kSnappy = 1, kZlib = 2, kZstd = 3 };

// "snappy", "zlib", "zstd": as a hello and the settings name them.
[[nodiscard]] std::string_view name_of(Compressor compressor);
[[nodiscard]] std::optional<Compressor> compressor_named(std::string_view name);
using Compressors = std::vector<Compressor>;
// Those of the names that are known.
[[nodiscard]] Compressors compressors_named(const std::vector<std::string>& names);

// Behind the header: opcode, length, compressor.
inline constexpr size_t kCompressedHeadBytes = kHeaderBytes + 9;

// Borrows the message's bytes.
struct OpCompressed {
  MsgHeader header;
  OpCode op_code = OpCode::kMsg;  // of what is in it
  size_t message_bytes = 0;       // of the whole message that comes out, header included
  Compressor compressor = Compressor::kSnappy;
  Bytes packed;
};

// What the first kCompressedHeadBytes of a message say, or as much more of it as is at hand. Wrong:
// fewer bytes; a message that would be longer than `message_bytes_max`, or of negative length; one
// that is compressed twice; an unknown compressor.
[[nodiscard]] WireResult<OpCompressed> parse_op_compressed(Bytes message, size_t message_bytes_max);
// The message in it, with the ids of its header. Wrong: bytes that are no such packing, or come out
// as fewer or more.
[[nodiscard]] WireResult<std::string> expand(const OpCompressed& compressed);

// An event loop does it, and others wait meanwhile: messages of more bytes stay plain, so that none
// takes more than some hundredths of a second.
[[nodiscard]] size_t packed_bytes_max(Compressor compressor);
// The other way, for a whole message that is not compressed. Nothing: it is too long for that.
[[nodiscard]] std::optional<std::string> compress(Bytes message, Compressor compressor);

// The same, unless it is one of the commands that drivers never compress: secrets, and what goes
// before any agreement.
[[nodiscard]] std::optional<std::string> compress_command(Bytes message, Compressor compressor);

}  // namespace outrigger::wire
