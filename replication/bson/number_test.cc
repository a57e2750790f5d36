#include "replication/bson/number.h"

#include <bson/bson.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <bit>
#include <cmath>

#include "replication/bson/decimal128.h"
#include "replication/bson/layout.h"
#include "replication/bson/random_document.h"

namespace outrigger::bson {
namespace {

OwnedValue decimal(const std::string& text) {
  bson_decimal128_t parsed;
  EXPECT_TRUE(bson_decimal128_from_string(text.c_str(), &parsed)) << text;
  std::string bytes(16, '\0');
  memcpy(bytes.data(), &parsed.low, 8);
  memcpy(bytes.data() + 8, &parsed.high, 8);
  return {Type::kDecimal128, bytes};
}

std::string libbson_text(const OwnedValue& v) {
  bson_decimal128_t parsed;
  memcpy(&parsed.low, v.bytes.data(), 8);
  memcpy(&parsed.high, v.bytes.data() + 8, 8);
  char text[BSON_DECIMAL128_STRING];
  bson_decimal128_to_string(&parsed, text);
  return text;
}

// The sum as text, with its type: "int64 3".
std::string sum(const OwnedValue& a, const OwnedValue& b) {
  const Sum made = add(a.view(), b.view());
  const char* type = made.value.type == Type::kInt32    ? "int32 "
                     : made.value.type == Type::kInt64  ? "int64 "
                     : made.value.type == Type::kDouble ? "double "
                                                        : "";
  if (made.value.type == Type::kDecimal128) return libbson_text(made.value);
  return type + to_json(made.value.view()) + (made.clamped ? " clamped" : "");
}

TEST(Add, ResultHasTheWiderType) {
  EXPECT_EQ(sum(make_int32(1), make_int32(2)), "int32 3");
  EXPECT_EQ(sum(make_int32(1), make_int64(2)), "int64 3");
  EXPECT_EQ(sum(make_int64(1), make_double(0.5)), "double 1.5");
  EXPECT_EQ(sum(make_int32(1), decimal("0.50")), "1.50");
}

TEST(Add, Int32OverflowWidensAndInt64OverflowClamps) {
  EXPECT_EQ(sum(make_int32(INT32_MAX), make_int32(1)), "int64 2147483648");
  EXPECT_EQ(sum(make_int32(INT32_MIN), make_int32(-1)), "int64 -2147483649");
  EXPECT_EQ(sum(make_int32(INT32_MAX), make_int32(0)), "int32 2147483647");
  EXPECT_EQ(sum(make_int64(INT64_MAX), make_int32(1)), "int64 9223372036854775807 clamped");
  EXPECT_EQ(sum(make_int64(INT64_MIN), make_int64(-1)), "int64 -9223372036854775808 clamped");
  EXPECT_EQ(sum(make_int64(INT64_MAX), make_int64(0)), "int64 9223372036854775807");
}

// Bytes in BSON's order turned round, as one reads them.
std::string shown_bits(const OwnedValue& v) {
  std::string text;
  for (auto byte = v.bytes.rbegin(); byte != v.bytes.rend(); ++byte) {
    const auto bits = static_cast<uint8_t>(*byte);
    text += "0123456789abcdef"[bits >> 4];
    text += "0123456789abcdef"[bits & 15];
  }
  return text;
}

// As $inc on mongod 6.0.5.
TEST(Add, ANaNKeepsItsBits) {
  const auto bits = [](uint64_t v) { return make_double(std::bit_cast<double>(v)); };
  const auto decimal_bits = [](uint64_t high, uint64_t low) {
    std::string bytes;
    internal::store(bytes, low);
    internal::store(bytes, high);
    return OwnedValue(Type::kDecimal128, bytes);
  };
  const OwnedValue plus = bits(0x7ff8000000000000);
  const OwnedValue minus = bits(0xfff8000000000000);
  const OwnedValue five = bits(0x7ff8000000000005);
  const OwnedValue signals = bits(0x7ff0000000000001);
  const OwnedValue decimal_minus = decimal_bits(0xfc00000000000000, 0);
  const OwnedValue decimal_signals = decimal_bits(0x7e00000000000000, 0);
  const std::string zeros(16, '0');
  const struct {
    OwnedValue a, b;
    std::string sum;
  } kCases[] = {
      {make_double(1), minus, "fff8000000000000"},
      {minus, make_int32(1), "fff8000000000000"},
      {plus, minus, "fff8000000000000"},
      {minus, plus, "7ff8000000000000"},
      {plus, five, "7ff8000000000005"},
      {five, make_double(-INFINITY), "7ff8000000000005"},
      {signals, make_int64(1), "7ff8000000000001"},
      {make_double(INFINITY), make_double(-INFINITY), "fff8000000000000"},
      {decimal("Infinity"), make_double(-INFINITY), "7c00000000000000" + zeros},
      {decimal_minus, make_int32(1), "fc00000000000000" + zeros},
      {decimal_minus, plus, "7c00000000000000" + zeros},
      {decimal("1"), minus, "fc00000000000000" + zeros},
      {five, decimal("1"), "7c000000000000002800000000000000"},
      {decimal_signals, make_int32(1), "7c00000000000000" + zeros},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(shown_bits(increment(c.a.view(), c.b.view()).value), c.sum)
        << shown_bits(c.a) << " " << shown_bits(c.b);
  }
}

// Results of $inc on mongod 6.0.5, and the standard's rules where $inc leaves equal values alone.
TEST(AddDecimal, AddsAsMongod) {
  const struct {
    OwnedValue a, b;
    const char* result;
  } kCases[] = {
      {decimal("0"), make_double(0.1), "0.100000000000000"},
      {decimal("1.00"), make_double(1), "2.00000000000000"},
      {decimal("1E+2"), make_int64(1LL << 62), "4611686018427388004"},
      {decimal("0"), make_double(1e300), "1.000000000000000000000000000000000E+300"},
      {decimal("0"), make_double(5e-324), "4.94065645841247E-324"},
      {decimal("0"), make_double(123456789012345678.0), "123456789012346000"},
      {decimal("0"), make_double(99999999999999.95), "100000000000000"},
      {decimal("0"), make_double(-2.5e-10), "-2.50000000000000E-10"},
      {decimal("0"), make_double(0.0), "0"},
      {decimal("5"), decimal("-5.00"), "0.00"},
      {decimal("-0"), decimal("-0"), "-0"},
      {decimal("-0"), decimal("0"), "0"},
      {decimal("0E+3"), decimal("0.001"), "0.001"},
      {decimal("0E-10"), decimal("5"), "5.0000000000"},
      {decimal("9999999999999999999999999999999999"), decimal("1"),
       "1.000000000000000000000000000000000E+34"},
      {decimal("9999999999999999999999999999999999"), decimal("0.5"),
       "1.000000000000000000000000000000000E+34"},
      {decimal("9999999999999999999999999999999998"), decimal("0.5"),
       "9999999999999999999999999999999998"},
      {decimal("9999999999999999999999999999999998"), decimal("0.5000001"),
       "9999999999999999999999999999999999"},
      {decimal("1000000000000000000000000000000000"), decimal("-0.05"),
       "1000000000000000000000000000000000"},
      {decimal("1000000000000000000000000000000000"), decimal("-0.051"),
       "999999999999999999999999999999999.9"},
      {decimal("1E+6111"), decimal("1E-6176"), "1.000000000000000000000000000000000E+6111"},
      {decimal("1E+6111"), decimal("-1E-6176"), "1.000000000000000000000000000000000E+6111"},
      {decimal("1E-6176"), decimal("1E-6176"), "2E-6176"},
      {decimal("9.999999999999999999999999999999999E+6144"), decimal("1E+6111"), "Infinity"},
      {decimal("9.999999999999999999999999999999999E+6144"), decimal("1E+6110"),
       "9.999999999999999999999999999999999E+6144"},
      {decimal("-Infinity"), decimal("5"), "-Infinity"},
      {decimal("Infinity"), decimal("-Infinity"), "NaN"},
      {decimal("NaN"), make_int32(1), "NaN"},
      {decimal("123.45"), decimal("-0.456"), "122.994"},
      {decimal("-1"), decimal("3.5"), "2.5"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(sum(c.a, c.b), c.result) << libbson_text(c.a);
    EXPECT_EQ(sum(c.b, c.a), c.result) << libbson_text(c.a);
  }
}

TEST(Decimal128, NonCanonicalCoefficientsAreZero) {
  const std::string too_large =
      std::string(8, '\xff') + std::string("\xff\xff\xff\xff\xff\xff\x41\x30");
  EXPECT_TRUE(Decimal128::from_bytes(too_large).is_zero());
  const std::string large_form = std::string(15, '\0') + "\x6c";
  EXPECT_TRUE(Decimal128::from_bytes(large_form).is_zero());
  EXPECT_FALSE((Value{Type::kDecimal128, large_form}.truthy()));
}

TEST(Increment, ByNothingLeavesTheBytesAsTheyAre) {
  const auto left = [](const OwnedValue& a, const OwnedValue& delta) {
    return increment(a.view(), delta.view()).value;
  };
  EXPECT_EQ(left(make_double(-0.0), make_int32(0)), make_double(-0.0));
  EXPECT_EQ(left(make_double(-0.0), make_int64(0)), make_double(-0.0));
  EXPECT_EQ(left(make_double(-0.0), make_double(0.0)), make_double(-0.0));
  EXPECT_EQ(left(decimal("1"), decimal("0.00")), decimal("1"));
  EXPECT_EQ(left(decimal("-0"), make_int32(0)), decimal("-0"));
  EXPECT_EQ(left(make_double(1e300), make_int32(1)), make_double(1e300));
  // Another type is another value.
  EXPECT_EQ(left(make_int32(5), make_double(0)), make_double(5));
  EXPECT_EQ(left(make_int32(5), make_int64(0)), make_int64(5));
  EXPECT_EQ(left(make_int32(15), decimal("0")), decimal("15"));
  EXPECT_EQ(left(make_int32(5), make_int32(2)), make_int32(7));
}

TEST(Negate, TurnsTheSignAndWidensAtTheEdge) {
  EXPECT_EQ(negate(make_int32(5).view()), make_int32(-5));
  EXPECT_EQ(negate(make_int32(INT32_MIN).view()), make_int64(2147483648));
  EXPECT_EQ(negate(make_int64(INT64_MIN).view()), make_int64(INT64_MAX));
  EXPECT_EQ(negate(make_double(2.5).view()), make_double(-2.5));
  EXPECT_EQ(negate(decimal("1.50").view()), decimal("-1.50"));
}

TEST(CompareNumbers, OrdersExactlyAcrossTypes) {
  const std::vector<OwnedValue> ascending = {decimal("NaN"),
                                             make_double(-INFINITY),
                                             decimal("-1E+400"),
                                             make_int64(INT64_MIN),
                                             make_int32(-1),
                                             decimal("-0.5"),
                                             make_double(-5e-324),
                                             make_int32(0),
                                             decimal("1E-6176"),
                                             make_double(5e-324),
                                             decimal("0.1"),
                                             decimal("0.1000000000000000055511151231257827"),
                                             make_double(0.1),
                                             decimal("0.1000000000000000055511151231257828"),
                                             make_double(1),
                                             make_double(0x1p53),
                                             make_int64((1LL << 53) + 1),
                                             make_int64(INT64_MAX),
                                             make_double(0x1p63),
                                             make_double(1e22),
                                             make_double(0x1p120),
                                             decimal("1.329227995784915872903807060280345E+36"),
                                             decimal("1E+300"),
                                             make_double(1e300),
                                             decimal("1E+6000"),
                                             decimal("Infinity")};
  for (size_t i = 0; i < ascending.size(); ++i) {
    for (size_t j = 0; j < ascending.size(); ++j) {
      const int expected = i < j ? -1 : i > j ? 1 : 0;
      EXPECT_EQ(compare_numbers(ascending[i].view(), ascending[j].view()), expected)
          << i << " " << j;
    }
  }
}

// But of two that are no numbers, one is the sum (number.h).
TEST(Properties, AddIsCommutative) {
  const auto is_nan = [](const OwnedValue& of) {
    return to_json(of.view()).find("NaN") != std::string::npos;
  };
  EXPECT_TRUE(rc::check([&](uint64_t seed) {
    testing::RandomDocument random(seed);
    for (int i = 0; i < 50; ++i) {
      const OwnedValue a = random.number(), b = random.number();
      if (is_nan(a) && is_nan(b)) continue;
      RC_ASSERT(add(a.view(), b.view()).value == add(b.view(), a.view()).value);
    }
  }));
}

TEST(Properties, NegatingAndAddingGivesZero) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    const OwnedValue a = testing::RandomDocument(seed).number();
    RC_PRE(a != make_int64(INT64_MIN));
    const OwnedValue zero = add(a.view(), negate(a.view()).view()).value;
    const bool finite = !to_json(zero.view()).starts_with("{\"$numberD") ||
                        !Decimal128::from_bytes(decimal("0").bytes).is_zero();
    if (finite) RC_ASSERT(!zero.view().truthy());
  }));
}

