// A mongod forgets a removal that yields, or what an update has brought back.
#include <gtest/gtest.h>

#include "replication/testing/redo_testing.h"

namespace outrigger {
namespace {

TEST_F(RedoTest, ARemoveThatYieldsIsDoneAgain) {
  expect_put_back([&] { paris_.yield(1); });
}

TEST_F(RedoTest, WhatAnUpdateBroughtBackIsPutBackWhole) {
  paris_.set(1, "b", "older than all that is forgotten");
  exchange(paris_, oslo_);
  settle_down({&paris_, &oslo_});
  expect_put_back([&] {
    oslo_.inc(1, "n", 5);
    paris_.yield(1);
    exchange(paris_, oslo_);
    paris_.set(1, "a", 3);
  });
  EXPECT_EQ(oslo_.number(1, "n"), 15);
}

TEST_F(RedoTest, WhatCameBackIsThereAgainWhereTheJournalHeldTheRemoval) {
  paris_.set(1, "b", "older than all that is forgotten");
  exchange(paris_, oslo_);
  settle_down({&paris_, &oslo_});
  oslo_.inc(1, "n", 5);
  paris_.yield(1);
  const Documents removed = documents();
  exchange(paris_, oslo_);
  const Documents answered = documents();
  ASSERT_EQ(answered.count(1), 1u);
  come_back_with(removed);
  put_back();
  expect(answered);
  settle_down({&paris_, &oslo_});
  EXPECT_EQ(paris_.show(1), oslo_.show(1));
}

}  // namespace
}  // namespace outrigger
