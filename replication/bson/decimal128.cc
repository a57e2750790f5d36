#include "replication/bson/decimal128.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "config/result.h"
#include "replication/bson/layout.h"

namespace outrigger::bson {
namespace {

constexpr int kBias = 6176;

constexpr uint128 power_of_ten(int n) {
  uint128 p = 1;
  while (n-- > 0) p *= 10;
  return p;
}
constexpr uint128 kCoefficientEnd = power_of_ten(Decimal128::kDigitsMax);

int digits_of(uint128 v) {
  int n = 0;
  for (; v != 0; v /= 10) ++n;
  return n;
}

std::string digit_text(uint128 v) {
  std::string text;
  do {
    text.push_back(static_cast<char>('0' + static_cast<int>(v % 10)));
    v /= 10;
  } while (v != 0);
  std::reverse(text.begin(), text.end());
  return text;
}

Decimal128 special(Decimal128::Kind kind, bool negative) {
  Decimal128 v;
  v.kind = kind;
  v.negative = negative;
  return v;
}

// An exact sum of two aligned coefficients, lowest digit first. 34 digits of the larger operand, 36
// of room below and one of carry.
constexpr int kSumDigits = 72;
using Digits = std::array<int8_t, kSumDigits>;

Digits spread(uint128 coefficient, int shift) {
  Digits digits{};
  for (int i = shift; coefficient != 0; ++i, coefficient /= 10) {
    digits[static_cast<size_t>(i)] = static_cast<int8_t>(coefficient % 10);
  }
  return digits;
}

// a + sign * b, which must not be negative.
Digits combine(const Digits& a, const Digits& b, int sign) {
  Digits sum{};
  int carry = 0;
  for (size_t i = 0; i < sum.size(); ++i) {
    int digit = a[i] + sign * b[i] + carry;
    carry = digit > 9 ? 1 : digit < 0 ? -1 : 0;
    sum[i] = static_cast<int8_t>(digit - 10 * carry);
  }
  return sum;
}

// The digits as a coefficient of at most 34, half to even; raises `exponent` by what was cut.
uint128 round_digits(const Digits& digits, int& exponent) {
  int count = kSumDigits;
  while (count > 0 && digits[static_cast<size_t>(count - 1)] == 0) --count;
  const int cut = std::max(0, count - Decimal128::kDigitsMax);
  uint128 coefficient = 0;
  for (int i = count - 1; i >= cut; --i) {
    coefficient = coefficient * 10 + static_cast<uint128>(digits[static_cast<size_t>(i)]);
  }
  exponent += cut;
  if (cut == 0) return coefficient;
  const int half = digits[static_cast<size_t>(cut - 1)];
  const bool sticky = std::any_of(digits.begin(), digits.begin() + cut - 1,
                                  [](int8_t digit) { return digit != 0; });
  if (half > 5 || (half == 5 && (sticky || coefficient % 2 == 1))) ++coefficient;
  if (coefficient == kCoefficientEnd) {
    coefficient /= 10;
    ++exponent;
  }
  return coefficient;
}

// Finite with an exponent that may be too high: shift it into the coefficient, or overflow.
Decimal128 packed_high(Decimal128 v) {
  if (v.coefficient == 0) v.exponent = std::min(v.exponent, Decimal128::kExponentMax);
  while (v.exponent > Decimal128::kExponentMax && v.coefficient < kCoefficientEnd / 10) {
    v.coefficient *= 10;
    --v.exponent;
  }
  if (v.exponent > Decimal128::kExponentMax) {
    return special(Decimal128::Kind::kInfinity, v.negative);
  }
  return v;
}

// Widens the coefficient to 34 digits, at most until the exponent is `exponent_min`.
void widen(Decimal128& v, int exponent_min) {
  while (v.coefficient != 0 && v.exponent > exponent_min && v.coefficient < kCoefficientEnd / 10) {
    v.coefficient *= 10;
    --v.exponent;
  }
}

int compare_magnitude(Decimal128 a, Decimal128 b) {
  if (a.coefficient == 0 || b.coefficient == 0) {
    return (a.coefficient != 0 ? 1 : 0) - (b.coefficient != 0 ? 1 : 0);
  }
  constexpr int kAnyExponent = std::numeric_limits<int>::min();
  widen(a, kAnyExponent);
  widen(b, kAnyExponent);
  if (a.exponent != b.exponent) return a.exponent < b.exponent ? -1 : 1;
  if (a.coefficient != b.coefficient) return a.coefficient < b.coefficient ? -1 : 1;
  return 0;
}

Decimal128 add_finite(Decimal128 high, Decimal128 low) {
  if (high.exponent < low.exponent) std::swap(high, low);
  Decimal128 sum;
  sum.exponent = low.exponent;
  widen(high, low.exponent);
  int shift = high.coefficient == 0 ? 0 : high.exponent - low.exponent;
  // Further apart than 36 digits the low one is less than a hundredth of the last place: only that
  // it is there matters to the rounding.
  constexpr int kShiftMax = 36;
  if (shift > kShiftMax) {
    low.coefficient = low.coefficient == 0 ? 0 : 1;
    sum.exponent = high.exponent - kShiftMax;
    shift = kShiftMax;
  }
  const Digits a = spread(high.coefficient, shift);
  const Digits b = spread(low.coefficient, 0);
  const bool a_larger = !std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
  if (high.negative == low.negative) {
    sum.coefficient = round_digits(combine(a, b, 1), sum.exponent);
    sum.negative = high.negative;
  } else {
    sum.coefficient = round_digits(a_larger ? combine(a, b, -1) : combine(b, a, -1), sum.exponent);
    sum.negative = sum.coefficient != 0 && (a_larger ? high.negative : low.negative);
  }
  return packed_high(sum);
}

}  // namespace

Decimal128 Decimal128::from_bytes(std::string_view bytes) {
  OUTRIGGER_ASSERT(bytes.size() == 16);
  const auto low = internal::load<uint64_t>(bytes.data());
  const auto high = internal::load<uint64_t>(bytes.data() + 8);
  const bool negative = (high >> 63) != 0;
  const uint64_t combination = (high >> 58) & 0x1f;
  if (combination == 0x1e) return special(Kind::kInfinity, negative);
  if (combination == 0x1f) return special(Kind::kNan, false);
  Decimal128 v;
  v.negative = negative;
  if ((combination >> 3) == 3) {  // coefficients of 2^113 and more: out of range, hence zero
    v.exponent = static_cast<int>((high >> 47) & 0x3fff) - kBias;
    return v;
  }
  v.exponent = static_cast<int>((high >> 49) & 0x3fff) - kBias;
  v.coefficient = (static_cast<uint128>(high & 0x1ffffffffffffu) << 64) | low;
  if (v.coefficient >= kCoefficientEnd) v.coefficient = 0;
  return v;
}

Decimal128 Decimal128::from_int64(int64_t v) {
  Decimal128 made;
  made.negative = v < 0;
  made.coefficient = v < 0 ? -static_cast<uint128>(v) : static_cast<uint128>(v);
  return made;
}

Decimal128 Decimal128::from_double(double v, int digits) {
  if (std::isnan(v)) return special(Kind::kNan, false);
  if (std::isinf(v)) return special(Kind::kInfinity, v < 0);
  Decimal128 made;
  made.negative = std::signbit(v);
  if (v == 0) return made;
  char text[64];  // "d.ddd...e-324", correctly rounded by the C library
  std::snprintf(text, sizeof text, "%.*e", digits - 1, std::fabs(v));
  const char* at = text;
  for (; *at != 'e'; ++at) {
    if (*at >= '0' && *at <= '9') {
      made.coefficient = made.coefficient * 10 + static_cast<uint128>(*at - '0');
    }
  }
  made.exponent = std::atoi(at + 1) - (digits - 1);
  return made;
}

std::string Decimal128::to_bytes() const {
  uint64_t high = negative ? 1ull << 63 : 0;
  uint64_t low = 0;
  if (kind == Kind::kNan) {
    high = 0x7c00000000000000u;
  } else if (kind == Kind::kInfinity) {
    high |= 0x7800000000000000u;
  } else {
    OUTRIGGER_ASSERT(exponent >= kExponentMin && exponent <= kExponentMax);
    OUTRIGGER_ASSERT(coefficient < kCoefficientEnd);
    high |= static_cast<uint64_t>(exponent + kBias) << 49;
    high |= static_cast<uint64_t>(coefficient >> 64);
    low = static_cast<uint64_t>(coefficient);
  }
  std::string bytes;
  internal::store(bytes, low);
  internal::store(bytes, high);
  return bytes;
}

std::string Decimal128::to_text() const {
  if (kind == Kind::kNan) return "NaN";
  std::string text = negative ? "-" : "";
  if (kind == Kind::kInfinity) return text + "Infinity";
  const std::string digits = digit_text(coefficient);
  const int count = static_cast<int>(digits.size());
  const int scientific = exponent + count - 1;
  if (exponent > 0 || scientific < -6) {
    text += digits.substr(0, 1);
    if (count > 1) text += "." + digits.substr(1);
    return text + (scientific < 0 ? "E-" : "E+") + std::to_string(std::abs(scientific));
  }
  if (exponent == 0) return text + digits;
  const int before = count + exponent;  // digits in front of the point
  if (before > 0) {
    const auto split = static_cast<size_t>(before);
    return text + digits.substr(0, split) + "." + digits.substr(split);
  }
  return text + "0." + std::string(static_cast<size_t>(-before), '0') + digits;
}

double Decimal128::to_double() const {
  if (kind == Kind::kNan) return std::numeric_limits<double>::quiet_NaN();
  double v = 0;
  if (kind == Kind::kInfinity) {
    v = std::numeric_limits<double>::infinity();
  } else if (coefficient != 0) {
    const std::string text = digit_text(coefficient) + "e" + std::to_string(exponent);
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), v);
    if (parsed.ec == std::errc::result_out_of_range) {
      v = exponent > 0 ? std::numeric_limits<double>::infinity() : 0;
    }
  }
  return negative ? -v : v;
}

