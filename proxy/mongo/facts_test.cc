#include "proxy/mongo/facts.h"

#include <gtest/gtest.h>

#include "replication/store/memory/memory_store.h"

namespace outrigger {
namespace {

const std::string kNs = "shop.carts";

// Facts of two loops of one process. Both turn on the test's thread.
class FactsTest : public testing::Test {
 protected:
  CollectionInfo learn(Facts& facts, net::Loop& loop) { return *loop.block_on(facts.learn(kNs)); }
  static net::Task<void> turn_until(net::Loop& loop, std::function<bool()> done) {
    net::Timer timer(loop);
    while (!done()) (void)co_await timer.sleep_ms(1);
  }
  // Beside the proxy: nobody is told.
  void make() { store_->put(kNs, bson::Writer().int32("_id", 1).finish()); }

  SystemThreads threads_;
  ManualClock clock_;
  net::Loop here_;
  net::Loop there_;
  std::unique_ptr<MemoryStore> made_ = std::make_unique<MemoryStore>();
  MemoryStore* store_ = made_.get();
  StoreWorker worker_{std::move(made_), threads_};
  CatalogueChanges changes_;
  Facts ours_{changes_, StoreAsker(worker_, here_), clock_};
  Facts theirs_{changes_, StoreAsker(worker_, there_), clock_};
};

TEST_F(FactsTest, WhatIsForgottenOnOneLoopIsKnownOnNone) {
  make();
  EXPECT_TRUE(learn(ours_, here_).exists());
  EXPECT_TRUE(learn(theirs_, there_).exists());
  EXPECT_NE(theirs_.known(kNs), nullptr);
  const uint64_t before = theirs_.forgotten(kNs);
  ours_.forget(kNs);
  EXPECT_EQ(ours_.known(kNs), nullptr);
  EXPECT_EQ(theirs_.known(kNs), nullptr);
  EXPECT_GT(theirs_.forgotten(kNs), before);
  (void)learn(theirs_, there_);
  EXPECT_NE(theirs_.known(kNs), nullptr) << "learned anew";
}

TEST_F(FactsTest, WhenAnotherRunIsServedAllIsForgotten) {
  make();
  (void)learn(ours_, here_);
  (void)learn(theirs_, there_);
  changes_.forget_all();
  EXPECT_EQ(ours_.known(kNs), nullptr);
  EXPECT_EQ(theirs_.known(kNs), nullptr);
}

TEST_F(FactsTest, ACollectionThatAWriteOnOneLoopMadeIsMissingOnNone) {
  EXPECT_FALSE(learn(ours_, here_).exists());
  EXPECT_FALSE(learn(theirs_, there_).exists());
  EXPECT_NE(theirs_.known(kNs), nullptr) << "that there is none is known, too, for a while";
  const uint64_t before = theirs_.forgotten(kNs);
  make();
  ours_.made(kNs);
  EXPECT_EQ(ours_.known(kNs), nullptr);
  EXPECT_EQ(theirs_.known(kNs), nullptr);
  EXPECT_EQ(theirs_.forgotten(kNs), before) << "nobody who knows more has to ask again";
}

TEST_F(FactsTest, AWriteToACollectionThatIsKnownChangesNothing) {
  make();
  (void)learn(ours_, here_);
  (void)learn(theirs_, there_);
  ours_.made(kNs);
  EXPECT_NE(ours_.known(kNs), nullptr);
  EXPECT_NE(theirs_.known(kNs), nullptr);
}

net::Task<void> learn_into(Facts& facts, bool& is_told) {
  const Result<CollectionInfo> told = co_await facts.learn(kNs);
  is_told = told.has_value();
}

TEST_F(FactsTest, AnAnswerFromBeforeAChangeOnAnotherLoopIsNotKept) {
  make();
  net::TaskGroup tasks;
  bool is_told = false;
  tasks.spawn(learn_into(ours_, is_told));  // asked; nobody hears the answer before the loop turns
  theirs_.forget(kNs);
  here_.block_on(turn_until(here_, [&] { return is_told; }));
  EXPECT_EQ(ours_.known(kNs), nullptr);
}

}  // namespace
}  // namespace outrigger
