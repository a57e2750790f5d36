// Who waits for news of a primary that is not served yet.
#include "proxy/client/greeting.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>

#include "config/clock.h"
#include "config/threads.h"
#include "proxy/net/memory/memory_stream.h"
#include "proxy/net/test_support.h"
#include "replication/store/memory/memory_store.h"
#include "replication/store/store.h"

namespace outrigger {
namespace {

// A primary's, of a set of several, elected so many times.
std::string hello_reply(char term) {
  bson::Writer out;
  out.boolean("isWritablePrimary", true).boolean("secondary", false).string("setName", "rs0");
  out.open_array("hosts").string("0", "a:1").string("1", "b:1").close();
  out.object_id("electionId", std::string(12, term));
  out.open_document("topologyVersion");
  out.object_id("processId", std::string(12, 'p')).int64("counter", 7).close();
  out.int32("ok", 1);
  return out.finish();
}

std::string hello(bool waits) {
  bson::Writer out;
  out.int32("hello", 1);
  if (waits) {
    out.open_document("topologyVersion");
    out.object_id("processId", std::string(12, 'p')).int64("counter", 7).close();
    out.int64("maxAwaitTimeMS", 10'000);
  }
  out.string("$db", "admin");
  return out.finish();
}

class GreetingTest : public testing::Test {
 protected:
  // Another member was elected since: the gate says no at once.
  GreetingTest() {
    serve('2');
    tasks_.spawn(answer(*this));
  }
  ~GreetingTest() override {
    backend_.close();
    client_.first->close();
    net::testing::wait_for(loop_, tasks_);
    loop_.block_on(gate_.close());
  }

  static net::Task<void> nobody_is_gone(std::string) { co_return; }
  void serve(char term) {
    const std::string said = hello_reply(term);
    served_.serve(process_of(bson::Document(said)));
  }

  // mongod: it answers at once.
  static net::Task<void> answer(GreetingTest& test) {
    wire::Framer framer;
    for (;;) {
      const auto bytes = co_await test.store_.second->read_some();
      if (!bytes || bytes->empty()) co_return;
      std::string_view rest = *bytes;
      const auto step = framer.next(rest);
      if (step.kind != wire::Framer::Kind::kMessage) continue;
      const auto asked = wire::parse_op_msg(step.message);
      test.asked_to_wait_.push_back(waits_for_news(asked->body));
      const std::string body = hello_reply('1');
      const std::string reply =
          wire::build_op_msg(1, asked->header.request_id, 0, bson::Document(body));
      (void)co_await test.store_.second->write(reply);
    }
  }
  static net::Task<void> greeting(GreetingTest& test, std::string body, uint32_t flags) {
    const std::string message = wire::build_op_msg(5, 0, flags, bson::Document(body));
    const auto parsed = wire::parse_op_msg(message);
    const bool goes_on = co_await test.greeting_.greet(test.backend_, *parsed);
    test.went_on_.push_back(goes_on);
  }
  void start_greeting(bool waits, uint32_t flags = 0) {
    tasks_.spawn(greeting(*this, hello(waits), flags));
  }
  static net::Task<void> until_answered(GreetingTest& test) {
    net::Timer timer(test.loop_);
    for (int i = 0; i < 1'000 && test.went_on_.empty(); ++i) (void)co_await timer.sleep_ms(1);
  }
  // What the client hears next: whether it is a primary.
  static net::Task<void> hearing(GreetingTest& test, std::optional<bool>& is_primary) {
    wire::Framer framer;
    for (;;) {
      const auto bytes = co_await test.client_.second->read_some();
      if (!bytes || bytes->empty()) co_return;
      std::string_view rest = *bytes;
      const auto step = framer.next(rest);
      if (step.kind != wire::Framer::Kind::kMessage) continue;
      is_primary = wire::parse_op_msg(step.message)->body.find("isWritablePrimary")->truthy();
      test.client_.second->unread(rest);
      co_return;
    }
  }
  std::optional<bool> heard() {
    std::optional<bool> is_primary;
    loop_.block_on(hearing(*this, is_primary));
    return is_primary;
  }

  net::Loop loop_;
  net::TaskGroup tasks_;
  SystemThreads threads_;
  Logger log_ =
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>());
  ServedProcess served_;
  StoreWorker worker_{std::make_unique<MemoryStore>(), threads_};
  StoreGate gate_{loop_,
                  worker_,
                  served_,
                  [](Store&, bool) -> Result<bool> { return false; },
                  {nobody_is_gone, [] {}},
                  log_};
  net::MemoryPair client_ = net::make_memory_pair(loop_);
  net::MemoryPair store_ = net::make_memory_pair(loop_);
  Backend backend_{std::move(store_.first), Uuid(), log_};
  const wire::Compressors spoken_;
  MessageRoom room_{loop_, std::make_shared<RoomBudget>(1'000)};
  ClientReplies replies_{*client_.first, spoken_, room_, log_, [] {}};
  const ShownNames names_;
  Greeting greeting_{loop_, gate_, names_, replies_, {[] {}, [] {}}};
  std::vector<bool> asked_to_wait_;
  std::vector<bool> went_on_;
};

TEST_F(GreetingTest, WhoWaitsWhileItIsHeldBackDoesNotAskAgainAtOnce) {
  start_greeting(false);
  EXPECT_EQ(heard(), false);
  const uint64_t began_us = loop_.now_us();
  for (int i = 0; i < 3; ++i) {
    start_greeting(true);
    EXPECT_EQ(heard(), false);
  }
  EXPECT_GE(loop_.now_us() - began_us, 3 * 90'000u);
  // Not at mongod, which knows of no news.
  EXPECT_EQ(asked_to_wait_, std::vector<bool>({false, false, false, false}));
}

TEST_F(GreetingTest, AStreamThatIsHeldBackHearsOfThePrimaryOnceItIsServed) {
  start_greeting(true, wire::kExhaustAllowed);
  EXPECT_EQ(heard(), false);
  EXPECT_EQ(heard(), false);
  serve('1');
  std::optional<bool> is_primary = false;
  for (int i = 0; i < 5 && is_primary == false; ++i) is_primary = heard();
  EXPECT_EQ(is_primary, true);
}

TEST_F(GreetingTest, WhoBeginsToWaitBehindTheEndIsNotKept) {
  greeting_.end();
  start_greeting(true);
  loop_.block_on(until_answered(*this));
  EXPECT_EQ(went_on_, std::vector<bool>({false}));
  EXPECT_TRUE(asked_to_wait_.empty());
}

}  // namespace
}  // namespace outrigger
