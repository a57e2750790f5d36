// Which of what lost is open: by how far two values are apart, and by how long one was written
// before the other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "config/policy.h"
#include "replication/outbox/memory/memory_outbox.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::SizeIs;

class LedgerOpenTest : public ::testing::Test {
 protected:
  void rule(const Escalation& escalation) {
    Settings settings;
    settings.replicate.emplace_back().namespace_glob = "*";
    settings.replicate.back().escalate = escalation;
    policy_.emplace(settings);
    for (TestSite* site : {&oslo_, &paris_}) {
      site->kill();
      site->replica_options.policy = &*policy_;
      site->open();
      ASSERT_TRUE(site->recover().has_value());
    }
    // Until then, stamps run ahead of clocks: those of a site that was killed begin later.
    for (TestSite* site : {&oslo_, &paris_}) site->clock.advance_ms(3'600'000);
    paris_.insert(1, {});
    exchange(oslo_, paris_);
  }
  // Two sites give one field a value without seeing each other, the second so much later.
  bool opens(const bson::OwnedValue& loses, const bson::OwnedValue& stands, int64_t later_ms = 5) {
    give(oslo_, loses);
    for (TestSite* site : {&oslo_, &paris_}) site->clock.advance_ms(later_ms);
    give(paris_, stands);
    exchange(oslo_, paris_);
    EXPECT_THAT(oslo_.ledger(), SizeIs(++conflicts_));
    const auto ledger = paris_.ledger();
    EXPECT_THAT(ledger, SizeIs(conflicts_));
    EXPECT_EQ(oslo_.ledger().front().open, ledger.front().open);
    EXPECT_EQ(ledger.front().value, loses);
    return ledger.front().open;
  }
  static void give(TestSite& site, const bson::OwnedValue& value) {
    auto pending = site.begin(TestSite::setting(1, "v", value));
    site.store(*pending);
    site.settle(std::move(pending));
    site.flush();
  }
  static bson::OwnedValue decimal(uint8_t units) {  // 0.1 each
    std::string bytes(16, '\0');
    bytes[0] = static_cast<char>(units);
    bytes[14] = 0x3e;
    bytes[15] = 0x30;
    return {bson::Type::kDecimal128, bytes};
  }

  std::optional<Policy> policy_;
  const std::vector<std::string> names_{"oslo", "paris"};
  TestSite oslo_{"oslo", names_, memory_outbox()};
  TestSite paris_{"paris", names_, memory_outbox()};
  size_t conflicts_ = 0;
};

TEST_F(LedgerOpenTest, NumbersThatDifferByMoreAndWhatIsNoNumber) {
  rule({.differs_by = 10});
  EXPECT_FALSE(opens(bson::make_int32(1), bson::make_int32(11)));
  EXPECT_TRUE(opens(bson::make_int32(1), bson::make_int32(12)));
  EXPECT_TRUE(opens(bson::make_int32(12), bson::make_int64(1)));
  EXPECT_FALSE(opens(bson::make_double(1.5), bson::make_int64(11)));
  EXPECT_TRUE(opens(bson::make_int64(INT64_MIN), bson::make_int64(INT64_MAX)));
  EXPECT_TRUE(opens(bson::make_double(-INFINITY), bson::make_double(INFINITY)));
  EXPECT_TRUE(opens(bson::make_double(NAN), bson::make_int32(1)));
  EXPECT_FALSE(opens(decimal(5), bson::make_int32(10)));
  EXPECT_TRUE(opens(bson::make_string("1"), bson::make_int32(1)));
  EXPECT_TRUE(opens(bson::make_int32(1), bson::make_string("1")));
}

TEST_F(LedgerOpenTest, WhatWasWrittenLongerBeforeWhatItLostTo) {
  rule({.older_than_ms = 1000});
  EXPECT_FALSE(opens(bson::make_int32(1), bson::make_int32(100), 1000));
  EXPECT_TRUE(opens(bson::make_int32(2), bson::make_int32(2000), 1001));
  EXPECT_FALSE(opens(bson::make_string("a"), bson::make_string("b"), 5));
}

TEST_F(LedgerOpenTest, WhatADeleteTookWhereverTheTwoMet) {
  rule({.older_than_ms = 1'000'000});
  const auto remove = [](TestSite& site) {
    auto pending = site.begin(TestSite::removing(1));
    site.store(*pending);
    site.settle(std::move(pending));
    site.flush();
  };
  remove(oslo_);
  for (TestSite* site : {&oslo_, &paris_}) site->clock.advance_ms(5);
  give(paris_, bson::make_int32(1));
  exchange(oslo_, paris_);
  for (TestSite* site : {&oslo_, &paris_}) {
    ASSERT_THAT(site->ledger(), SizeIs(1));
    EXPECT_EQ(site->ledger().front().kind, "delete_update");
    EXPECT_TRUE(site->ledger().front().open);
  }
}

TEST_F(LedgerOpenTest, OneOfTwoConditionsIsEnough) {
  rule({.differs_by = 10, .older_than_ms = 1000});
  EXPECT_FALSE(opens(bson::make_int32(1), bson::make_int32(2)));
  EXPECT_TRUE(opens(bson::make_int32(1), bson::make_int32(20)));
  EXPECT_TRUE(opens(bson::make_int32(1), bson::make_int32(2), 2000));
}

}  // namespace
}  // namespace outrigger
