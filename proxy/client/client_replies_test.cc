// Replies on their way to an app: packed or not, held or not, and by whom.
#include "proxy/client/client_replies.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>

#include <list>

#include "proxy/net/memory/memory_stream.h"
#include "proxy/net/test_support.h"

namespace outrigger {
namespace {

using Way = net::MemoryWire::Way;

constexpr size_t kRoomBytes = 1'000'000;

std::string reply_of(size_t text_bytes) {
  bson::Writer body;
  body.string("text", std::string(text_bytes, 'x')).int32("ok", 1);
  const std::string bytes = body.finish();
  return wire::build_op_msg(7, 3, 0, bson::Document(bytes));
}

class ClientRepliesTest : public testing::Test {
 protected:
  // A connection of an app, and its own to mongod.
  struct Connection {
    Connection(ClientRepliesTest& test, bool store_packs)
        : app(net::make_memory_pair(test.loop_)), store(net::make_memory_pair(test.loop_)) {
      const wire::Compressors offered = {wire::Compressor::kZstd};
      backend = std::make_unique<Backend>(std::move(store.first), Uuid(), test.log_,
                                          store_packs ? offered : wire::Compressors());
      bson::Writer agreed;
      agreed.open_array("compression").string("0", "zstd").close().int32("ok", 1);
      const std::string said = agreed.finish();
      backend->note_agreed(bson::Document(said));
      replies =
          std::make_unique<ClientReplies>(*app.first, test.spoken_, test.room_, test.log_, [this] {
            is_pushed_out = true;
            app.first->close();
            replies->release();
          });
    }
    net::MemoryPair app;
    net::MemoryPair store;
    std::unique_ptr<Backend> backend;
    std::unique_ptr<ClientReplies> replies;
    bool is_pushed_out = false;
    std::optional<Result<uint32_t>> relayed;
    std::string came;
  };

