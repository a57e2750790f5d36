#include "replication/outbox/commit_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>

#include "replication/outbox/memory/memory_log.h"

namespace outrigger::outbox {
namespace {

Error disk_full() { return {ErrorCode::kNoSpace, "sync outbox", "", "no space", ""}; }

class CommitThreadTest : public testing::Test {
 protected:
  using Outcome = std::future<Status>;

  Outcome when_durable() {
    return ask([this](auto callback) { commits_->when_durable(std::move(callback)); });
  }
  Outcome when_durable_soon() {
    return ask([this](auto callback) { commits_->when_durable_soon(std::move(callback)); });
  }
  // A sync is under way, and stays so until uncork().
  Outcome begin_corked_sync() {
    log_.cork();
    Outcome first = when_durable();
    log_.wait_until_begun(1);
    return first;
  }

  SystemThreads threads_;
  MemoryLog log_;
  std::vector<size_t> batches_;  // by the hook; read after a callback came
  std::atomic<int> failures_{0};
  std::unique_ptr<CommitThread> commits_ = std::make_unique<CommitThread>(
      log_, threads_,
      CommitThread::Hooks{[this](int64_t, size_t waiters) { batches_.push_back(waiters); },
                          [this](const Error&) { ++failures_; }});

  template <typename Ask>
  Outcome ask(Ask ask) {
    auto promise = std::make_shared<std::promise<Status>>();
    Outcome outcome = promise->get_future();
    ask([promise](const Status& status) { promise->set_value(status); });
    return outcome;
  }
};

TEST_F(CommitThreadTest, CallsBackOnceTheWriteIsDurable) {
  log_.write();
  EXPECT_TRUE(when_durable().get());
  EXPECT_EQ(log_.durable(), 1u);
}

TEST_F(CommitThreadTest, WhoeverComesDuringASyncSharesTheNextOne) {
  Outcome first = begin_corked_sync();
  log_.write();
  std::vector<Outcome> later;
  for (int i = 0; i < 20; ++i) later.push_back(when_durable());
  log_.uncork();
  EXPECT_TRUE(first.get());
  for (Outcome& each : later) EXPECT_TRUE(each.get());
  EXPECT_EQ(log_.syncs(), 2u);
  EXPECT_EQ(log_.durable(), 1u);
  commits_->stop();
  EXPECT_EQ(batches_, (std::vector<size_t>{1, 20}));
}

TEST_F(CommitThreadTest, AnUnhurriedWishIsServedWithoutAnUrgentOne) {
  log_.write();
  EXPECT_TRUE(when_durable_soon().get());
  EXPECT_EQ(log_.durable(), 1u);
}

TEST_F(CommitThreadTest, AnUnhurriedWishRidesOnAnUrgentSync) {
  Outcome first = begin_corked_sync();
  log_.write();
  Outcome soon = when_durable_soon();
  Outcome urgent = when_durable();
  log_.uncork();
  EXPECT_TRUE(urgent.get());
  EXPECT_TRUE(soon.get());
  EXPECT_EQ(log_.syncs(), 2u);
}

TEST_F(CommitThreadTest, ASyncNobodyNeedsYetIsPutOffButNotForLong) {
  const auto begun = std::chrono::steady_clock::now();
  log_.write();
  Outcome late = ask([this](auto callback) {
    commits_->when_durable(std::move(callback), std::chrono::hours(1));
  });
  EXPECT_TRUE(late.get());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, CommitThread::kLateMax);
  EXPECT_EQ(log_.durable(), 1u);
}

TEST_F(CommitThreadTest, WhoNeedsTheSyncNowTakesTheLateOnesAlong) {
  Outcome first = begin_corked_sync();
  log_.write();
  Outcome late = ask([this](auto callback) {
    commits_->when_durable(std::move(callback), std::chrono::hours(1));
  });
  Outcome now = when_durable();
  log_.uncork();
  EXPECT_TRUE(now.get());
  EXPECT_TRUE(late.get());
  EXPECT_EQ(log_.syncs(), 2u);
}

TEST_F(CommitThreadTest, ASyncForNobodyHappensSoon) {
  commits_->request_sync_soon();
  log_.wait_until_begun(1);
  commits_->stop();
  EXPECT_EQ(batches_, (std::vector<size_t>{0}));
}

TEST_F(CommitThreadTest, AFailedSyncIsToldToAllWhoWaited) {
  Outcome first = begin_corked_sync();
  Outcome second = when_durable();
  log_.break_with(disk_full());
  log_.uncork();
  EXPECT_EQ(first.get().error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(second.get().error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(log_.syncs(), 1u);  // a failed sync is not tried again
  EXPECT_EQ(failures_, 1);
}

TEST_F(CommitThreadTest, StaysFailedAfterTheDiskHealsUntilResumed) {
  log_.break_with(disk_full());
  EXPECT_FALSE(when_durable().get());
  log_.heal();
  EXPECT_FALSE(when_durable().get());
  ASSERT_TRUE(commits_->failure());
  commits_->resume();
  EXPECT_FALSE(commits_->failure());
  EXPECT_TRUE(when_durable().get());
}

TEST_F(CommitThreadTest, StopServesThoseWhoAskedBefore) {
  Outcome first = begin_corked_sync();
  log_.write();
  Outcome second = when_durable();
  std::thread stopper([&] { commits_->stop(); });
  log_.uncork();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
  stopper.join();
  EXPECT_EQ(log_.durable(), 1u);
}

TEST_F(CommitThreadTest, AfterStopCallersAreToldAtOnce) {
  commits_->stop();
  commits_->stop();
  EXPECT_EQ(when_durable().get().error().code, ErrorCode::kClosed);
}

TEST_F(CommitThreadTest, ACallbackMayAskAgain) {
  std::promise<Status> last;
  commits_->when_durable([&](const Status&) {
    commits_->when_durable([&](const Status& status) { last.set_value(status); });
  });
  EXPECT_TRUE(last.get_future().get());
  EXPECT_EQ(log_.syncs(), 2u);
}

TEST_F(CommitThreadTest, ManyWritersAreEachDurableWhenTold) {
  std::atomic<int> told{0};
  std::atomic<int> too_early{0};
  std::vector<std::thread> writers;
  for (int i = 0; i < 6; ++i) {
    writers.emplace_back([&] {
      for (int round = 0; round < 300; ++round) {
        const size_t mine = log_.write();
        const auto check = [&, mine](const Status& status) {
          too_early += !status || log_.durable() < mine;
          ++told;
        };
        round % 2 ? commits_->when_durable(check) : commits_->when_durable_soon(check);
      }
    });
  }
  for (std::thread& each : writers) each.join();
  commits_->stop();
  EXPECT_EQ(told, 1800);
  EXPECT_EQ(too_early, 0);
}

}  // namespace
}  // namespace outrigger::outbox
