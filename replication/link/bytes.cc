#include "replication/link/bytes.h"

#include <algorithm>
#include <optional>

namespace outrigger::link {
namespace {

constexpr size_t kVectorEntryBytes = 32;
constexpr int kVarintBytesMax = 10;

}  // namespace

void ByteWriter::u32(uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) u8(static_cast<uint8_t>(value >> shift));
}

void ByteWriter::u64(uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) u8(static_cast<uint8_t>(value >> shift));
}

void ByteWriter::varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) u8(static_cast<uint8_t>(value | 0x80));
  u8(static_cast<uint8_t>(value));
}

void ByteWriter::string(std::string_view text) {
  varint(text.size());
  raw(text);
}

void ByteWriter::site_id(const SiteId& id) {
  raw(std::string_view(reinterpret_cast<const char*>(id.data()), id.size()));
}

void ByteWriter::origin(const Origin& origin) {
  site_id(origin.site);
  u64(origin.epoch);
}

void ByteWriter::vector(const VersionVector& vector) {
  varint(vector.entries().size());
  for (const auto& [entry_origin, hlc] : vector.entries()) {
    origin(entry_origin);
    u64(hlc);
  }
}

std::string_view ByteReader::raw(size_t size) {
  if (size > left_.size()) {
    fail();
    return {};
  }
  std::string_view bytes = left_.substr(0, size);
  left_.remove_prefix(size);
  return bytes;
}

uint8_t ByteReader::u8() {
  std::string_view byte = raw(1);
  return byte.empty() ? 0 : static_cast<uint8_t>(byte[0]);
}

uint32_t ByteReader::u32() {
  uint32_t value = 0;
  int shift = 0;
  for (char byte : raw(4)) {
    value |= static_cast<uint32_t>(static_cast<uint8_t>(byte)) << shift;
    shift += 8;
  }
  return value;
}

uint64_t ByteReader::u64() {
  uint64_t value = 0;
  int shift = 0;
  for (char byte : raw(8)) {
    value |= static_cast<uint64_t>(static_cast<uint8_t>(byte)) << shift;
    shift += 8;
  }
  return value;
}

uint64_t ByteReader::varint() {
  uint64_t value = 0;
  for (int i = 0; i < kVarintBytesMax && ok_; ++i) {
    uint8_t byte = u8();
    bool overflows = i == kVarintBytesMax - 1 && byte > 1;
    bool longer_than_needed = i > 0 && byte == 0;
    if (!ok_ || overflows || longer_than_needed) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) return value;
  }
  fail();
  return 0;
}

std::string ByteReader::string(size_t bytes_max) {
  uint64_t size = varint();
  if (size > bytes_max) fail();
  return ok_ ? std::string(raw(size)) : std::string();
}

SiteId ByteReader::site_id() {
  SiteId id{};
  std::string_view bytes = raw(id.size());
  if (ok_) std::copy(bytes.begin(), bytes.end(), id.begin());
  return id;
}

Origin ByteReader::origin() {
  Origin read;
  read.site = site_id();
  read.epoch = u64();
  return read;
}

size_t ByteReader::count(size_t item_bytes_min) {
  uint64_t items = varint();
  if (items > left_.size() / item_bytes_min) fail();
  return ok_ ? static_cast<size_t>(items) : 0;
}

VersionVector ByteReader::vector() {
  VersionVector read;
  size_t entries = count(kVectorEntryBytes);
  std::optional<Origin> last;
  for (size_t i = 0; i < entries && ok_; ++i) {
    Origin entry_origin = origin();
    Hlc hlc = u64();
    // Strictly ascending and never zero: one vector has one form, and raising appends at the end.
    if (hlc == 0 || (last && *last >= entry_origin)) fail();
    if (ok_) read.raise(entry_origin, hlc);
    last = entry_origin;
  }
  return read;
}

}  // namespace outrigger::link
