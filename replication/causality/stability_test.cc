#include "replication/causality/stability.h"

#include <gtest/gtest.h>

#include "replication/causality/stamp_testing.h"

namespace outrigger {
namespace {

// Site 1, with members 2 and 3 whose reports are made by hand.
class StabilityTest : public ::testing::Test {
 protected:
  const Origin me_ = origin(1);
  const Origin two_ = origin(2);
  const Origin three_ = origin(3);

  Report report(const Origin& from, std::initializer_list<VersionVector::Entry> vector,
                Hlc issued = 0, Hlc closed = 0) {
    Report r;
    r.site = from.site;
    r.epoch = from.epoch;
    r.serial = ++serial_;
    for (const auto& [o, hlc] : vector) r.vector.raise(o, hlc);
    r.issued.raise(from, issued);
    r.closed.raise(from, closed);
    return r;
  }
  void applied(const Origin& o, Hlc hlc) { vector_.raise(o, hlc); }
  void update() {
    VersionVector issued;
    issued.raise(me_, issued_);
    (void)stability_.update(vector_, issued, vector_);
  }
  Hlc stable(const Origin& o) {
    update();
    return stability_.stable().get(o);
  }

  uint64_t serial_ = 0;
  Hlc issued_ = 0;
  VersionVector vector_;
  Stability stability_{me_, 3, 0};
};

TEST_F(StabilityTest, IsWhatEveryMemberHasApplied) {
  applied(two_, 10);
  ASSERT_TRUE(stability_.hear(report(two_, {{two_, 10}}, 10)));
  ASSERT_TRUE(stability_.hear(report(three_, {{two_, 7}})));
  EXPECT_EQ(stable(two_), 7u);
}

TEST_F(StabilityTest, AMemberNotHeardOfFreezesIt) {
  applied(two_, 10);
  ASSERT_TRUE(stability_.hear(report(two_, {{two_, 10}}, 10)));
  EXPECT_EQ(stable(two_), 0u);
}

TEST_F(StabilityTest, AReportCountsOnlyOnceItsIssuedStampsAreHere) {
  applied(me_, 5);
  issued_ = 5;
  ASSERT_TRUE(stability_.hear(report(two_, {{me_, 5}}, 9)));
  ASSERT_TRUE(stability_.hear(report(three_, {{me_, 5}})));
  EXPECT_EQ(stable(me_), 0u) << "a write of site 2 at 9 may not have seen 5";
  applied(two_, 9);
  EXPECT_EQ(stable(me_), 5u);
}

TEST_F(StabilityTest, OurOwnWritesInFlightCountToo) {
  applied(two_, 10);
  issued_ = 4;  // allocated, not published
  ASSERT_TRUE(stability_.hear(report(two_, {{two_, 10}}, 10)));
  ASSERT_TRUE(stability_.hear(report(three_, {{two_, 10}})));
  EXPECT_EQ(stable(two_), 0u);
  applied(me_, 4);
  EXPECT_EQ(stable(two_), 10u);
}

TEST_F(StabilityTest, ReportNamesAllocatedStampsOfOwnOriginsOnly) {
  applied(me_, 5);
  applied(two_, 9);
  VersionVector issued;
  issued.raise(me_, 8);
  const Report mine = stability_.report(vector_, issued);
  EXPECT_EQ(mine.issued.get(me_), 8u);
  EXPECT_EQ(mine.issued.get(two_), 0u);
  EXPECT_EQ(mine.vector.get(me_), 5u);
}

TEST_F(StabilityTest, ANewEpochVoidsWhatTheOldOneReported) {
  applied(me_, 5);
  issued_ = 5;
  ASSERT_TRUE(stability_.hear(report(two_, {{me_, 5}})));
  ASSERT_TRUE(stability_.hear(report(origin(2, 99), {})));
  ASSERT_TRUE(stability_.hear(report(three_, {{me_, 5}})));
  EXPECT_EQ(stable(me_), 0u);
  ASSERT_TRUE(stability_.hear(report(origin(2, 99), {{me_, 4}})));
  EXPECT_EQ(stable(me_), 4u);
}

TEST_F(StabilityTest, OldAndForeignReportsAreIgnored) {
  const Report old = report(two_, {{me_, 5}});
  ASSERT_TRUE(stability_.hear(report(two_, {})));
  EXPECT_FALSE(stability_.hear(old));
  ASSERT_TRUE(stability_.hear(report(three_, {})));
  EXPECT_FALSE(stability_.hear(report(origin(4), {})));
  EXPECT_FALSE(stability_.hear(report(me_, {})));
}

TEST_F(StabilityTest, ClosedIsBelievedOnceTheReportIsPassed) {
  ASSERT_TRUE(stability_.hear(report(two_, {}, 9, 3)));
  update();
  EXPECT_EQ(stability_.closed().get(two_), 0u);
  applied(two_, 9);
  update();
  EXPECT_EQ(stability_.closed().get(two_), 3u);
}

TEST_F(StabilityTest, ClosedIsBelievedFromTheOriginItselfOnly) {
  Report r = report(three_, {});
  r.closed.raise(two_, 7);
  ASSERT_TRUE(stability_.hear(r));
  update();
  EXPECT_EQ(stability_.closed().get(two_), 0u);
}

TEST_F(StabilityTest, OwnCountersCloseWhenStable) {
  applied(me_, 6);
  issued_ = 6;
  ASSERT_TRUE(stability_.hear(report(two_, {{me_, 6}})));
  ASSERT_TRUE(stability_.hear(report(three_, {{me_, 5}})));
  update();
  EXPECT_EQ(stability_.own_closed(), 5u);
  EXPECT_EQ(stability_.report(vector_, {}).closed.get(me_), 5u);
}

TEST_F(StabilityTest, OldEpochsOfOursAreClosedForEver) {
  applied(origin(1, 77), 6);
  update();
  EXPECT_EQ(stability_.closed().get(origin(1, 77)), kHlcMax);
  EXPECT_EQ(stability_.report(vector_, {}).closed.get(origin(1, 77)), kHlcMax);
}

TEST_F(StabilityTest, SteadyWritingDoesNotStarveIt) {
  applied(me_, 1);
  issued_ = 1;
  ASSERT_TRUE(stability_.hear(report(three_, {{me_, 1}})));
  for (Hlc hlc = 1; hlc <= 200; ++hlc) {
    ASSERT_TRUE(stability_.hear(report(two_, {{me_, 1}}, hlc + 3)));
    applied(two_, hlc);
    update();
  }
  EXPECT_EQ(stability_.stable().get(me_), 1u);
}

}  // namespace
}  // namespace outrigger
