// Worlds as such: a seed replays, time and threads behave, a disk loses what it must.
#include "integration/world/world.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "proxy/net/loop_thread.h"
#include "proxy/net/memory/virtual_thread.h"

namespace outrigger::world {
namespace {

using std::chrono::milliseconds;

// A few seeds; tools/test runs many more of them without a sanitizer, tools/world new ones.
TEST(World, NothingIsLostDoubledDifferentOrStuck) {
  WorldOptions options;
  options.seed = 100;
  options.minutes = 10;
  for (int i = 0; i < 3; ++i, ++options.seed) {
    std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
    std::fflush(stdout);
    const WorldReport report = run_world(options);
    EXPECT_GT(report.acknowledged, 10u);
    EXPECT_EQ(report.violations, std::vector<std::string>{}) << report.story << options.seed;
  }
}

TEST(World, TheSameSeedIsTheSameStory) {
  WorldOptions options;
  options.seed = 7;
  options.minutes = 3;
  const WorldReport first = run_world(options);
  const WorldReport second = run_world(options);
  EXPECT_GT(first.events, 100u);
  EXPECT_EQ(first.events, second.events);
  EXPECT_EQ(first.digest, second.digest);
  options.seed = 8;
  EXPECT_NE(run_world(options).digest, first.digest);
}

class WorldThreadsTest : public ::testing::Test {
 protected:
  // Runs the loop until `ms` have passed.
  void pass(int64_t ms) { parts_.loop.block_on(parts_.sleep_ms(ms)); }

