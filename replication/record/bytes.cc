#include "replication/record/bytes.h"

#include <bit>
#include <cstring>

#include "config/limits.h"

namespace outrigger {
namespace {

constexpr size_t kVectorEntryBytes = 32;

// As it stands in a document, {"": value}; null: nothing.
const char* wrong_in_document(bson::Type type, std::string_view bytes) {
  ByteWriter around;
  around.reserve(4 + 2 + bytes.size() + 1);
  around.u32(static_cast<uint32_t>(4 + 2 + bytes.size() + 1));
  around.u8(static_cast<uint8_t>(type));
  around.u8(0);
  around.raw(bytes);
  around.u8(0);
  const std::string document = around.take();
  if (!bson::validate(document)) return "value not well formed";
  // A value shorter than told would leave room for a second element of its own.
  const auto first = bson::Document(document).first();
  const bool is_whole = first && first->value.bytes.size() == bytes.size();
  return is_whole ? nullptr : "value shorter than its length";
}

bool is_bool(std::string_view bytes) { return static_cast<uint8_t>(bytes[0]) <= 1; }

}  // namespace

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

void ByteWriter::long_varint(uint64_t n) {
  for (; n >= 0x80; n >>= 7) u8(static_cast<uint8_t>(n | 0x80));
  u8(static_cast<uint8_t>(n));
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

void ByteWriter::counted(const bson::OwnedValue& value) {
  u8(static_cast<uint8_t>(value.type));
  bytes(value.bytes);
}

void ByteWriter::value32(const bson::OwnedValue& value) {
  u8(static_cast<uint8_t>(value.type));
  bytes32(value.bytes);
}

void ByteWriter::origin(const Origin& origin) {
  site(origin.site);
  u64(origin.epoch);
}

void ByteWriter::origin_be(const Origin& origin) {
  site(origin.site);
  u64_be(origin.epoch);
}

void ByteWriter::dot_be(const Dot& dot) {
  origin_be(dot.origin);
  u64_be(dot.hlc);
}

void ByteWriter::bounds(const Bounds& bounds) {
  u64(std::bit_cast<uint64_t>(bounds.low));
  u64(std::bit_cast<uint64_t>(bounds.high));
}

void ByteWriter::vector(const VersionVector& vector) {
  varint(vector.entries().size());
  for (const auto& [each, hlc] : vector.entries()) {
    origin(each);
    u64(hlc);
  }
}

void ByteWriter::app(std::string_view name, std::string_view before) {
  if (name == before) return varint(0);
  varint(name.size() + 1);
  raw(name);
}

void ByteReader::fail(const char* reason) {
  if (reason_ != nullptr) return;
  reason_ = reason;
  failed_at_ = at_;
  at_ = all_.size();
}

tl::unexpected<Error> ByteReader::error(std::string hint) const {
  return outrigger::fail(ErrorCode::kCorrupt, "decode", what_,
                         std::string(reason_ != nullptr ? reason_ : "no error") + " at byte " +
                             std::to_string(failed_at_) + " of " + std::to_string(all_.size()),
                         std::move(hint));
}

uint64_t ByteReader::long_varint() {
  uint64_t n = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = u8();
    if (!ok()) return 0;
    if (shift == 63 && byte > 1) break;
    n |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte >= 0x80) continue;
    if (byte != 0 || !only_shortest_) return n;
    fail("number not in its shortest form");
    return 0;
  }
  fail("number over 64 bits");
  return 0;
}

bool is_app_name(std::string_view name) {
  return name.size() <= limits::kAppNameBytesMax && bson::is_utf8(name) &&
         name.find('\0') == std::string_view::npos;
}

std::string ByteReader::app(std::string_view before) {
  const uint64_t code = varint();
  const std::string_view name =
      code == 0 ? before : counted_bytes(code - 1, limits::kAppNameBytesMax);
  if (!is_app_name(name)) fail("not the name of an app");
  spend(name.size());
  return ok() ? std::string(name) : std::string();
}

std::string_view ByteReader::counted_bytes(uint64_t length, size_t most) {
  if (length > most) {
    fail("longer than the limit allows");
    return {};
  }
  if (length > left()) {
    fail("length beyond the end");
    return {};
  }
  return raw(static_cast<size_t>(length));
}

size_t ByteReader::checked_count(uint64_t n, size_t most, size_t bytes_each) {
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
    if (!is_bool(bytes)) fail("boolean neither 0 nor 1");
    return;
  }
  if (fixed_value_bytes(type) >= 0) return;
  if (bytes.size() > bson::kDocumentBytesMax) return fail("value over 16 MB");
  if (type == bson::Type::kDocument || type == bson::Type::kArray) {
    if (!trusts_documents_ && !bson::validate(bytes)) fail("document not well formed");
    return;
  }
  if (const char* wrong = wrong_in_document(type, bytes)) fail(wrong);
}

bson::OwnedValue ByteReader::counted() {
  constexpr size_t kAroundBytes = 7;  // {"": value}
  const auto type = static_cast<bson::Type>(u8());
  const std::string_view content = bytes();
  if (!ok()) return {};
  const int fixed = fixed_value_bytes(type);
  bool legal = false;
  if (fixed >= 0) {
    legal = content.size() == static_cast<size_t>(fixed) &&
            (type != bson::Type::kBool || is_bool(content));
  } else {
    legal = content.size() + kAroundBytes <= bson::kDocumentBytesMax &&
            wrong_in_document(type, content) == nullptr;
  }
  if (legal) return bson::OwnedValue(type, std::string(content));
  fail("value not well formed");
  return {};
}

bson::OwnedValue ByteReader::value32() {
  const auto type = static_cast<bson::Type>(u8());
  return bson::OwnedValue(type, std::string(bytes32()));
}

SiteId ByteReader::site() {
  SiteId site{};
  const std::string_view bytes = raw(site.size());
  if (bytes.size() == site.size()) std::memcpy(site.data(), bytes.data(), site.size());
  return site;
}

Origin ByteReader::origin() {
  Origin origin;
  origin.site = site();
  origin.epoch = u64();
  return origin;
}

Bounds ByteReader::bounds() {
  const auto low = std::bit_cast<double>(u64());
  return {low, std::bit_cast<double>(u64())};
}

Origin ByteReader::origin_be() {
  Origin origin;
  origin.site = site();
  origin.epoch = u64_be();
  return origin;
}

Dot ByteReader::dot_be() {
  Dot dot;
  dot.origin = origin_be();
  dot.hlc = u64_be();
  return dot;
}

VersionVector ByteReader::vector() {
  VersionVector vector;
  Origin last;
  const size_t entries = count(SIZE_MAX, kVectorEntryBytes);
  for (size_t i = 0; i < entries && ok(); ++i) {
    const Origin each = origin();
    const Hlc hlc = u64();
    if (hlc == 0) fail("vector with a stamp of zero");
    if (i > 0 && last >= each) fail("vector out of order");
    if (ok()) vector.raise(each, hlc);
    last = each;
  }
  return vector;
}

}  // namespace outrigger
