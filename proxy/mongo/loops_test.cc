// What several loops share, with each on a thread of its own: for ThreadSanitizer too.
#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <vector>

#include "config/clock.h"
#include "proxy/mongo/facts.h"
#include "proxy/mongo/journal_keeper.h"
#include "proxy/mongo/message_room.h"
#include "proxy/mongo/oplog_watch.h"
#include "proxy/mongo/store_gate.h"
#include "proxy/net/loop_thread.h"
#include "proxy/net/uv/uv_network.h"
#include "replication/store/memory/memory_store.h"

namespace outrigger {
namespace {

Logger silent() {
  return std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>());
}

std::unique_ptr<net::LoopThread> make_loop() {
  auto loop = std::make_unique<net::Loop>();
  auto network = std::make_unique<net::UvNetwork>(*loop);
  return std::make_unique<net::LoopThread>(std::move(loop), std::move(network));
}

// The test's own loop, and two beside it. What lives on those is made before start() and is taken
// away after end().
class LoopsTest : public testing::Test {
 protected:
  LoopsTest() {
    for (int i = 0; i < 2; ++i) beside_.push_back(make_loop());
  }
  void start() {
    for (const auto& each : beside_) each->start(threads_);
  }
  void end() {
    for (const auto& each : beside_) each->end();
  }
  [[nodiscard]] std::vector<net::Loop*> all() {
    return {&loop_, &beside_[0]->loop(), &beside_[1]->loop()};
  }
  static net::Task<void> turn_until(net::Loop& loop, std::function<bool()> done) {
    net::Timer timer(loop);
    while (!done()) (void)co_await timer.sleep_ms(1);
  }
  void until(std::function<bool()> done) { loop_.block_on(turn_until(loop_, std::move(done))); }

  SystemThreads threads_;
  SystemClock clock_;
  net::Loop loop_;
  std::vector<std::unique_ptr<net::LoopThread>> beside_;
};

// ---- the gate

class StoreGateTest : public LoopsTest {
 protected:
  StoreGateTest() {
    served_.serve("one");
    gate_ = std::make_unique<StoreGate>(
        loop_, worker_, served_,
        [this](Store&, bool is_cut_off) -> Result<bool> {
          ++steps_;
          if (!is_put_back_ || !is_cut_off) return false;
          served_.serve(answers_);
          return true;
        },
        StoreGate::Hooks{
            [this](std::string process) { return note_gone(*this, std::move(process)); },
            [this] { passed_before_open_ = passed_.load(); }},
        silent());
  }
  static net::Task<void> note_gone(StoreGateTest& test, std::string process) {
    test.gone_.push_back(std::move(process));
    if (test.ending_) (void)co_await test.ending_->wait();
  }
  static net::Task<void> pass(StoreGateTest& test, net::Loop& loop, std::string process) {
    const bool passed = co_await test.gate_->pass(loop, std::move(process));
    ++(passed ? test.passed_ : test.refused_);
  }
  // On each loop so many.
  void pass(const std::string& process, int count = 1) {
    for (size_t i = 0; i < all().size(); ++i) {
      net::Loop* loop = all()[i];
      loop->post([this, i, loop, process, count] {
        for (int k = 0; k < count; ++k) tasks_[i].spawn(pass(*this, *loop, process));
      });
    }
  }

