// How all our formats are written and read, byte by byte; what they are made of is named as in
// FORMATS.md. The problem: bytes come from peers and disks that may be broken, and a check that is
// forgotten once reads outside or reserves what was only claimed. The idea: one reader that has
// every check in it. Its first error sticks, names the format and the byte, and from then on it
// reads zeros, so that callers check once, at the end, before they believe anything. One writer
// mirrors it.
//
// Not virtual, and nothing is allocated but what is returned: records go through it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/bounds.h"
#include "config/result.h"
#include "replication/bson/bson.h"
#include "replication/causality/stamp.h"
#include "replication/causality/version_vector.h"

namespace outrigger {

// Small magnitudes of either sign become small numbers: 0, -1, 1, -2 -> 0, 1, 2, 3.
[[nodiscard]] constexpr uint64_t zigzag(int64_t n) {
  return (static_cast<uint64_t>(n) << 1) ^ static_cast<uint64_t>(n >> 63);
}
[[nodiscard]] constexpr int64_t unzigzag(uint64_t n) {
  return static_cast<int64_t>((n >> 1) ^ (~(n & 1) + 1));
}

// Bytes of a value whose type alone fixes its length; -1: the length must be told.
[[nodiscard]] int fixed_value_bytes(bson::Type type);

class ByteWriter {
 public:
  void u8(uint8_t n) { out_.push_back(static_cast<char>(n)); }
  void u32(uint32_t n) { little(n); }
  void u64(uint64_t n) { little(n); }
  void u32_be(uint32_t n) { big(n); }
  void u64_be(uint64_t n) { big(n); }
  void varint(uint64_t n) {
    if (n >= 0x80) return long_varint(n);
    u8(static_cast<uint8_t>(n));
  }
  void raw(std::string_view bytes) { out_.append(bytes); }
  void bytes(std::string_view bytes) {
    varint(bytes.size());
    raw(bytes);
  }
  void bytes32(std::string_view bytes) {
    u32(static_cast<uint32_t>(bytes.size()));
    raw(bytes);
  }
  void value(const bson::OwnedValue& value);
  void counted(const bson::OwnedValue& value);
  void value32(const bson::OwnedValue& value);
  void site(const SiteId& site) {
    out_.append(reinterpret_cast<const char*>(site.data()), site.size());
  }
  void origin(const Origin& origin);
  void origin_be(const Origin& origin);
  void dot_be(const Dot& dot);
  void vector(const VersionVector& vector);
  void bounds(const Bounds& bounds);
  // The name of an app, behind the one that was written before it.
  void app(std::string_view name, std::string_view before);

  [[nodiscard]] size_t size() const { return out_.size(); }
  [[nodiscard]] std::string_view view() const { return out_; }
  [[nodiscard]] std::string take() { return std::move(out_); }
  void reserve(size_t bytes) { out_.reserve(bytes); }

 private:
  template <typename Number>
  void little(Number n) {
    char raw[sizeof n];
    for (size_t i = 0; i < sizeof n; ++i) raw[i] = static_cast<char>(n >> (8 * i));
    out_.append(raw, sizeof raw);
  }
  template <typename Number>
  void big(Number n) {
    char raw[sizeof n];
    for (size_t i = 0; i < sizeof n; ++i) raw[sizeof n - 1 - i] = static_cast<char>(n >> (8 * i));
    out_.append(raw, sizeof raw);
  }
  void long_varint(uint64_t n);

  std::string out_;
};

// One that mongod takes, or none.
[[nodiscard]] bool is_app_name(std::string_view name);

// Borrows its input; so do the views it returns.
class ByteReader {
 public:
  // `what` names the format in errors; `decoded_bytes_max` bounds what spend() may add up to.
  ByteReader(std::string_view bytes, const char* what, size_t decoded_bytes_max = SIZE_MAX)
      : all_(bytes), what_(what), budget_(decoded_bytes_max) {}

  // Numbers in more bytes than they need are refused from here on.
  void only_shortest() { only_shortest_ = true; }
  // Documents are not walked through: they are known to be well formed, or only passed on to who
  // checks them.
  void trust_documents() { trusts_documents_ = true; }