Decimal128 Decimal128::reduced() const {
  Decimal128 v = *this;
  if (kind != Kind::kFinite) return v;
  if (coefficient == 0) return {};
  while (v.coefficient % 10 == 0) {
    v.coefficient /= 10;
    ++v.exponent;
  }
  return v;
}

Decimal128 add(const Decimal128& a, const Decimal128& b) {
  using Kind = Decimal128::Kind;
  if (a.kind == Kind::kNan || b.kind == Kind::kNan) return special(Kind::kNan, false);
  if (a.kind == Kind::kInfinity && b.kind == Kind::kInfinity && a.negative != b.negative) {
    return special(Kind::kNan, false);
  }
  if (a.kind == Kind::kInfinity) return a;
  if (b.kind == Kind::kInfinity) return b;
  return add_finite(a, b);
}

int compare(const Decimal128& a, const Decimal128& b) {
  using Kind = Decimal128::Kind;
  if (a.kind == Kind::kNan || b.kind == Kind::kNan) {
    return (a.kind == Kind::kNan ? 0 : 1) - (b.kind == Kind::kNan ? 0 : 1);
  }
  const auto sign = [](const Decimal128& v) { return v.is_zero() ? 0 : v.negative ? -1 : 1; };
  if (sign(a) != sign(b)) return sign(a) < sign(b) ? -1 : 1;
  const bool a_infinite = a.kind == Kind::kInfinity;
  const bool b_infinite = b.kind == Kind::kInfinity;
  const int magnitude = a_infinite || b_infinite ? (a_infinite ? 1 : 0) - (b_infinite ? 1 : 0)
                                                 : compare_magnitude(a, b);
  return sign(a) < 0 ? -magnitude : magnitude;
}

