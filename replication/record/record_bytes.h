// The small change of our own formats: varints, counted bytes, typed BSON values. One reader with a
// sticky error, so that a forgotten check reads zeros, never outside; one writer that mirrors it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.h"
#include "replication/bson/bson.h"
#include "replication/causality/stamp.h"

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
  void u64(uint64_t n);  // little-endian
  void varint(uint64_t n);
  void raw(std::string_view bytes) { out_.append(bytes); }
  void bytes(std::string_view bytes);  // length, then raw
  void value(const bson::OwnedValue& value);
  void origin(const Origin& origin);

  [[nodiscard]] size_t size() const { return out_.size(); }
  [[nodiscard]] std::string_view view() const { return out_; }
  [[nodiscard]] std::string take() { return std::move(out_); }
  void reserve(size_t bytes) { out_.reserve(bytes); }

 private:
  std::string out_;
};

// Borrows its input. After the first failure every read gives zero or empty, and ok() is false.
class ByteReader {
 public:
  // `what` names the format in errors; `decoded_bytes_max` bounds what spend() may add up to.
  ByteReader(std::string_view bytes, const char* what, size_t decoded_bytes_max);

  uint8_t u8();
  uint64_t u64();
  uint64_t varint();
  std::string_view raw(size_t length);
  std::string_view bytes();
  // A number of things of at least `bytes_each` encoded bytes to follow: refused when more than
  // `most` or when the input cannot hold them.
  size_t count(size_t most, size_t bytes_each);
  // An index below `size`.
  size_t index(size_t size);
  // Checked to be well-formed BSON of its type.
  bson::OwnedValue value();
  // Documents are not walked through: they are known to be well formed, or only passed on to who
  // checks them.
  void trust_documents() { trusts_documents_ = true; }
  Origin origin();
  void end();  // nothing may follow
  [[nodiscard]] std::string_view all() const { return all_; }
  [[nodiscard]] std::string_view read() const { return all_.substr(0, at_); }
  [[nodiscard]] std::string_view rest() const { return all_.substr(at_); }

  // Accounts for memory the result will take; fails above the bound.
  void spend(size_t bytes);
  void fail(const char* reason);
  [[nodiscard]] bool ok() const { return !reason_; }
  [[nodiscard]] tl::unexpected<Error> error() const;

 private:
  [[nodiscard]] size_t left() const { return all_.size() - at_; }
  void check_value(bson::Type type, std::string_view bytes);

  std::string_view all_;
  const char* what_;
  size_t budget_;
  size_t at_ = 0;
  size_t failed_at_ = 0;
  const char* reason_ = nullptr;
  bool trusts_documents_ = false;
};

}  // namespace outrigger