  const char* answers_ = "two";  // when it is put back
  ServedProcess served_;
  MemoryStore* store_ = new MemoryStore();  // the worker's
  StoreWorker worker_{std::unique_ptr<MemoryStore>(store_), threads_};
  std::unique_ptr<StoreGate> gate_;
  std::atomic<bool> is_put_back_{false};
  std::atomic<int> steps_{0};
  std::atomic<int> passed_{0};
  std::atomic<int> refused_{0};
  int passed_before_open_ = -1;
  std::vector<std::string> gone_;
  std::shared_ptr<net::OneShot<bool>> ending_;  // connections to it are, until this is set
  std::array<net::TaskGroup, 3> tasks_;         // each of its loop
};

TEST_F(StoreGateTest, WhoWaitsOnAnyLoopPassesOnceItIsPutBack) {
  start();
  pass("one", 100);
  until([this] { return passed_ == 300; });
  pass("two", 100);
  until([this] { return steps_ > 1; });
  is_put_back_ = true;
  until([this] { return passed_ == 600; });
  EXPECT_EQ(passed_before_open_, 300) << "facts are forgotten before anybody passes";
  EXPECT_EQ(gone_, std::vector<std::string>({"one"}));
  pass("one");  // a connection to the run that is gone
  until([this] { return refused_ == 3; });
  loop_.block_on(gate_->close());
  end();
}

TEST_F(StoreGateTest, WhoWaitsForARunThatIsGoneAsWellIsRefusedOnceAnotherIsServed) {
  start();
  answers_ = "three";
  pass("two", 50);
  until([this] { return steps_ > 1; });
  is_put_back_ = true;
  until([this] { return refused_ == 150; });
  pass("three");
  until([this] { return passed_ == 3; });
  loop_.block_on(gate_->close());
  end();
}

TEST_F(StoreGateTest, APrimaryOfAnEarlierTermIsRefusedAtOnce) {
  const auto run = [](char term) { return std::string(12, 'p') + std::string(12, term); };
  served_.serve(run(2));
  start();
  pass(run(1), 50);
  until([this] { return refused_ == 150; });
  EXPECT_EQ(steps_, 0) << "nobody looks at the store for that";
  loop_.block_on(gate_->close());
  end();
}

TEST_F(StoreGateTest, NothingIsPutBackAsLongAsConnectionsToTheOldRunAreEnding) {
  ending_ = std::make_shared<net::OneShot<bool>>(loop_);
  is_put_back_ = true;
  start();
  pass("two");
  until([this] { return !gone_.empty(); });
  int turns = 0;
  until([&turns] { return ++turns > 20; });
  EXPECT_EQ(steps_, 0);
  ending_->set(true);
  until([this] { return passed_ == 3; });
  EXPECT_EQ(steps_, 1);
  loop_.block_on(gate_->close());
  end();
}

TEST_F(StoreGateTest, ARunThatOnlyTheStepMeetsIsServedAfterTheOldOnesConnectionsHaveEnded) {
  store_->fail_next(1);  // the first look meets nobody
  is_put_back_ = true;
  start();
  pass("two");
  until([this] { return passed_ == 3; });
  EXPECT_EQ(gone_, std::vector<std::string>({"one"}));
  EXPECT_EQ(steps_, 2);
  loop_.block_on(gate_->close());
  end();
}

TEST_F(StoreGateTest, NobodyWaitsAtAGateThatIsClosed) {
  start();
  pass("two", 50);
  until([this] { return steps_ > 1; });
  loop_.block_on(gate_->close());
  until([this] { return refused_ == 150; });
  pass("two");
  until([this] { return refused_ == 153; });
  EXPECT_EQ(passed_, 0);
  end();
}

// ---- rooms

// A connection that gathers a message of so many bytes.
struct Sender {
  Sender(net::Loop& its_loop, const std::shared_ptr<RoomBudget>& budget)
      : loop(its_loop),
        room(its_loop, budget),
        hold([] { return size_t{0}; },
             [this] {
               is_pushed_out = true;
               hold.release();
             }) {}
  static net::Task<void> taking(Sender& sender, size_t bytes, bool complete) {
    const bool got = co_await sender.hold.take(sender.room, bytes);
    if (complete) sender.hold.complete();
    ++(got ? sender.granted : sender.refused);
  }
  void take(size_t bytes, bool complete = false) {
    loop.post([this, bytes, complete] { tasks.spawn(taking(*this, bytes, complete)); });
  }
  void release() {
    loop.post([this] { hold.release(); });
  }

