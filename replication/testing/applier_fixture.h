// What tests of the applier share: paris, which applies step by step, and oslo, which writes.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/outbox/memory/memory_outbox.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {

class ApplierTest : public ::testing::Test {
 protected:
  // Offers oslo's records to paris without applying them.
  void offer() {
    const Link link(oslo_, paris_);
    auto segments = read_segments(*oslo_.replica, paris_.replica->applied(), 1u << 20);
    ASSERT_TRUE(segments.has_value());
    ASSERT_TRUE(paris_.replica->offer(std::move(*segments), run_of(oslo_)).has_value());
  }
  StepOutcome step() {
    auto outcome = paris_.applier->step();
    EXPECT_TRUE(outcome.has_value());
    return outcome ? *outcome : StepOutcome::kIdle;
  }

  std::shared_ptr<outbox::MemoryOutbox> outbox_ = std::make_shared<outbox::MemoryOutbox>();
  TestSite paris_{"paris", {"oslo", "paris"}, [outbox = outbox_] { return outbox; }};
  TestSite oslo_{"oslo", {"oslo", "paris"}, memory_outbox()};
};

}  // namespace outrigger
