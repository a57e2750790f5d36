// A MemoryMongod over the network: messages whole and in pieces, the journal's time, a death.
#include "integration/memory_mongod/memory_mongod_server.h"

#include <gtest/gtest.h>

#include "integration/memory_mongod/memory_mongod_store.h"
#include "proxy/mongo/wire/framer.h"
#include "proxy/mongo/wire/op_msg.h"
#include "proxy/net/memory/memory_network.h"
#include "proxy/net/memory/virtual_time.h"

namespace outrigger::world {
namespace {

using bson::Document;
using bson::Writer;

constexpr int64_t kJournalMs = 10;
const std::string kLsid(16, 'l');

struct Told {
  std::string body;  // empty: the connection ended
  bool is_done = false;
};

net::Task<void> ask(net::Stream& stream, std::string message, Told& told) {
  const Status sent = co_await stream.write(message);
  wire::Framer framer;
  while (sent) {
    const Result<std::string_view> bytes = co_await stream.read_some();
    if (!bytes || bytes->empty()) break;
    std::string_view rest = *bytes;
    const wire::Framer::Step step = framer.next(rest);
    if (step.kind != wire::Framer::Kind::kMessage) continue;
    told.body = std::string(wire::parse_op_msg(step.message)->body.bytes());
    break;
  }
  told.is_done = true;
}

net::Task<void> sleep(net::Loop& loop, int64_t ms) {
  net::Timer timer(loop);
  (void)co_await timer.sleep_ms(ms);
}

class MemoryMongodServerTest : public ::testing::Test {
 protected:
  MemoryMongodServerTest() {
    server_ = *MemoryMongodServer::listen(loop_, *process_, mongod_, "db:27017", kJournalMs);
    stream_ = *loop_.block_on(client_->connect("db:27017", 1'000));
  }
  ~MemoryMongodServerTest() override {
    loop_.block_on(server_->stop());
    stream_.reset();
    loop_.block_on(network_.stop());
    loop_.block_on(sleep(loop_, 1));
  }

  MemoryMongod::Options options() {
    MemoryMongod::Options options;
    options.address = "db:27017";
    options.now_seconds = [this] { return uint32_t(loop_.now_us() / 1'000'000); };
    options.busy_ms = [this] { return busy_ms_; };
    return options;
  }

  static std::string insert(int32_t id, bool journaled) {
    Writer command;
    command.string("insert", "c").open_document("lsid").binary("id", 4, kLsid).close();
    command.open_array("documents");
    command.open_document("0").int32("_id", id).close().close();
    command.open_document("writeConcern").int32("w", 1).boolean("j", journaled).close();
    const std::string body = command.string("$db", "t").finish();
    return wire::build_op_msg(1, 0, 0, Document(body));
  }

  int64_t busy_ms_ = 0;
  net::Loop loop_{std::make_unique<net::VirtualTime>()};
  net::TaskGroup tasks_;
  net::MemoryNetwork network_{loop_, 1};
  std::unique_ptr<net::MemoryProcess> process_ = network_.start_process("db");
  std::unique_ptr<net::MemoryProcess> client_ = network_.start_process("app");
  MemoryMongod mongod_{options()};
  std::unique_ptr<MemoryMongodServer> server_;
  std::unique_ptr<net::Stream> stream_;
};

TEST_F(MemoryMongodServerTest, AnswersWhoDoesNotWaitAtOnceAndOthersFromTheJournal) {
  Told told;
  const uint64_t begin_us = loop_.now_us();
  loop_.block_on(ask(*stream_, insert(1, false), told));
  EXPECT_NE(told.body, "");
  EXPECT_EQ(loop_.now_us(), begin_us);
  EXPECT_EQ(mongod_.unjournaled(), 1u);
  loop_.block_on(ask(*stream_, insert(2, true), told));
  EXPECT_EQ(loop_.now_us() - begin_us, static_cast<uint64_t>(kJournalMs) * 1000);
  EXPECT_EQ(mongod_.unjournaled(), 0u);
}

TEST_F(MemoryMongodServerTest, ADeathWhileTheJournalIsWaitedForAnswersNobody) {
  Told told;
  tasks_.spawn(ask(*stream_, insert(1, true), told));
  loop_.block_on(sleep(loop_, kJournalMs / 2));
  process_->kill();
  EXPECT_EQ(mongod_.kill(0), 1u);
  loop_.block_on(server_->stop());
  loop_.block_on(sleep(loop_, kJournalMs));
  EXPECT_TRUE(told.is_done);
  EXPECT_EQ(told.body, "");
  EXPECT_EQ(mongod_.documents().size(), 0u);
}

TEST_F(MemoryMongodServerTest, ACommandOutlivesWhoSentItUntilTheFenceEndsIt) {
  busy_ms_ = 100;
  MemoryMongodStore store(mongod_);
  Told told;
  tasks_.spawn(ask(*stream_, insert(1, false), told));
  loop_.block_on(sleep(loop_, 10));
  client_->kill();
  ASSERT_TRUE(store.fence(std::vector{std::string(16, 'x')}, {}, std::chrono::milliseconds(10)));
  loop_.block_on(sleep(loop_, 200));
  EXPECT_EQ(mongod_.documents().size(), 1u) << "nobody ended it";

  const auto again = network_.start_process("app");
  auto stream = *loop_.block_on(again->connect("db:27017", 1'000));
  tasks_.spawn(ask(*stream, insert(2, false), told));
  loop_.block_on(sleep(loop_, 10));
  ASSERT_TRUE(store.fence(std::vector{kLsid}, {}, std::chrono::milliseconds(10)));
  loop_.block_on(sleep(loop_, 200));
  EXPECT_EQ(mongod_.documents().size(), 1u);
}

}  // namespace
}  // namespace outrigger::world
