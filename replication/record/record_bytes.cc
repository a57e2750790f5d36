#include "replication/record/record_bytes.h"

#include <cstring>

namespace outrigger {

int fixed_value_bytes(bson::Type type) {
  switch (type) {
    case bson::Type::kUndefined:
    case bson::Type::kNull:
    case bson::Type::kMinKey:
    case bson::Type::kMaxKey:
      return 0;
    case bson::Type::kBool:
      return 1;
    case bson::Type::kInt32:
      return 4;
    case bson::Type::kDouble:
    case bson::Type::kDate:
    case bson::Type::kTimestamp:
    case bson::Type::kInt64:
      return 8;
    case bson::Type::kObjectId:
      return 12;
    case bson::Type::kDecimal128:
      return 16;
    default:
      return -1;
  }
}

void ByteWriter::u64(uint64_t n) {
  for (int shift = 0; shift < 64; shift += 8) u8(static_cast<uint8_t>(n >> shift));
}

void ByteWriter::varint(uint64_t n) {
  while (n >= 0x80) {
    u8(static_cast<uint8_t>(n | 0x80));
    n >>= 7;
  }
  u8(static_cast<uint8_t>(n));
}

void ByteWriter::bytes(std::string_view bytes) {
  varint(bytes.size());
  raw(bytes);
}

void ByteWriter::value(const bson::OwnedValue& value) {
  u8(static_cast<uint8_t>(value.type));
  const int fixed = fixed_value_bytes(value.type);
  if (fixed < 0) {
    bytes(value.bytes);
  } else {
    OUTRIGGER_ASSERT(value.bytes.size() == static_cast<size_t>(fixed));
    raw(value.bytes);
  }
}

void ByteWriter::origin(const Origin& origin) {
  out_.append(reinterpret_cast<const char*>(origin.site.data()), origin.site.size());
  u64(origin.epoch);
}

ByteReader::ByteReader(std::string_view bytes, const char* what, size_t decoded_bytes_max)
    : all_(bytes), what_(what), budget_(decoded_bytes_max) {}

void ByteReader::fail(const char* reason) {
  if (reason_) return;
  reason_ = reason;
  failed_at_ = at_;
  at_ = all_.size();
}

tl::unexpected<Error> ByteReader::error() const {
  return outrigger::fail(ErrorCode::kCorrupt, "decode", what_,
                         std::string(reason_ ? reason_ : "no error") + " at byte " +
                             std::to_string(failed_at_) + " of " + std::to_string(all_.size()));
}

uint8_t ByteReader::u8() {
  if (left() < 1) {
    fail("cut short");
    return 0;
  }
  return static_cast<uint8_t>(all_[at_++]);
}

uint64_t ByteReader::u64() {
  const std::string_view eight = raw(8);
  uint64_t n = 0;
  for (size_t i = 0; i < eight.size(); ++i) {
    n |= static_cast<uint64_t>(static_cast<uint8_t>(eight[i])) << (8 * i);
  }
  return n;
}

uint64_t ByteReader::varint() {
  uint64_t n = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = u8();
    if (!ok()) return 0;
    if (shift == 63 && byte > 1) break;
    n |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return n;
  }
  fail("number over 64 bits");
  return 0;
}

std::string_view ByteReader::raw(size_t length) {
  if (length > left()) {
    fail("cut short");
    return {};
  }
  const std::string_view bytes = all_.substr(at_, length);
  at_ += length;
  return bytes;
}

std::string_view ByteReader::bytes() {
  const uint64_t length = varint();
  if (length > left()) {
    fail("length beyond the end");
    return {};
  }
  return raw(static_cast<size_t>(length));
}

size_t ByteReader::count(size_t most, size_t bytes_each) {
  const uint64_t n = varint();
  if (n > most) {
    fail("more than the limit allows");
    return 0;
  }
  if (n > left() / bytes_each) {
    fail("count beyond the end");
    return 0;
  }
  return static_cast<size_t>(n);
}

size_t ByteReader::index(size_t size) {
  const uint64_t n = varint();
  if (n >= size) {
    fail("index beyond its table");
    return 0;
  }
  return static_cast<size_t>(n);
}

bson::OwnedValue ByteReader::value() {
  const auto type = static_cast<bson::Type>(u8());
  const int fixed = fixed_value_bytes(type);
  const size_t start = at_;
  const std::string_view content = fixed < 0 ? bytes() : raw(static_cast<size_t>(fixed));
  if (ok()) check_value(type, content);
  spend(content.size());
  if (!ok()) {
    if (failed_at_ > start) failed_at_ = start;
    return {};
  }
  return bson::OwnedValue(type, std::string(content));
}

void ByteReader::check_value(bson::Type type, std::string_view bytes) {
  if (type == bson::Type::kBool) {
    if (static_cast<uint8_t>(bytes[0]) > 1) fail("boolean neither 0 nor 1");
    return;
  }
  if (fixed_value_bytes(type) >= 0) return;
  if (bytes.size() > bson::kDocumentBytesMax) return fail("value over 16 MB");
  if (type == bson::Type::kDocument || type == bson::Type::kArray) {
    if (!trusts_documents_ && !bson::validate(bytes)) fail("document not well formed");
    return;
  }
  // The rest by way of a document around it: {"": value}.
  const auto length = static_cast<uint32_t>(4 + 2 + bytes.size() + 1);
  ByteWriter around;
  for (int shift = 0; shift < 32; shift += 8) around.u8(static_cast<uint8_t>(length >> shift));
  around.u8(static_cast<uint8_t>(type));
  around.u8(0);
  around.raw(bytes);
  around.u8(0);
  const std::string document = around.take();
  if (!bson::validate(document)) return fail("value not well formed");
  // A value shorter than told would leave room for a second element of its own.
  const auto first = bson::Document(document).first();
  if (!first || first->value.bytes.size() != bytes.size()) fail("value shorter than its length");
}

Origin ByteReader::origin() {
  Origin origin;
  const std::string_view site = raw(origin.site.size());
  if (site.size() == origin.site.size()) std::memcpy(origin.site.data(), site.data(), site.size());
  origin.epoch = u64();
  return origin;
}

void ByteReader::end() {
  if (ok() && at_ != all_.size()) fail("bytes left over");
}

void ByteReader::spend(size_t bytes) {
  if (bytes > budget_) return fail("would take too much memory");
  budget_ -= bytes;
}

}  // namespace outrigger
