// Writing and reading the bytes of link messages. One reader with one bounds check, so that a
// forgotten check cannot be written: after any failure every further read gives zeros and `ok()`
// stays false; callers check once, at the end, before they believe anything.
//
//   varint  = unsigned LEB128, at most 10 bytes, shortest form
//   u64     = 8 bytes, little-endian
//   string  = varint length, bytes
//   vector  = varint count, count x (site id:16 bytes, epoch:u64, stamp:u64), by ascending origin
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "replication/causality/version_vector.h"

namespace outrigger::link {

class ByteWriter {
 public:
  void u8(uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void u32(uint32_t value);
  void u64(uint64_t value);
  void varint(uint64_t value);
  void raw(std::string_view bytes) { bytes_.append(bytes); }
  void string(std::string_view text);
  void site_id(const SiteId& id);
  void origin(const Origin& origin);
  void vector(const VersionVector& vector);
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Borrows the bytes; views it returns live as long as they do.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : left_(bytes) {}

  uint8_t u8();
  uint32_t u32();
  uint64_t u64();
  uint64_t varint();
  std::string_view raw(size_t size);
  std::string_view rest() { return raw(left_.size()); }
  std::string string(size_t bytes_max);
  SiteId site_id();
  Origin origin();
  VersionVector vector();
  // A count of items that take at least `item_bytes_min` each: fails when they cannot all be there,
  // so that nothing is ever reserved for items that were only claimed.
  size_t count(size_t item_bytes_min);

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return left_.empty(); }
  void fail() {
    ok_ = false;
    left_ = {};
  }

 private:
  std::string_view left_;
  bool ok_ = true;
};

}  // namespace outrigger::link