int compare(double a, const Decimal128& b) {
  const Decimal128 rounded = Decimal128::from_double(a, Decimal128::kDigitsMax);
  // Rounding keeps the order towards everything that has 34 digits itself, but for equality.
  if (const int order = compare(rounded, b); order != 0) return order;
  if (rounded.kind != Decimal128::Kind::kFinite || rounded.coefficient == 0) return 0;
  // How far the double is from its own rounding. No double has more significant digits than 767.
  constexpr int kDoubleDigits = 767;
  char text[kDoubleDigits + 16];
  std::snprintf(text, sizeof text, "%.*e", kDoubleDigits - 1, std::fabs(a));
  Decimal128 cut;
  const char* at = text;
  for (int digits = 0; digits < Decimal128::kDigitsMax; ++at) {
    if (*at < '0' || *at > '9') continue;
    cut.coefficient = cut.coefficient * 10 + static_cast<uint128>(*at - '0');
    ++digits;
  }
  // Cut and rounded have the same exponent, or rounding has carried into a new digit: then it went
  // up as well, and the coefficients differ.
  const bool rounded_up = cut.coefficient != rounded.coefficient;
  const bool exact = !rounded_up && std::strspn(at, "0") == std::strcspn(at, "e");
  const int magnitude = exact ? 0 : rounded_up ? -1 : 1;
  return std::signbit(a) ? -magnitude : magnitude;
}

std::optional<int64_t> integer_of(const Decimal128& v) {
  if (v.kind != Decimal128::Kind::kFinite) return std::nullopt;
  Decimal128 r = v.reduced();
  if (r.exponent < 0 || r.exponent + digits_of(r.coefficient) > 19) return std::nullopt;
  const uint128 magnitude = r.coefficient * power_of_ten(r.exponent);
  const uint128 end = (static_cast<uint128>(1) << 63) + (r.negative ? 1 : 0);
  if (magnitude >= end) return std::nullopt;
  const auto bits = static_cast<uint64_t>(magnitude);
  return static_cast<int64_t>(r.negative ? 0 - bits : bits);
}

std::optional<int64_t> integer_of(double v) {
  if (!(v >= -0x1p63 && v < 0x1p63)) return std::nullopt;
  const auto whole = static_cast<int64_t>(v);
  if (static_cast<double>(whole) != v) return std::nullopt;
  return whole;
}

}  // namespace outrigger::bson