  static net::Task<void> say(net::Stream& to, std::string bytes) { (void)co_await to.write(bytes); }
  static net::Task<void> relay(Connection& connection) {
    Result<uint32_t> flags = co_await connection.replies->relay(*connection.backend);
    connection.relayed = std::move(flags);
  }
  static net::Task<void> take(Connection& connection) {
    for (;;) {
      const auto bytes = co_await connection.app.second->read_some();
      if (!bytes || bytes->empty()) co_return;
      connection.came.append(*bytes);
    }
  }
  // mongod's reply comes, and is on its way to the app.
  void reply(Connection& connection, std::string message) {
    tasks_.spawn(say(*connection.store.second, std::move(message)));
    tasks_.spawn(relay(connection));
  }
  // Of an app that takes nothing.
  void hold_for(Connection& stuck, const std::string& packed, size_t bytes) {
    reply(stuck, packed);
    ASSERT_TRUE(until([&] { return budget_->held_bytes() >= bytes; }));
  }
  void comes_as_it_is(Connection& connection, const std::string& message) {
    read(connection);
    reply(connection, message);
    ASSERT_TRUE(until([&] { return connection.came.size() >= message.size(); }));
    EXPECT_TRUE(connection.came == message);
  }
  void read(Connection& connection) { tasks_.spawn(take(connection)); }
  static net::Task<void> waiting(net::Loop& loop, std::function<bool()> done) {
    net::Timer timer(loop);
    for (int i = 0; i < 10'000 && !done(); ++i) (void)co_await timer.sleep_ms(1);
  }
  bool until(const std::function<bool()>& done) {
    loop_.block_on(waiting(loop_, done));
    return done();
  }
  ~ClientRepliesTest() override {
    for (Connection& each : connections_) {
      each.app.first->close();
      each.replies->release();
      each.backend->close();
      each.store.second->close();
    }
    net::testing::wait_for(loop_, tasks_);
  }
  Connection& connect(bool store_packs) { return connections_.emplace_back(*this, store_packs); }

  net::Loop loop_;
  Logger log_ =
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>());
  const wire::Compressors spoken_ = {wire::Compressor::kZlib};
  std::shared_ptr<RoomBudget> budget_ = std::make_shared<RoomBudget>(kRoomBytes);
  MessageRoom room_{loop_, budget_};
  std::list<Connection> connections_;
  net::TaskGroup tasks_;
};

TEST_F(ClientRepliesTest, AReplyThatCameForAPackedRequestIsPacked) {
  Connection& one = connect(false);
  one.replies->answer_by(wire::Compressor::kZlib);
  const std::string message = reply_of(200'000);
  read(one);
  reply(one, message);
  ASSERT_TRUE(until([&] { return one.relayed.has_value(); }));
  ASSERT_TRUE(until([&] { return one.came == *wire::compress(message, wire::Compressor::kZlib); }));
  EXPECT_EQ(budget_->held_bytes(), 0u);
}

TEST_F(ClientRepliesTest, AReplyGoesPlainWhereTheRoomIsTakenByOthers) {
  Connection& one = connect(false);
  one.replies->answer_by(wire::Compressor::kZlib);
  MessageRoom::Hold others([] { return size_t{0}; }, [] {});
  ASSERT_TRUE(others.take_now(room_, kRoomBytes - 1'000));
  const std::string message = reply_of(200'000);
  comes_as_it_is(one, message);
}

TEST_F(ClientRepliesTest, AReplyThatCameLargerThanIsPackedGoesPlain) {
  Connection& one = connect(false);
  one.replies->answer_by(wire::Compressor::kZlib);
  const std::string message = reply_of(wire::packed_bytes_max(wire::Compressor::kZlib));
  comes_as_it_is(one, message);
}

TEST_F(ClientRepliesTest, WhatTheStorePackedIsHeldOnlyInRoomAndWaitsForIt) {
  Connection& stuck = connect(true);
  Connection& one = connect(true);
  const std::string message = reply_of(600'000);
  const std::string packed = *wire::compress(message, wire::Compressor::kZstd);
  hold_for(stuck, packed, message.size());
  read(one);
  reply(one, packed);
  ASSERT_TRUE(until([&] { return budget_->waiting() == 1; }));
  EXPECT_TRUE(one.came.empty());
  read(stuck);
  ASSERT_TRUE(until([&] { return one.came.size() >= message.size(); }));
  EXPECT_TRUE(one.came == message);
  EXPECT_TRUE(stuck.came == message);
  ASSERT_TRUE(until([&] { return budget_->held_bytes() == 0; }));
}

TEST_F(ClientRepliesTest, WhoTakesNothingIsPushedOutForThoseWhoWait) {
  Connection& stuck = connect(true);
  Connection& one = connect(true);
  const std::string message = reply_of(600'000);
  const std::string packed = *wire::compress(message, wire::Compressor::kZstd);
  hold_for(stuck, packed, message.size());
  read(one);
  reply(one, packed);
  ASSERT_TRUE(until([&] { return one.came.size() >= message.size(); }));
  EXPECT_TRUE(stuck.is_pushed_out);
  EXPECT_FALSE(one.is_pushed_out);
}

TEST_F(ClientRepliesTest, WhoLeavesWhileItWaitsForRoomIsLetGo) {
  Connection& one = connect(true);
  MessageRoom::Hold others([] { return size_t{0}; }, [] {});
  ASSERT_TRUE(others.take_now(room_, kRoomBytes));
  reply(one, *wire::compress(reply_of(600'000), wire::Compressor::kZstd));
  ASSERT_TRUE(until([&] { return budget_->waiting() == 1; }));
  one.replies->release();
  ASSERT_TRUE(until([&] { return one.relayed.has_value(); }));
  EXPECT_FALSE(*one.relayed);
  EXPECT_EQ(budget_->waiting(), 0u);
}

}  // namespace
}  // namespace outrigger
