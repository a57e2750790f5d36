#include "config/printable.h"

#include <algorithm>
#include <cstdint>

namespace outrigger {
namespace {

// The length of the UTF-8 character at the front of `text` and what it is; 0: there is none.
size_t next_character(std::string_view text, uint32_t& character) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  const size_t length = first < 0x80   ? 1
                        : first < 0xc2 ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (length == 0 || length > text.size()) return 0;
  character = length == 1 ? first : first & (0xffU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    character = character << 6 | (byte(i) & 0x3fU);
  }
  const bool is_overlong = (length == 3 && character < 0x800) ||
                           (length == 4 && (character < 0x10000 || character > 0x10ffff));
  const bool is_surrogate = character >= 0xd800 && character < 0xe000;
  return is_overlong || is_surrogate ? 0 : length;
}

// What a terminal obeys, or what makes a text look like another.
bool is_unprintable(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0x061c ||
         c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

}  // namespace

std::string printable(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    uint32_t character = 0;
    const size_t length = next_character(text, character);
    if (length != 0 && !is_unprintable(character)) {
      out.append(text.substr(0, length));
    } else if (length == 1 && (character == '\n' || character == '\t' || character == '\r')) {
      out += character == '\n' ? "\\n" : character == '\t' ? "\\t" : "\\r";
    } else if (length < 2) {
      const auto byte = static_cast<uint8_t>(text.front());
      out.append("\\x").append({kHex[byte >> 4], kHex[byte & 15]});
    } else {
      out += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4) out += kHex[character >> shift & 15];
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

}  // namespace outrigger