// With at most 34 digits in all the sum is exact, so 128-bit integers tell it.
TEST(Properties, ExactDecimalSumsMatchIntegerArithmetic) {
  EXPECT_TRUE(rc::check([](int32_t x, int32_t y, uint8_t shift) {
    const int places = shift % 16;
    Decimal128 a = Decimal128::from_int64(int64_t{x} * 1'000'000'007);
    Decimal128 b = Decimal128::from_int64(y);
    b.exponent = -places;
    __int128 scaled = __int128{x} * 1'000'000'007;
    for (int i = 0; i < places; ++i) scaled *= 10;
    scaled += y;
    const Decimal128 total = add(a, b);
    RC_ASSERT(total.exponent == -places);
    RC_ASSERT((total.negative ? -static_cast<__int128>(total.coefficient)
                              : static_cast<__int128>(total.coefficient)) == scaled);
  }));
}

TEST(Properties, DecimalTextIsLibbsons) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    testing::RandomDocument random(seed);
    for (int i = 0; i < 20; ++i) {
      const OwnedValue v = random.decimal();
      const Decimal128 decoded = Decimal128::from_bytes(v.bytes);
      if (decoded.is_zero()) continue;  // libbson prints coefficients that count as zero
      RC_ASSERT(decoded.to_text() == libbson_text(v));
      if (libbson_text(v) != "NaN") RC_ASSERT(decimal(libbson_text(v)).bytes == decoded.to_bytes());
    }
  }));
}

}  // namespace
}  // namespace outrigger::bson
