// How BSON values lie in bytes: fixed-width loads and the length of one value, with every bound
// checked. The iterator and the validator share it, so they cannot disagree about a length.
#pragma once

#include <bit>
#include <cstring>

#include "replication/bson/bson.h"

namespace outrigger::bson::internal {

static_assert(std::endian::native == std::endian::little, "BSON is loaded by memcpy");

inline constexpr size_t kMalformed = static_cast<size_t>(-1);
inline constexpr size_t kDocumentBytesMin = 5;

template <typename T>
inline T load(const char* at) {
  T v;
  std::memcpy(&v, at, sizeof v);
  return v;
}

template <typename T>
inline void store(std::string& out, T v) {
  char raw[sizeof v];
  std::memcpy(raw, &v, sizeof v);
  out.append(raw, sizeof raw);
}

// Bytes in front of the first NUL of [at, end), or kMalformed. Names are short: eight bytes at a
// time without a call beats memchr.
inline size_t cstring_length(const char* at, const char* end) {
  const char* p = at;
  while (end - p >= 8) {
    const auto word = load<uint64_t>(p);
    const uint64_t zeros = (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;
    if (zeros != 0) return static_cast<size_t>(p - at) + (std::countr_zero(zeros) >> 3);
    p += 8;
  }
  for (; p != end; ++p) {
    if (*p == 0) return static_cast<size_t>(p - at);
  }
  return kMalformed;
}

// Length of values with a fixed one; kVariable, or kUnknown for bytes that are no type.
inline constexpr uint8_t kVariable = 0xfe;
inline constexpr uint8_t kUnknown = 0xff;
struct FixedLengths {
  uint8_t of[256];
  constexpr FixedLengths() : of() {
    for (auto& length : of) length = kUnknown;
    for (const int type : {0x02, 0x03, 0x04, 0x05, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f}) {
      of[type] = kVariable;
    }
    for (const int type : {0x06, 0x0a, 0x7f, 0xff}) of[type] = 0;
    for (const int type : {0x01, 0x09, 0x11, 0x12}) of[type] = 8;
    of[0x07] = 12;
    of[0x08] = 1;
    of[0x10] = 4;
    of[0x13] = 16;
  }
};
inline constexpr FixedLengths kFixedLengths;

// Length of a value without a fixed one, at the front of [at, end); kMalformed when it does not fit
// or a terminator is missing. Looks at a container's length and last byte only.
size_t variable_length(Type type, const char* at, const char* end);

inline size_t value_length(Type type, const char* at, const char* end) {
  if (type == Type::kString && end - at >= 5) {  // the most frequent one, without a call
    const auto n = load<int32_t>(at);
    if (n < 1 || n > end - at - 4 || at[3 + n] != 0) return kMalformed;
    return 4 + static_cast<size_t>(n);
  }
  const uint8_t fixed = kFixedLengths.of[static_cast<uint8_t>(type)];
  if (fixed < kVariable) return static_cast<size_t>(end - at) >= fixed ? fixed : kMalformed;
  return fixed == kVariable ? variable_length(type, at, end) : kMalformed;
}

// A string value's text and what follows it; `at` is a checked kString, kCode, kSymbol, kDbPointer.
inline std::string_view string_at(const char* at) {
  return {at + 4, static_cast<size_t>(load<int32_t>(at)) - 1};
}

// The parts of a checked kCodeWithScope.
struct CodeWithScope {
  std::string_view code;
  Document scope;
};
CodeWithScope code_with_scope(Bytes value);

// The parts of a checked kRegex.
struct Regex {
  std::string_view pattern;
  std::string_view options;
};
Regex regex(Bytes value);

}  // namespace outrigger::bson::internal
