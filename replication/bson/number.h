// Number arithmetic as MongoDB's $inc does it: the result has the wider type of the two (int32 <
// int64 < double < decimal128); int32 overflow widens to int64; int64 overflow is an error in
// MongoDB, and in a merge is clamped (the caller is told). Sums are only equal at every site when
// every site adds in the same order: callers fix the order.
#pragma once

#include "replication/bson/bson.h"

namespace outrigger::bson {

struct Sum {
  OwnedValue value;
  bool clamped = false;  // int64 overflow: the value is the nearest representable one
};

// a + b. A NaN among them is the sum, b's before a's, with its sign and its other bits. Both must
// be numbers (asserted).
[[nodiscard]] Sum add(const Value& a, const Value& b);
// What `$inc` by `delta` leaves of `a`. A sum that is equal to `a` and of its type is `a`, bit for
// bit: MongoDB does not touch the field then, so -0.0 stays -0.0 and NumberDecimal("1") plus
// NumberDecimal("0.00") does not become 1.00. Both must be numbers (asserted).
[[nodiscard]] Sum increment(const Value& a, const Value& delta);
// -a (int32 minimum widens to int64, int64 minimum clamps). Must be a number.
[[nodiscard]] OwnedValue negate(const Value& a);
// Numeric order across types; NaN is smallest and equal to itself. Both must be numbers.
[[nodiscard]] int compare_numbers(const Value& a, const Value& b);

}  // namespace outrigger::bson
