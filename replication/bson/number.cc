#include "replication/bson/number.h"

#include <cmath>
#include <limits>

#include "replication/bson/decimal128.h"
#include "replication/bson/layout.h"

namespace outrigger::bson {
namespace {

bool is_integer(const Value& v) { return v.type == Type::kInt32 || v.type == Type::kInt64; }

int64_t integer(const Value& v) { return v.type == Type::kInt32 ? v.as_int32() : v.as_int64(); }

double real(const Value& v) {
  return v.type == Type::kDouble ? v.as_double() : static_cast<double>(integer(v));
}

// A double is rounded to the digits that MongoDB's arithmetic takes from it.
Decimal128 decimal(const Value& v) {
  constexpr int kMixedDigits = 15;
  if (v.type == Type::kDecimal128) return Decimal128::from_bytes(v.bytes);
  if (v.type == Type::kDouble) return Decimal128::from_double(v.as_double(), kMixedDigits);
  return Decimal128::from_int64(integer(v));
}

Sum add_integers(const Value& a, const Value& b) {
  const int64_t x = integer(a);
  const int64_t y = integer(b);
  int64_t total = 0;
  if (__builtin_add_overflow(x, y, &total)) {
    using Limits = std::numeric_limits<int64_t>;
    return {make_int64(x < 0 ? Limits::min() : Limits::max()), true};
  }
  const bool narrow =
      a.type == Type::kInt32 && b.type == Type::kInt32 && total == static_cast<int32_t>(total);
  return {narrow ? make_int32(static_cast<int32_t>(total)) : make_int64(total), false};
}

bool is_nan(const Value& v) {
  if (v.type == Type::kDouble) return std::isnan(v.as_double());
  return v.type == Type::kDecimal128 &&
         Decimal128::from_bytes(v.bytes).kind == Decimal128::Kind::kNan;
}

// A NaN that went through a sum: quiet, otherwise as it was; as a decimal, its bits moved.
OwnedValue summed_nan(const Value& nan, bool decimal) {
  constexpr uint64_t kQuiet = 1ull << 51;
  constexpr uint64_t kSignal = 1ull << 57;  // of a decimal
  std::string bytes;
  if (nan.type == Type::kDecimal128) {
    internal::store(bytes, internal::load<uint64_t>(nan.bytes.data()));
    internal::store(bytes, internal::load<uint64_t>(nan.bytes.data() + 8) & ~kSignal);
    return {Type::kDecimal128, bytes};
  }
  const auto bits = internal::load<uint64_t>(nan.bytes.data());
  if (!decimal) {
    internal::store(bytes, bits | kQuiet);
    return {Type::kDouble, bytes};
  }
  const uint64_t payload = bits & (kQuiet - 1);
  internal::store(bytes, payload << 59);
  internal::store(bytes, (bits & 1ull << 63) | 0x7c00000000000000u | payload >> 5);
  return {Type::kDecimal128, bytes};
}

int order(auto a, auto b) { return a < b ? -1 : b < a ? 1 : 0; }

// Exact, where converting the integer would round it.
int compare_integer_to_double(int64_t a, double b) {
  if (std::isnan(b)) return 1;
  if (b >= 0x1p63) return -1;
  if (b < -0x1p63) return 1;
  const auto whole = static_cast<int64_t>(b);  // towards zero
  if (a != whole) return order(a, whole);
  return order(0.0, b - static_cast<double>(whole));
}

}  // namespace

Sum add(const Value& a, const Value& b) {
  OUTRIGGER_ASSERT(a.is_number() && b.is_number());
  if (is_integer(a) && is_integer(b)) return add_integers(a, b);
  const bool decimals = a.type == Type::kDecimal128 || b.type == Type::kDecimal128;
  if (is_nan(b)) return {summed_nan(b, decimals), false};
  if (is_nan(a)) return {summed_nan(a, decimals), false};
  if (decimals) {
    const Decimal128 sum = add(decimal(a), decimal(b));
    return {{Type::kDecimal128, sum.to_bytes()}, false};
  }
  const double sum = real(a) + real(b);
  // Of infinities: what x86 makes of it, so that all sites make the same.
  return {make_double(std::isnan(sum) ? -std::numeric_limits<double>::quiet_NaN() : sum), false};
}

Sum increment(const Value& a, const Value& delta) {
  Sum sum = add(a, delta);
  if (sum.value.type == a.type && !is_nan(a) && compare_numbers(sum.value.view(), a) == 0) {
    sum.value.bytes = a.bytes;
  }
  return sum;
}

OwnedValue negate(const Value& a) {
  OUTRIGGER_ASSERT(a.is_number());
  switch (a.type) {
    case Type::kInt32: {
      const int64_t negative = -static_cast<int64_t>(a.as_int32());
      if (negative != static_cast<int32_t>(negative)) return make_int64(negative);
      return make_int32(static_cast<int32_t>(negative));
    }
    case Type::kInt64: {
      using Limits = std::numeric_limits<int64_t>;
      return make_int64(a.as_int64() == Limits::min() ? Limits::max() : -a.as_int64());
    }
    case Type::kDouble:
      return is_nan(a) ? OwnedValue(a) : make_double(-a.as_double());
    default: {
      if (is_nan(a)) return OwnedValue(a);
      Decimal128 v = Decimal128::from_bytes(a.bytes);
      v.negative = !v.negative;
      return {Type::kDecimal128, v.to_bytes()};
    }
  }
}

int compare_numbers(const Value& a, const Value& b) {
  OUTRIGGER_ASSERT(a.is_number() && b.is_number());
  if (is_integer(a) && is_integer(b)) return order(integer(a), integer(b));
  if (a.type == Type::kDecimal128 || b.type == Type::kDecimal128) {
    if (a.type == Type::kDouble) return compare(a.as_double(), decimal(b));
    if (b.type == Type::kDouble) return -compare(b.as_double(), decimal(a));
    return compare(decimal(a), decimal(b));
  }
  if (is_integer(a)) return compare_integer_to_double(integer(a), b.as_double());
  if (is_integer(b)) return -compare_integer_to_double(integer(b), a.as_double());
  const double x = a.as_double();
  const double y = b.as_double();
  if (std::isnan(x) || std::isnan(y)) return (std::isnan(x) ? 0 : 1) - (std::isnan(y) ? 0 : 1);
  return order(x, y);
}

}  // namespace outrigger::bson
