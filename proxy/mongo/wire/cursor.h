// The one way to read a message: a cursor that checks every bound. A read past the end gives zero
// or nothing and marks the cursor failed, so a parser reads on and asks once.
#pragma once

#include <cstring>

#include "proxy/mongo/wire/header.h"

namespace outrigger::wire {

class Cursor {
 public:
  explicit Cursor(Bytes bytes) : rest_(bytes) {}

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] Bytes rest() const { return rest_; }

  uint8_t byte() { return fixed<uint8_t>(); }
  int32_t int32() { return fixed<int32_t>(); }
  int64_t int64() { return fixed<int64_t>(); }

  Bytes take(size_t bytes) {
    if (bytes > rest_.size()) {
      fail();
      return {};
    }
    const Bytes taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

  std::string_view cstring() {
    const size_t end = rest_.find('\0');
    if (end == Bytes::npos) {
      fail();
      return {};
    }
    const std::string_view text = take(end);
    rest_.remove_prefix(1);
    return text;
  }

  // A document by its own length; contents not judged.
  bson::Document document() {
    const auto length = bson::document_length(rest_);
    if (!length) {
      fail();
      return {};
    }
    return bson::Document(take(*length));
  }

 private:
  void fail() {
    failed_ = true;
    rest_ = {};
  }

  template <typename T>
  T fixed() {
    T v{};
    const Bytes raw = take(sizeof v);
    if (!failed_) std::memcpy(&v, raw.data(), sizeof v);
    return v;
  }

  Bytes rest_;
  bool failed_ = false;
};

inline void append_int32(std::string& out, int32_t v) {
  char raw[sizeof v];
  std::memcpy(raw, &v, sizeof v);
  out.append(raw, sizeof raw);
}

}  // namespace outrigger::wire
