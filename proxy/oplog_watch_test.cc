#include "proxy/oplog_watch.h"

#include <gtest/gtest.h>

#include <vector>

namespace outrigger {
namespace {

net::Task<void> pass(net::Loop& loop, int64_t ms) {
  net::Timer timer(loop);
  co_await timer.sleep_ms(ms);
}

constexpr int64_t kLongMs = OplogWatch::kOftenUs / 1000 + 10;

class OplogWatchTest : public testing::Test {
 protected:
  void write_often() {
    watch_->write(true);
    watch_->write(true);
  }
  void pass_a_while(int64_t ms = 1) { loop_.block_on(pass(loop_, ms)); }
  void end_watch(const Status& status = {}) {
    watches_.back()(status);
    pass_a_while();
  }

  net::Loop loop_;
  std::vector<std::function<void(const Status&)>> watches_;  // begun so far
  std::unique_ptr<OplogWatch> watch_ = std::make_unique<OplogWatch>(
      loop_, [this](auto, auto done) { watches_.push_back(std::move(done)); });
};

TEST_F(OplogWatchTest, OneWriteIsNotWatchedFor) {
  watch_->write(true);
  EXPECT_EQ(watches_.size(), 0u);
}

TEST_F(OplogWatchTest, WritesFarApartAreNotWatchedFor) {
  watch_->write(true);
  pass_a_while(kLongMs);
  watch_->write(true);
  EXPECT_EQ(watches_.size(), 0u);
}

TEST_F(OplogWatchTest, WritesInCompanyAreNotWatchedFor) {
  watch_->write(true);
  watch_->write(false);
  watch_->write(true);
  EXPECT_EQ(watches_.size(), 0u);
}

TEST_F(OplogWatchTest, WritesThatComeOftenAreWatchedForByOneCursor) {
  write_often();
  write_often();
  EXPECT_EQ(watches_.size(), 1u);
}

TEST_F(OplogWatchTest, GoesOnWhileTheyCome) {
  write_often();
  end_watch();
  EXPECT_EQ(watches_.size(), 2u);
}

TEST_F(OplogWatchTest, EndsWhenTheyHaveStopped) {
  write_often();
  pass_a_while(kLongMs);
  end_watch();
  EXPECT_EQ(watches_.size(), 1u);
}

TEST_F(OplogWatchTest, EndsWhenTheyHaveGotCompany) {
  write_often();
  watch_->write(false);
  end_watch();
  EXPECT_EQ(watches_.size(), 1u);
}

TEST_F(OplogWatchTest, PausesAfterAFailure) {
  write_often();
  end_watch(fail(ErrorCode::kUnavailable, "watch oplog", "", "mongod is away"));
  write_often();
  EXPECT_EQ(watches_.size(), 1u);
}

TEST_F(OplogWatchTest, AnAnswerThatComesTooLateFindsNobody) {
  write_often();
  watch_.reset();
  end_watch();
  EXPECT_EQ(watches_.size(), 1u);
}

}  // namespace
}  // namespace outrigger