  net::Loop& loop;
  MessageRoom room;
  MessageRoom::Hold hold;
  net::TaskGroup tasks;
  std::atomic<bool> is_pushed_out{false};
  std::atomic<int> granted{0};
  std::atomic<int> refused{0};
};

class SharedRoomTest : public LoopsTest {
 protected:
  std::shared_ptr<RoomBudget> budget_ = std::make_shared<RoomBudget>(100);
  Sender here_{loop_, budget_};
  Sender there_{beside_[0]->loop(), budget_};
  Sender beyond_{beside_[1]->loop(), budget_};
};

TEST_F(SharedRoomTest, HoldsSoManyBytesForAllLoopsTogetherInTheOrderAsked) {
  start();
  here_.take(80, true);
  until([this] { return here_.granted == 1; });
  there_.take(50, true);
  until([this] { return budget_->waiting() == 1; });
  beyond_.take(10, true);  // would fit, but is not before its turn
  until([this] { return budget_->waiting() == 2; });
  EXPECT_EQ(budget_->held_bytes(), 80u);
  here_.release();
  until([this] { return there_.granted == 1 && beyond_.granted == 1; });
  EXPECT_EQ(budget_->held_bytes(), 60u);
  there_.release();
  beyond_.release();
  until([this] { return budget_->held_bytes() == 0; });
  end();
}

TEST_F(SharedRoomTest, AMessageThatHasStoppedMakesRoomForOneOfAnotherLoop) {
  start();
  there_.take(100);
  until([this] { return there_.granted == 1; });
  beyond_.take(10, true);
  until([this] { return beyond_.granted == 1; });
  EXPECT_TRUE(there_.is_pushed_out);
  beyond_.release();
  until([this] { return budget_->held_bytes() == 0; });
  end();
}

TEST_F(SharedRoomTest, WhoComesAndGoesOnAllLoopsLeavesNothing) {
  start();
  for (int i = 0; i < 2'000; ++i) {
    for (Sender* each : {&here_, &there_, &beyond_}) {
      each->take(60, true);
      each->release();  // perhaps while it waits, or while it is told that it need not
    }
  }
  until([this] {
    int ended = 0;
    for (const Sender* each : {&here_, &there_, &beyond_}) ended += each->granted + each->refused;
    return ended == 6'000 && budget_->held_bytes() == 0 && budget_->waiting() == 0;
  });
  end();
}

// ---- what every write touches

TEST_F(LoopsTest, TheJournalIsAskedForWhatWasAnsweredOnAnyLoop) {
  std::atomic<Hlc> answered{0};
  std::atomic<Hlc> journaled{0};
  const auto vector = [](Hlc hlc) {
    VersionVector out;
    out.raise(Origin{}, hlc);
    return out;
  };
  JournalKeeper keeper(loop_,
                       {[&] { return vector(answered); }, [&] { return vector(journaled); },
                        [&](const VersionVector& told) { journaled = told.at(Origin{}); }},
                       [](auto done) { done({}); });
  start();
  std::atomic<int> ended{0};
  for (net::Loop* loop : all()) {
    loop->post([&] {
      for (int i = 0; i < 10'000; ++i) {
        ++answered;
        keeper.touch();
      }
      ++ended;
    });
  }
  until([&] { return ended == 3 && journaled == 30'000; });
  end();
}

TEST_F(LoopsTest, OnlyOneCursorWatchesWhateverTheLoopsWrite) {
  std::atomic<int> watching{0};
  std::atomic<int> most{0};
  StoreWorker worker(std::make_unique<MemoryStore>(), threads_);
  OplogWatch watch(loop_, clock_, [&](auto, auto done) {
    most = std::max(most.load(), ++watching);
    worker.post([&, done](Store&) {
      --watching;
      done({});
    });
  });
  start();
  std::atomic<int> ended{0};
  for (net::Loop* loop : all()) {
    loop->post([&] {
      for (int i = 0; i < 10'000; ++i) const OplogWatch::Write one(&watch, true);
      ++ended;
    });
  }
  until([&] { return ended == 3 && watching == 0; });
  EXPECT_LE(most, 1);
  end();
}

TEST_F(LoopsTest, ACatalogueThatChangesOnOneLoopIsAskedForOnTheOthers) {
  auto store = std::make_unique<MemoryStore>();
  store->put("shop.carts", bson::Writer().int32("_id", 1).finish());
  StoreWorker worker(std::move(store), threads_);
  CatalogueChanges changes;
  std::vector<std::unique_ptr<Facts>> facts;
  for (net::Loop* loop : all()) {
    facts.push_back(std::make_unique<Facts>(changes, StoreAsker(worker, *loop), clock_));
  }
  std::array<net::TaskGroup, 3> tasks;
  std::atomic<int> ended{0};
  std::atomic<int> wrong{0};
  struct Asking {
    static net::Task<void> run(Facts& facts, std::atomic<int>& ended, std::atomic<int>& wrong) {
      for (int i = 0; i < 300; ++i) {
        const Result<CollectionInfo> told = co_await facts.learn("shop.carts");
        if (!told || !told->exists()) ++wrong;
        if (i % 3 == 0) facts.forget("shop.carts");
        if (i % 3 == 0 && facts.known("shop.carts") != nullptr) ++wrong;
        facts.made("shop.carts");
      }
      ++ended;
    }
  };
  start();
  for (size_t i = 0; i < 3; ++i) {
    all()[i]->post([&, i] { tasks[i].spawn(Asking::run(*facts[i], ended, wrong)); });
  }
  until([&] { return ended == 3; });
  EXPECT_EQ(wrong, 0);
  end();
}

}  // namespace
}  // namespace outrigger
