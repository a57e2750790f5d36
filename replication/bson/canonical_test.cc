#include <bson/bson.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>

#include "replication/bson/number.h"
#include "replication/bson/random_document.h"

namespace outrigger::bson {
namespace {

OwnedValue decimal(const char* text) {
  bson_decimal128_t parsed;
  EXPECT_TRUE(bson_decimal128_from_string(text, &parsed)) << text;
  std::string bytes(16, '\0');
  memcpy(bytes.data(), &parsed.low, 8);
  memcpy(bytes.data() + 8, &parsed.high, 8);
  return {Type::kDecimal128, bytes};
}

std::string key(const OwnedValue& v) { return canonical_key(v.view()); }

// Each line is one class, as found with a unique index on mongod 6.0.5.
TEST(CanonicalKey, SharesOneKeyInAClassAndNoneBetweenClasses) {
  const std::vector<std::vector<OwnedValue>> classes = {
      {make_int32(1), make_int64(1), make_double(1), decimal("1"), decimal("1.00")},
      {make_int32(100), decimal("1E+2"), decimal("100.0"), make_double(100)},
      {make_int32(0), make_double(-0.0), decimal("-0"), decimal("0E+5"), decimal("-0E-6176")},
      {make_double(0.5), decimal("0.5"), decimal("0.50")},
      {make_double(0.1)},
      {decimal("0.1"), decimal("0.10")},
      {decimal("0.1000000000000000055511151231257827")},
      {make_double(std::nan("")), make_double(-std::nan("7")), decimal("NaN"), decimal("-NaN")},
      {make_double(INFINITY), decimal("Infinity")},
      {make_double(-INFINITY), decimal("-Infinity")},
      {make_int64((1LL << 53) + 1), decimal("9007199254740993")},
      {make_int64(1LL << 53), make_double(0x1p53), decimal("9007199254740992")},
      {make_int64(INT64_MAX), decimal("9223372036854775807")},
      {make_double(0x1p63), decimal("9223372036854775808")},
      {make_int64(INT64_MIN), make_double(-0x1p63), decimal("-9223372036854775808")},
      {make_double(0x1p100), decimal("1267650600228229401496703205376")},
      {make_double(0x1p120)},
      {decimal("1.329227995784915872903807060280345E+36")},
      {make_double(1e300)},
      {decimal("1E+300")},
      {make_double(5e-324)},
      {decimal("4.940656458412465441765687928682214E-324")},
      {decimal("1E+6111"), decimal("1.000E+6111")},
      {make_bool(true)},
      {make_bool(false)},
      {make_string("a"), {Type::kSymbol, make_string("a").bytes}},
      {{Type::kCode, make_string("a").bytes}},
      {make_string("")},
      {{Type::kNull, ""}},
      {{Type::kUndefined, ""}},
      {{Type::kMinKey, ""}},
      {{Type::kMaxKey, ""}},
      {{Type::kDate, make_int64(1).bytes}},
      {{Type::kTimestamp, make_int64(1).bytes}},
      {{Type::kBinary, std::string("\1\0\0\0\0a", 6)}},
      {{Type::kBinary, std::string("\1\0\0\0\4a", 6)}},
  };
  for (size_t i = 0; i < classes.size(); ++i) {
    for (size_t j = 0; j < classes.size(); ++j) {
      for (const OwnedValue& a : classes[i]) {
        for (const OwnedValue& b : classes[j]) {
          EXPECT_EQ(key(a) == key(b), i == j) << to_json(a.view()) << " " << to_json(b.view());
        }
      }
    }
  }
}

TEST(CanonicalKey, NormalisesNumbersInsideAndKeepsFieldOrder) {
  const auto doc = [](std::string bytes) { return make_document(std::move(bytes)); };
  const OwnedValue a = doc(Writer().int32("a", 1).open_array("b").real("0", 2).close().finish());
  const OwnedValue b =
      doc(Writer().value("a", decimal("1.0")).open_array("b").int64("0", 2).close().finish());
  EXPECT_EQ(key(a), key(b));
  EXPECT_NE(key(doc(Writer().int32("a", 1).int32("b", 1).finish())),
            key(doc(Writer().int32("b", 1).int32("a", 1).finish())));
  EXPECT_NE(key(doc(Writer().open_document("a").close().finish())),
            key(doc(Writer().open_array("a").close().finish())));
}

TEST(CanonicalKey, KeepsBordersBetweenFields) {
  const auto text = [](const char* x, const char* y) {
    return make_document(Writer().string("a", x).string("b", y).finish());
  };
  EXPECT_NE(key(text("x", "yz")), key(text("xy", "z")));
  const OwnedValue flat = make_document(Writer().open_document("a").close().int32("b", 1).finish());
  const OwnedValue nested =
      make_document(Writer().open_document("a").int32("b", 1).close().finish());
  EXPECT_NE(key(flat), key(nested));
}

TEST(Properties, NumbersShareAKeyExactlyWhenTheyCompareEqual) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    testing::RandomDocument random(seed);
    for (int i = 0; i < 50; ++i) {
      const OwnedValue a = random.number(), b = random.number();
      RC_ASSERT((compare_numbers(a.view(), b.view()) == 0) == (key(a) == key(b)));
    }
  }));
}

}  // namespace
}  // namespace outrigger::bson