  uint8_t u8() {
    if (left() < 1) {
      fail("cut short");
      return 0;
    }
    return static_cast<uint8_t>(all_[at_++]);
  }
  uint32_t u32() { return little<uint32_t>(); }
  uint64_t u64() { return little<uint64_t>(); }
  uint32_t u32_be() { return big<uint32_t>(); }
  uint64_t u64_be() { return big<uint64_t>(); }
  uint64_t varint() {
    if (left() > 0 && static_cast<uint8_t>(all_[at_]) < 0x80) {
      return static_cast<uint8_t>(all_[at_++]);
    }
    return long_varint();
  }
  std::string_view raw(size_t length) {
    if (length > left()) {
      fail("cut short");
      return {};
    }
    const std::string_view bytes = all_.substr(at_, length);
    at_ += length;
    return bytes;
  }
  // At most `most` of them.
  std::string_view bytes(size_t most = SIZE_MAX) { return counted_bytes(varint(), most); }
  std::string_view bytes32() { return counted_bytes(u32(), SIZE_MAX); }
  // A number of things of at least `bytes_each` encoded bytes to follow: refused when more than
  // `most` or when the input cannot hold them, so that nothing is ever reserved for what is only
  // claimed.
  size_t count(size_t most, size_t bytes_each) { return checked_count(varint(), most, bytes_each); }
  size_t count32(size_t bytes_each) { return checked_count(u32(), SIZE_MAX, bytes_each); }
  // An index below `size`.
  size_t index(size_t size);
  // Checked to be well-formed BSON of its type.
  bson::OwnedValue value();
  // Checked likewise, and to be no deeper than a document around it may be.
  bson::OwnedValue counted();
  // Not checked: of what this site itself wrote.
  bson::OwnedValue value32();
  SiteId site();
  Origin origin();
  Origin origin_be();
  Dot dot_be();
  // One vector has one form: ascending, no stamp of 0.
  VersionVector vector();
  Bounds bounds();  // not checked to be any
  std::string app(std::string_view before);
  void end() {  // nothing may follow
    if (ok() && at_ != all_.size()) fail("bytes left over");
  }

  [[nodiscard]] std::string_view all() const { return all_; }
  [[nodiscard]] std::string_view read() const { return all_.substr(0, at_); }
  [[nodiscard]] std::string_view rest() const { return all_.substr(at_); }
  [[nodiscard]] size_t left() const { return all_.size() - at_; }

  // Accounts for memory the result will take; fails above the bound.
  void spend(size_t bytes) {
    if (bytes > budget_) return fail("would take too much memory");
    budget_ -= bytes;
  }
  // `reason`: a literal.
  void fail(const char* reason);
  [[nodiscard]] bool ok() const { return reason_ == nullptr; }
  // kCorrupt: "decode record: cut short at byte 7 of 9".
  [[nodiscard]] tl::unexpected<Error> error(std::string hint = {}) const;

 private:
  template <typename Number>
  Number little() {
    const std::string_view bytes = raw(sizeof(Number));
    Number n = 0;
    for (size_t i = bytes.size(); i > 0; --i) {
      n = static_cast<Number>(n << 8 | static_cast<uint8_t>(bytes[i - 1]));
    }
    return n;
  }
  template <typename Number>
  Number big() {
    Number n = 0;
    for (const char byte : raw(sizeof(Number))) {
      n = static_cast<Number>(n << 8 | static_cast<uint8_t>(byte));
    }
    return n;
  }
  uint64_t long_varint();
  std::string_view counted_bytes(uint64_t length, size_t most);
  size_t checked_count(uint64_t n, size_t most, size_t bytes_each);
  void check_value(bson::Type type, std::string_view bytes);

  std::string_view all_;
  const char* what_;
  size_t budget_;
  size_t at_ = 0;
  size_t failed_at_ = 0;
  const char* reason_ = nullptr;
  bool trusts_documents_ = false;
  bool only_shortest_ = false;
};

}  // namespace outrigger
