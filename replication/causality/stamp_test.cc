#include "replication/causality/stamp.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "replication/causality/stamp_testing.h"
#include "replication/causality/version_vector.h"

namespace outrigger {
namespace {

VersionVector vector_of(std::initializer_list<VersionVector::Entry> entries) {
  VersionVector vector;
  for (const auto& [o, hlc] : entries) vector.raise(o, hlc);
  return vector;
}

TEST(Stamp, ClockDecidesAndTheOriginBreaksTies) {
  EXPECT_LT((Dot{1, origin(9)}), (Dot{2, origin(1)}));
  EXPECT_LT((Dot{2, origin(1)}), (Dot{2, origin(2)}));
  EXPECT_LT((Dot{2, origin(1, 1)}), (Dot{2, origin(1, 2)}));
}

TEST(Stamp, ReadsAsATimeAndAPlace) {
  const Dot dot{hlc_from_ms(1'700'000'000'123) + 7, origin(0x9f, uint64_t{0x5a} << 56)};
  EXPECT_EQ(to_text(dot), "2023-11-14T22:13:20.123Z+7@9f00…/5a…");
  EXPECT_EQ(to_text(Dot()), "0");
}

TEST(VersionVector, ForgetsNothingItHasSeen) {
  VersionVector vector = vector_of({{origin(1), 5}});
  vector.raise(origin(1), 3);
  EXPECT_EQ(vector.get(origin(1)), 5u);
  EXPECT_TRUE(vector.covers({5, origin(1)}));
  EXPECT_FALSE(vector.covers({6, origin(1)}));
  EXPECT_FALSE(vector.covers({1, origin(2)}));
  EXPECT_TRUE(vector.covers(Dot()));
}

TEST(VersionVector, MinimumLeavesOutWhatOneSideHasNotSeen) {
  const auto a = vector_of({{origin(1), 5}, {origin(2), 1}});
  const auto b = vector_of({{origin(1), 3}, {origin(3), 1}});
  EXPECT_EQ(VersionVector::minimum(a, b), vector_of({{origin(1), 3}}));
}

TEST(VersionVector, EraseRemovesOneOrigin) {
  VersionVector vector = vector_of({{origin(1), 5}, {origin(2), 1}});
  vector.erase(origin(1));
  EXPECT_EQ(vector, vector_of({{origin(2), 1}}));
}

RC_GTEST_PROP(VersionVector, RaiseIsTheLeastUpperBound,
              (const std::vector<std::pair<uint8_t, uint8_t>>& left,
               const std::vector<std::pair<uint8_t, uint8_t>>& right)) {
  VersionVector a;
  VersionVector b;
  for (const auto& [o, hlc] : left) a.raise(origin(o), hlc);
  for (const auto& [o, hlc] : right) b.raise(origin(o), hlc);
  VersionVector ab = a;
  ab.raise(b);
  VersionVector ba = b;
  ba.raise(a);
  RC_ASSERT(ab == ba);
  RC_ASSERT(ab.includes(a) && ab.includes(b));
  const VersionVector low = VersionVector::minimum(a, b);
  RC_ASSERT(a.includes(low) && b.includes(low));
  for (const auto& [o, hlc] : ab.entries()) RC_ASSERT(hlc == std::max(a.get(o), b.get(o)));
}

}  // namespace
}  // namespace outrigger
