// The ledger names the apps whose writes met.
#include <gtest/gtest.h>

#include "replication/outbox/memory/memory_outbox.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

class LedgerAppsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    oslo_.app = "till";
    paris_.app = "web";
    paris_.insert(1, {});
    exchange(oslo_, paris_);
  }
  // Both give one field a value without seeing each other: paris' is the later.
  void write_apart() {
    oslo_.set(1, "v", 1);
    oslo_.clock.advance_ms(5);
    paris_.clock.advance_ms(10);
    paris_.set(1, "v", 2);
  }
  static void expect_named(const TestSite& site, const std::string& lost, const std::string& won) {
    const auto ledger = site.ledger();
    ASSERT_EQ(ledger.size(), 1u) << site.name;
    EXPECT_EQ(ledger.front().loser_app, lost) << site.name;
    EXPECT_EQ(ledger.front().winner_app, won) << site.name;
  }

  TestSite oslo_{"oslo", {"oslo", "paris", "rome"}, memory_outbox()};
  TestSite paris_{"paris", {"oslo", "paris", "rome"}, memory_outbox()};
  TestSite rome_{"rome", {"oslo", "paris", "rome"}, memory_outbox()};
};

TEST_F(LedgerAppsTest, AtBothSitesOfTheWrites) {
  write_apart();
  exchange(oslo_, paris_);
  expect_named(oslo_, "till", "web");
  expect_named(paris_, "till", "web");
}

TEST_F(LedgerAppsTest, AtASiteThatOnlyHears) {
  write_apart();
  pull(oslo_, rome_);
  pull(paris_, rome_);
  expect_named(rome_, "till", "web");
}

TEST_F(LedgerAppsTest, AtASiteThatHearsOfBothAtOnce) {
  write_apart();
  exchange(oslo_, paris_);
  pull(paris_, rome_);
  expect_named(rome_, "till", "web");
}

TEST_F(LedgerAppsTest, OfAWriteThatWasSettledAfterACrash) {
  auto pending = oslo_.begin(TestSite::setting(1, "v", number(1)));
  oslo_.store(*pending);
  oslo_.release(*pending);
  oslo_.restart();
  paris_.clock.advance_ms(3'600'000);
  paris_.set(1, "v", 2);
  exchange(oslo_, paris_);
  expect_named(paris_, "till", "web");
}

TEST_F(LedgerAppsTest, OfAnAppWithoutANameNothingIsSaid) {
  oslo_.app.clear();
  write_apart();
  exchange(oslo_, paris_);
  expect_named(oslo_, "", "web");
}

}  // namespace
}  // namespace outrigger
