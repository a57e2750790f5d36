// IEEE 754-2008 decimal128 in BSON's binary-integer form: sign, a coefficient of up to 34 digits
// and a power of ten from -6176 to 6111. GCC's _Decimal128 is not there for clang and MongoDB's
// numbers go through Intel's library, so this is what the product needs of it, written out: unpack,
// pack, add (rounding half to even), order, text, and the way to and from other numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace outrigger::bson {

__extension__ using uint128 = unsigned __int128;

struct Decimal128 {
  enum class Kind : uint8_t { kFinite, kInfinity, kNan };

  static constexpr int kDigitsMax = 34;
  static constexpr int kExponentMin = -6176;
  static constexpr int kExponentMax = 6111;

  Kind kind = Kind::kFinite;
  bool negative = false;
  uint128 coefficient = 0;  // below 10^34
  int exponent = 0;

  // 16 bytes as in BSON (asserted); non-canonical coefficients count as zero, as the standard says.
  [[nodiscard]] static Decimal128 from_bytes(std::string_view bytes);
  [[nodiscard]] static Decimal128 from_int64(int64_t v);
  // Rounded to `digits` significant ones (at most 34), half to even. With 15 MongoDB mixes doubles
  // into decimal arithmetic, and keeps all 15: 1.0 becomes 1.00000000000000.
  [[nodiscard]] static Decimal128 from_double(double v, int digits);

  [[nodiscard]] std::string to_bytes() const;
  // "1.00", "1E+2", "-0", "NaN", "Infinity": the text form of MongoDB.
  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] double to_double() const;  // nearest
  [[nodiscard]] bool is_zero() const { return kind == Kind::kFinite && coefficient == 0; }
  // The same value without trailing zeros (zero: coefficient and exponent 0, positive).
  [[nodiscard]] Decimal128 reduced() const;
};

[[nodiscard]] Decimal128 add(const Decimal128& a, const Decimal128& b);

// -1, 0, 1; NaN is smallest and equal to itself, -0 equals 0.
[[nodiscard]] int compare(const Decimal128& a, const Decimal128& b);
// The same, of the double's exact value: 0.1 is more than NumberDecimal("0.1"), as in MongoDB.
[[nodiscard]] int compare(double a, const Decimal128& b);

// The value as an int64 when it is exactly one.
[[nodiscard]] std::optional<int64_t> integer_of(const Decimal128& v);
[[nodiscard]] std::optional<int64_t> integer_of(double v);

}  // namespace outrigger::bson
