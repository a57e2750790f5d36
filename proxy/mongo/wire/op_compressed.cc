#include "proxy/mongo/wire/op_compressed.h"

#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <iterator>

#include "proxy/mongo/wire/cursor.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/mongo/wire/op_msg.h"

namespace outrigger::wire {
namespace {

struct NamedCompressor {
  Compressor compressor;
  std::string_view name;
  size_t bytes_max;  // of a message that is packed
};

constexpr NamedCompressor kCompressors[] = {
    {Compressor::kSnappy, "snappy", 16 << 20},
    {Compressor::kZlib, "zlib", 1 << 20},
    {Compressor::kZstd, "zstd", 4 << 20},
};

const NamedCompressor& entry_of(Compressor compressor) {
  const auto is_it = [&](const NamedCompressor& named) { return named.compressor == compressor; };
  return *std::find_if(std::begin(kCompressors), std::end(kCompressors), is_it);
}

tl::unexpected<WireError> refuse(int code, std::string why) {
  return wire_fail(code, std::move(why), true);
}

// Each fills `to` whole, or says that it cannot.
bool unpack_snappy(Bytes packed, char* to, size_t bytes) {
  size_t length = 0;
  return snappy::GetUncompressedLength(packed.data(), packed.size(), &length) && length == bytes &&
         snappy::RawUncompress(packed.data(), packed.size(), to);
}

bool unpack_zlib(Bytes packed, char* to, size_t bytes) {
  uLongf length = bytes;
  const int status = ::uncompress(reinterpret_cast<Bytef*>(to), &length,
                                  reinterpret_cast<const Bytef*>(packed.data()), packed.size());
  return status == Z_OK && length == bytes;
}

bool unpack_zstd(Bytes packed, char* to, size_t bytes) {
  const size_t length = ::ZSTD_decompress(to, bytes, packed.data(), packed.size());
  return ::ZSTD_isError(length) == 0 && length == bytes;
}

bool unpack(Compressor compressor, Bytes packed, char* to, size_t bytes) {
  if (compressor == Compressor::kSnappy) return unpack_snappy(packed, to, bytes);
  if (compressor == Compressor::kZlib) return unpack_zlib(packed, to, bytes);
  return unpack_zstd(packed, to, bytes);
}

// What may come out.
size_t bound_of(Compressor compressor, size_t bytes) {
  if (compressor == Compressor::kSnappy) return snappy::MaxCompressedLength(bytes);
  if (compressor == Compressor::kZlib) return ::compressBound(bytes);
  return ::ZSTD_compressBound(bytes);
}

// How many bytes came out; 0: none.
size_t pack(Compressor compressor, Bytes plain, char* to, size_t bytes_max) {
  size_t length = bytes_max;
  if (compressor == Compressor::kSnappy) {
    snappy::RawCompress(plain.data(), plain.size(), to, &length);
    return length;
  }
  if (compressor == Compressor::kZlib) {
    uLongf packed = bytes_max;
    // An event loop does it, and others wait meanwhile.
    const int status =
        ::compress2(reinterpret_cast<Bytef*>(to), &packed,
                    reinterpret_cast<const Bytef*>(plain.data()), plain.size(), Z_BEST_SPEED);
    return status == Z_OK ? packed : 0;
  }
  length = ::ZSTD_compress(to, bytes_max, plain.data(), plain.size(), ZSTD_CLEVEL_DEFAULT);
  return ::ZSTD_isError(length) == 0 ? length : 0;
}

}  // namespace

std::string_view name_of(Compressor compressor) { return entry_of(compressor).name; }

size_t packed_bytes_max(Compressor compressor) { return entry_of(compressor).bytes_max; }

std::optional<Compressor> compressor_named(std::string_view name) {
  const auto is_it = [&](const NamedCompressor& named) { return named.name == name; };
  const auto* found = std::find_if(std::begin(kCompressors), std::end(kCompressors), is_it);
  if (found == std::end(kCompressors)) return std::nullopt;
  return found->compressor;
}

Compressors compressors_named(const std::vector<std::string>& names) {
  Compressors out;
  for (const std::string& name : names) {
    if (const auto named = compressor_named(name)) out.push_back(*named);
  }
  return out;
}

WireResult<OpCompressed> parse_op_compressed(Bytes message, size_t message_bytes_max) {
  const auto header = read_header(message);
  if (!header || header->op_code != OpCode::kCompressed || message.size() < kCompressedHeadBytes) {
    return refuse(code::kProtocolError, "a compressed message without its head");
  }
  OpCompressed out;
  out.header = *header;
  Cursor cursor(message.substr(kHeaderBytes));
  out.op_code = static_cast<OpCode>(cursor.int32());
  const int64_t bytes = cursor.int32();
  const uint8_t number = cursor.byte();
  out.packed = cursor.rest();
  const auto bytes_max = static_cast<int64_t>(message_bytes_max) - int64_t{kHeaderBytes};
  if (bytes < 0 || bytes > bytes_max) {
    return refuse(code::kBadValue, "a compressed message of " + std::to_string(bytes) +
                                       " bytes, not between 0 and " + std::to_string(bytes_max));
  }
  out.message_bytes = kHeaderBytes + static_cast<size_t>(bytes);
  if (out.op_code == OpCode::kCompressed) {
    return refuse(code::kProtocolError, "a message that is compressed twice");
  }
  const auto is_it = [&](const NamedCompressor& named) {
    return static_cast<uint8_t>(named.compressor) == number;
  };
  const auto* found = std::find_if(std::begin(kCompressors), std::end(kCompressors), is_it);
  if (found == std::end(kCompressors)) {
    return refuse(code::kBadValue, "compressor " + std::to_string(number) + " is not known");
  }
  out.compressor = found->compressor;
  return out;
}

WireResult<std::string> expand(const OpCompressed& compressed) {
  MsgHeader header = compressed.header;
  header.message_length = static_cast<int32_t>(compressed.message_bytes);
  header.op_code = compressed.op_code;
  std::string out;
  out.reserve(compressed.message_bytes);
  append_header(out, header);
  out.resize(compressed.message_bytes);
  if (unpack(compressed.compressor, compressed.packed, out.data() + kHeaderBytes,
             out.size() - kHeaderBytes)) {
    return out;
  }
  return refuse(code::kBadValue, "what is compressed by " +
                                     std::string(name_of(compressed.compressor)) +
                                     " does not come out as it says");
}

std::optional<std::string> compress(Bytes message, Compressor compressor) {
  const auto header = read_header(message);
  OUTRIGGER_ASSERT(header && header->op_code != OpCode::kCompressed);
  const Bytes plain = message.substr(kHeaderBytes);
  if (message.size() > packed_bytes_max(compressor)) return std::nullopt;
  const size_t packed_max = bound_of(compressor, plain.size());
  std::string out;
  out.reserve(kCompressedHeadBytes + packed_max);
  MsgHeader head = *header;
  head.op_code = OpCode::kCompressed;
  append_header(out, head);
  append_int32(out, static_cast<int32_t>(header->op_code));
  append_int32(out, static_cast<int32_t>(plain.size()));
  out.push_back(static_cast<char>(compressor));
  out.resize(kCompressedHeadBytes + packed_max);
  const size_t packed = pack(compressor, plain, out.data() + kCompressedHeadBytes, packed_max);
  if (packed == 0) return std::nullopt;
  out.resize(kCompressedHeadBytes + packed);
  patch_length(out);
  return out;
}

std::optional<std::string> compress_command(Bytes message, Compressor compressor) {
  constexpr std::string_view kPlain[] = {
      "hello",        "isMaster",   "ismaster",   "saslStart",       "saslContinue",   "getnonce",
      "authenticate", "createUser", "updateUser", "copydbSaslStart", "copydbgetnonce", "copydb"};
  const auto header = read_header(message);
  if (!header || header->op_code != OpCode::kMsg) return std::nullopt;
  const auto parsed = parse_op_msg_trusted(message);
  if (!parsed) return std::nullopt;
  const auto* plain = std::find(std::begin(kPlain), std::end(kPlain), parsed->command_name());
  if (plain != std::end(kPlain)) return std::nullopt;
  return compress(message, compressor);
}

}  // namespace outrigger::wire
