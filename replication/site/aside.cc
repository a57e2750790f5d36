#include "replication/site/aside.h"

#include <cstring>

namespace outrigger {
namespace {

constexpr size_t kDotBytes = 32;
constexpr size_t kHeadBytes = 16;

std::string big_endian(uint64_t number, size_t bytes) {
  std::string out;
  for (size_t i = bytes; i > 0; --i) out += static_cast<char>(number >> (8 * (i - 1)) & 0xff);
  return out;
}

uint64_t number_of(std::string_view bytes) {
  uint64_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

}  // namespace

std::string encode_dot(const Dot& dot) {
  std::string out(dot.origin.site.begin(), dot.origin.site.end());
  return out + big_endian(dot.origin.epoch, 8) + big_endian(dot.hlc, 8);
}

Dot decode_dot(std::string_view bytes) {
  Dot dot;
  if (bytes.size() != kDotBytes) return dot;
  std::memcpy(dot.origin.site.data(), bytes.data(), dot.origin.site.size());
  dot.origin.epoch = number_of(bytes.substr(16, 8));
  dot.hlc = number_of(bytes.substr(24, 8));
  return dot;
}

std::string encode_aside(const Aside& aside) {
  std::string out = big_endian(static_cast<uint64_t>(aside.since_ms), 8) +
                    big_endian(static_cast<uint32_t>(aside.code), 4) +
                    big_endian(aside.met.size(), 4);
  for (const auto& [a, b] : aside.met) out += encode_dot(a) + encode_dot(b);
  return out + aside.ledger_key;
}

Result<Aside> decode_aside(std::string_view bytes) {
  const auto corrupt = [] {
    return fail(ErrorCode::kCorrupt, "read what was set aside", "", "it is cut short");
  };
  if (bytes.size() < kHeadBytes) return corrupt();
  Aside aside;
  aside.since_ms = static_cast<int64_t>(number_of(bytes.substr(0, 8)));
  aside.code = static_cast<int32_t>(number_of(bytes.substr(8, 4)));
  const uint64_t pairs = number_of(bytes.substr(12, 4));
  bytes.remove_prefix(kHeadBytes);
  if (bytes.size() / (2 * kDotBytes) < pairs) return corrupt();
  for (uint64_t i = 0; i < pairs; ++i) {
    aside.met.emplace(decode_dot(bytes.substr(0, kDotBytes)),
                      decode_dot(bytes.substr(kDotBytes, kDotBytes)));
    bytes.remove_prefix(2 * kDotBytes);
  }
  aside.ledger_key = bytes;
  return aside;
}

}  // namespace outrigger
