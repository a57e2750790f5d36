#include "proxy/net/memory/memory_network.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/net/memory/virtual_time.h"
#include "proxy/net/test_support.h"

namespace outrigger::net {
namespace {

using namespace testing;  // NOLINT: the verbs of this folder's tests

constexpr int64_t kDialMs = 1'000;

Task<void> sleep(Loop& loop, int64_t ms) {
  Timer timer(loop);
  (void)co_await timer.sleep_ms(ms);
}

using Dialled = Result<std::unique_ptr<Stream>>;

Task<void> dial_into(Network& network, std::string address, Dialled& dialled) {
  dialled = co_await network.connect(std::move(address), kDialMs);
}

// Oslo and paris, a program at each; paris echoes what it is told on port 7117.
class MemoryNetworkTest : public ::testing::Test {
 protected:
  MemoryNetworkTest() {
    listener_ = *paris_->listen("0.0.0.0:7117", [this](std::unique_ptr<Stream> stream) {
      tasks_.spawn(serve(std::move(stream)));
    });
  }
  ~MemoryNetworkTest() override {
    dialled_ = std::unique_ptr<Stream>();
    loop_.block_on(network_.stop());
    wait_for(loop_, tasks_);
  }

  Task<void> serve(std::unique_ptr<Stream> stream) {
    served_ = stream.get();
    co_await echo(*stream);
    served_ = nullptr;
  }
  void dial(const std::string& address = "paris:7117") {
    loop_.block_on(dial_into(*oslo_, address, dialled_));
  }
  Stream& near() { return **dialled_; }
  void pass(int64_t ms) { loop_.block_on(sleep(loop_, ms)); }
  [[nodiscard]] uint64_t now_ms() const { return loop_.now_us() / 1000; }
  void say(std::string bytes) {
    tasks_.spawn(write_once(near(), std::move(bytes), written_));
    read_ = {};
    tasks_.spawn(read_once(near(), read_));
  }

