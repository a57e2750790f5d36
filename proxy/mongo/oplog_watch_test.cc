#include "proxy/mongo/oplog_watch.h"

#include <gtest/gtest.h>

#include <vector>

namespace outrigger {
namespace {

constexpr int64_t kOftenMs = OplogWatch::kOftenUs / 1000;

net::Task<void> pass(net::Loop& loop) {
  net::Timer timer(loop);
  co_await timer.sleep_ms(1);
}

class OplogWatchTest : public testing::Test {
 protected:
  void write() { const OplogWatch::Write one(watch_.get(), true); }
  void write_often() {
    write();
    clock_.advance_ms(kOftenMs);
    write();
    loop_.block_on(pass(loop_));
  }
  void end_watch(const Status& status = {}, int64_t after_ms = OplogWatch::kWatch.count()) {
    for (int64_t ms = 0; ms < after_ms && still_writing_; ms += kOftenMs) write_often();
    if (!still_writing_) clock_.advance_ms(after_ms);
    watches_.back()(status);
    loop_.block_on(pass(loop_));
  }

  net::Loop loop_;
  ManualClock clock_;
  bool still_writing_ = true;
  std::vector<std::function<void(const Status&)>> watches_;  // begun so far
  std::unique_ptr<OplogWatch> watch_ = std::make_unique<OplogWatch>(
      loop_, clock_, [this](auto, auto done) { watches_.push_back(std::move(done)); });
};

TEST_F(OplogWatchTest, OneWriteIsNotWatchedFor) {
  write();
  EXPECT_EQ(watches_.size(), 0u);
}

TEST_F(OplogWatchTest, WritesFarApartAreNotWatchedFor) {
  write();
  clock_.advance_ms(kOftenMs + 1);
  write();
  EXPECT_EQ(watches_.size(), 0u);
}

TEST_F(OplogWatchTest, WritesInCompanyAreNotWatchedFor) {
  const OplogWatch::Write other(watch_.get(), true);
  clock_.advance_ms(kOftenMs + 1);
  write_often();
  EXPECT_EQ(watches_.size(), 0u);
}

TEST_F(OplogWatchTest, WritesThatDoNotWaitForTheJournalAreNotWatchedFor) {
  for (int i = 0; i < 3; ++i) const OplogWatch::Write one(watch_.get(), false);
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
  still_writing_ = false;
  end_watch();
  EXPECT_EQ(watches_.size(), 1u);
}

TEST_F(OplogWatchTest, EndsWhenTheyHaveGotCompany) {
  write_often();
  clock_.advance_ms(OplogWatch::kWatch.count());
  write_often();
  const OplogWatch::Write one(watch_.get(), true);
  write();
  end_watch({}, 0);
  EXPECT_EQ(watches_.size(), 1u);
}

TEST_F(OplogWatchTest, PausesAfterAFailure) {
  write_often();
  end_watch(fail(ErrorCode::kUnavailable, "watch oplog", "", "mongod is away"));
  write_often();
  EXPECT_EQ(watches_.size(), 1u);
  clock_.advance_ms(OplogWatch::kPauseUs / 1000);
  write_often();
  EXPECT_EQ(watches_.size(), 2u);
}

TEST_F(OplogWatchTest, PausesWhenTheStoreDidNotWait) {
  write_often();
  end_watch({}, 1);
  write_often();
  EXPECT_EQ(watches_.size(), 1u);
}

TEST_F(OplogWatchTest, AnAnswerThatComesTooLateFindsNobody) {
  write_often();
  watch_.reset();
  still_writing_ = false;
  end_watch();
  EXPECT_EQ(watches_.size(), 1u);
}

}  // namespace
}  // namespace outrigger