  WorldParts parts_{1};
  WorldThreads& threads_ = parts_.threads;
  std::string order_;
};

TEST_F(WorldThreadsTest, WhoSleepsWakesInTheOrderOfTime) {
  const auto sleeper = [this](int64_t ms, char name) {
    return threads_.start([this, ms, name] {
      threads_.sleep(milliseconds(ms));
      order_.push_back(name);
    });
  };
  const auto late = sleeper(30, 'c');
  const auto early = sleeper(10, 'a');
  const auto between = sleeper(20, 'b');
  pass(25);
  EXPECT_EQ(order_, "ab");
  pass(25);
  EXPECT_EQ(order_, "abc");
}

TEST_F(WorldThreadsTest, AWaitEndsWithANotificationOrItsTime) {
  Mutex mutex;
  Condition condition(threads_);
  const auto waiter = [&](int64_t ms, char name) {
    return threads_.start([&, ms, name] {
      const MutexLock lock(mutex);
      const bool told = condition.wait_until(mutex, threads_.now() + milliseconds(ms));
      order_ += told ? name : 'x';
    });
  };
  const auto first = waiter(50, 'a');
  const auto second = waiter(50, 'b');
  const auto third = waiter(50, 'c');
  pass(10);
  condition.notify_one();
  pass(10);
  EXPECT_EQ(order_, "a") << "who waits longest goes first";
  pass(100);
  EXPECT_EQ(order_, "axx");
}

TEST_F(WorldThreadsTest, WhoeverJoinsFromTheLoopLetsTheOthersGoOn) {
  auto thread = threads_.start([this] {
    threads_.sleep(milliseconds(500));
    order_ += "done";
  });
  thread.reset();
  EXPECT_EQ(order_, "done");
  EXPECT_GE(parts_.time->now_us(), 500'000u);
}

// A loop on a thread of its own, as a sidecar has for apps, in the process "oslo".
class WorldLoopTest : public WorldThreadsTest {
 protected:
  WorldLoopTest() {
    auto loop =
        std::make_unique<net::Loop>(std::make_unique<net::VirtualThread>(*parts_.time, threads_));
    auto network = oslo_->on(*loop);
    beside_ = std::make_unique<net::LoopThread>(std::move(loop), std::move(network));
    parts_.network.set_delay("oslo", "paris", {5, 5});
    beside_->start(threads_);
  }
  ~WorldLoopTest() override {
    parts_.loop.block_on(parts_.network.stop());
    pass(1);
    beside_->end();
  }
  static net::Task<void> echo(std::unique_ptr<net::Stream> stream) {
    for (;;) {
      const Result<std::string_view> bytes = co_await stream->read_some();
      if (!bytes || bytes->empty()) co_return;
      const Status sent = co_await stream->write(*bytes);
      if (!sent) co_return;
    }
  }
  static net::Task<void> talk(WorldLoopTest& test, net::Network& network, std::string address) {
    Result<std::unique_ptr<net::Stream>> stream = co_await network.connect(address, 1'000);
    if (!stream) {
      test.order_ += "none ";
      co_return;
    }
    const std::string word(200'000, 'x');  // more than any buffer between them
    net::TaskGroup writing;
    writing.spawn(write(**stream, word));
    size_t back = 0;
    while (back < word.size()) {
      const Result<std::string_view> bytes = co_await (*stream)->read_some();
      if (!bytes || bytes->empty()) break;
      back += bytes->size();
    }
    co_await writing.until_empty();
    test.order_ += back == word.size() ? "all " : "part ";
    const Result<std::string_view> end = co_await (*stream)->read_some();
    test.order_ += !end || end->empty() ? "end " : "more ";
  }
  static net::Task<void> write(net::Stream& to, const std::string& word) {
    const Status sent = co_await to.write(word);
    EXPECT_TRUE(sent);
  }

  std::unique_ptr<net::MemoryProcess> oslo_ = parts_.network.start_process("oslo");
  std::unique_ptr<net::MemoryProcess> paris_ = parts_.network.start_process("paris");
  std::unique_ptr<net::LoopThread> beside_;
  net::TaskGroup here_;
  net::TaskGroup there_;  // on the loop beside
};

TEST_F(WorldLoopTest, DialsAndHearsOfTheEnd) {
  const auto listener = *paris_->listen("paris:1", [this](std::unique_ptr<net::Stream> stream) {
    here_.spawn(echo(std::move(stream)));
  });
  beside_->loop().post([this] { there_.spawn(talk(*this, beside_->network(), "paris:1")); });
  pass(500);
  EXPECT_EQ(order_, "all ");
  paris_->kill();
  pass(500);
  EXPECT_EQ(order_, "all end ");
  EXPECT_TRUE(there_.empty());
}

TEST_F(WorldLoopTest, DialsWhereNobodyListens) {
  beside_->loop().post([this] { there_.spawn(talk(*this, beside_->network(), "paris:1")); });
  pass(500);
  EXPECT_EQ(order_, "none ");
}

TEST_F(WorldLoopTest, ServesWhatCameToTheFirst) {
  const auto listener =
      *oslo_->listen_for_arrivals("oslo:1", [this](std::unique_ptr<net::Arrival> arrival) {
        const auto carried = std::make_shared<std::unique_ptr<net::Arrival>>(std::move(arrival));
        beside_->loop().post(
            [this, carried] { there_.spawn(echo(std::move(*(*carried)->open(beside_->loop())))); });
      });
  here_.spawn(talk(*this, *paris_, "oslo:1"));
  pass(500);
  EXPECT_EQ(order_, "all ");
  oslo_->kill();
  pass(500);
  EXPECT_EQ(order_, "all end ");
  EXPECT_TRUE(there_.empty());
}

TEST(WorldDisk, APowerCutTakesWhatWasWrittenWhileASyncWasUnderWay) {
  const auto put = [](outbox::MemoryOutbox& disk, const char* key) {
    outbox::Batch batch;
    batch.put_meta(key, "1");
    ASSERT_TRUE(disk.write(std::move(batch)).has_value());
  };
  WorldDisk* writes_to = nullptr;
  WorldDisk disk([&] { put(*writes_to, "during"); }, [] { return Threads::TimePoint(); },
                 [](size_t writes) { return writes; });
  writes_to = &disk;
  put(disk, "before");
  ASSERT_TRUE(disk.sync().has_value());
  EXPECT_EQ(disk.unsynced(), 1u);
  WorldDisk after;
  after.take_over(disk);
  EXPECT_TRUE(after.meta("during")->has_value()) << "a killed process loses nothing";
  after.hold();
  EXPECT_EQ(after.held(), 1u);
  after.lose_unsynced();
  EXPECT_EQ(after.held(), 0u) << "nothing is left to be held";
  EXPECT_TRUE(after.meta("before")->has_value());
  EXPECT_FALSE(after.meta("during")->has_value());
}

TEST(WorldDisk, OfAWriteThatFailedAllIsThereLaterButWhatItPrepared) {
  WorldDisk disk([] {}, [] { return Threads::TimePoint::min(); }, [](size_t all) { return all; });
  disk.fail_until(Threads::TimePoint::min());
  outbox::Batch turn;
  turn.put_prepare(1, "never sent").put_meta("settled", "1");
  ASSERT_FALSE(disk.write(std::move(turn)).has_value());
  ASSERT_TRUE(disk.heals().has_value());
  WorldDisk after;
  after.take_over(disk);
  EXPECT_TRUE(after.meta("settled")->has_value());
  EXPECT_TRUE(after.scan_prepares()->empty());
}

}  // namespace
}  // namespace outrigger::world