  Loop loop_{std::make_unique<VirtualTime>()};
  TaskGroup tasks_;
  MemoryNetwork network_{loop_, 1};
  std::unique_ptr<MemoryProcess> oslo_ = network_.start_process("oslo");
  std::unique_ptr<MemoryProcess> paris_ = network_.start_process("paris");
  std::unique_ptr<Listener> listener_;
  Stream* served_ = nullptr;
  Dialled dialled_;
  WriteOutcome written_;
  ReadOutcome read_;
};

TEST_F(MemoryNetworkTest, BytesTakeTheirTimeInEachDirection) {
  network_.set_delay("oslo", "paris", {30, 30});
  network_.set_delay("paris", "oslo", {5, 5});
  const uint64_t begin_ms = now_ms();
  dial();
  ASSERT_TRUE(dialled_);
  EXPECT_EQ(now_ms() - begin_ms, 35u);
  say("hello");
  pass(34);
  EXPECT_FALSE(read_.is_done);
  pass(2);
  EXPECT_EQ(read_.bytes, "hello");
}

TEST_F(MemoryNetworkTest, ADelayThatVariesChangesNoOrder) {
  network_.set_delay("oslo", "paris", {0, 50});
  dial();
  Status sent;
  size_t matched = 0;
  tasks_.spawn(send_pattern(near(), 3'000'000, sent));
  loop_.block_on(receive_pattern(near(), 0, matched));
  EXPECT_EQ(matched, 3'000'000u);
}

TEST_F(MemoryNetworkTest, TheEndsKnowEachOthersNames) {
  dial();
  pass(1);
  EXPECT_EQ(near().peer_address(), "paris:7117");
  EXPECT_EQ(near().local_address(), served_->peer_address());
  EXPECT_TRUE(near().local_address().starts_with("oslo:"));
  EXPECT_FALSE(near().is_loopback());
}

TEST_F(MemoryNetworkTest, NobodyListeningIsToldApartFromNobodyThere) {
  dial("paris:1");
  EXPECT_EQ(dialled_.error().code, ErrorCode::kUnavailable);
  network_.cut("paris", "oslo");
  const uint64_t begin_ms = now_ms();
  dial();
  EXPECT_EQ(dialled_.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(dialled_.error().object, "paris:7117");
  EXPECT_EQ(now_ms() - begin_ms, static_cast<uint64_t>(kDialMs));
}

TEST_F(MemoryNetworkTest, AHalfCutHoldsOneDirectionAndLosesNothing) {
  dial();
  network_.cut("paris", "oslo");
  say("is anybody there?");
  pass(60'000);
  EXPECT_FALSE(read_.is_done);
  network_.heal("paris", "oslo");
  pass(1);
  EXPECT_EQ(read_.bytes, "is anybody there?");
}

TEST_F(MemoryNetworkTest, AResetFailsBothEndsAtOnce) {
  dial();
  network_.set_delay("oslo", "paris", {100, 100});
  say("lost");
  pass(1);
  network_.reset("paris", "oslo");
  pass(1);
  EXPECT_TRUE(read_.is_done);
  EXPECT_EQ(read_.status.error().code, ErrorCode::kClosed);
  EXPECT_EQ(served_, nullptr);
  EXPECT_EQ(network_.connections(), 0u);
}

TEST_F(MemoryNetworkTest, AnEndArrivesAfterWhatWasWritten) {
  network_.set_delay("oslo", "paris", {20, 20});
  dial();
  say("last words");
  pass(1);
  dialled_ = std::unique_ptr<Stream>();
  pass(10);
  EXPECT_NE(served_, nullptr);
  pass(20);
  EXPECT_EQ(served_, nullptr);
  EXPECT_EQ(network_.connections(), 0u);
}

TEST_F(MemoryNetworkTest, OthersLearnOfADeathWhenWordArrives) {
  network_.set_delay("oslo", "paris", {20, 20});
  dial();
  pass(1);
  oslo_->kill();
  WriteOutcome outcome;
  loop_.block_on(write_once(near(), "from beyond", outcome));
  EXPECT_FALSE(outcome.status) << "what still runs of the dead gets nothing through";
  pass(10);
  EXPECT_NE(served_, nullptr);
  pass(11);
  EXPECT_EQ(served_, nullptr);
  dial();
  EXPECT_EQ(dialled_.error().code, ErrorCode::kClosed);
}

TEST_F(MemoryNetworkTest, TheDeadListenNoMoreAndTheirAddressIsFree) {
  paris_->kill();
  dial();
  EXPECT_EQ(dialled_.error().code, ErrorCode::kUnavailable);
  const auto heir = network_.start_process("paris");
  EXPECT_TRUE(heir->listen("paris:7117", [](auto) {}));
}

TEST_F(MemoryNetworkTest, AnAddressInUseAndOneThatIsNoneAreErrors) {
  const auto second = paris_->listen("127.0.0.1:7117", [](auto) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(paris_->listen("unix:/tmp/x", [](auto) {}));
}

TEST_F(MemoryNetworkTest, WhatIsNotOpenedIsClosed) {
  listener_ = nullptr;
  listener_ = *paris_->listen_for_arrivals("0.0.0.0:7117", [](auto) {});
  dial();
  ASSERT_TRUE(dialled_);
  loop_.block_on(read_once(near(), read_));
  EXPECT_TRUE(read_.status && read_.bytes.empty());
}

TEST_F(MemoryNetworkTest, WhoDoesNotReadIsToldOfTheEnd) {
  dial();
  bool told = false;
  near().on_end([&] { told = true; });
  pass(1);
  EXPECT_FALSE(told);
  paris_->kill();
  pass(1);
  EXPECT_TRUE(told);
}

Task<void> note_echo(Loop& loop, Stream& stream, std::string word, std::string& story) {
  const Status sent = co_await stream.write(word);
  if (!sent) co_return;
  const std::string back = co_await read_string(stream, word.size());
  story += back + "@" + std::to_string(loop.now_us()) + " ";
}

// What a world with these delays does, as text.
std::string story_of(uint64_t seed) {
  std::string story;
  Loop loop(std::make_unique<VirtualTime>());
  TaskGroup tasks;
  MemoryNetwork network(loop, seed);
  const auto oslo = network.start_process("oslo");
  const auto paris = network.start_process("paris");
  network.set_delay("oslo", "paris", {0, 40});
  network.set_delay("paris", "oslo", {0, 40});
  std::vector<std::unique_ptr<Stream>> streams;
  const auto listener = *paris->listen("paris:1", [&](std::unique_ptr<Stream> stream) {
    streams.push_back(std::move(stream));
    tasks.spawn(echo(*streams.back()));
  });
  for (int i = 0; i < 10; ++i) {
    auto stream = loop.block_on(oslo->connect("paris:1", kDialMs));
    streams.push_back(std::move(*stream));
    tasks.spawn(note_echo(loop, *streams.back(), "w" + std::to_string(i), story));
  }
  loop.block_on(sleep(loop, 1'000));
  loop.block_on(network.stop());
  wait_for(loop, tasks);
  return story;
}

TEST(MemoryNetworkSeedTest, ASeedReplaysToTheMicrosecondAndAnotherDiffers) {
  EXPECT_NE(story_of(7), "");
  EXPECT_EQ(story_of(7), story_of(7));
  EXPECT_NE(story_of(7), story_of(8));
}

}  // namespace
}  // namespace outrigger::net
