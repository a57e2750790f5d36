// Each release of MongoDB that can be told from others by its hello, as far as the table of
// differences (replication/store/store_version.h) goes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "integration/world/world_driver.h"
#include "integration/world/world_site.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/mongo/wire/framer.h"
#include "proxy/mongo/wire/op_msg.h"

namespace outrigger::world {
namespace {

using bson::Document;
using bson::Writer;
using Outcome = WorldDriver::Outcome;

const std::vector<std::string> kSites = {"oslo", "paris"};

// A site of that release, one beside it, and an app that asks the first.
class WorldVersionsTest : public ::testing::TestWithParam<int32_t> {
 protected:
  void SetUp() override {
    for (WorldSite* site : {&site_, &other_}) {
      site->start_mongod();
      site->start_sidecar();
    }
    pass_ms(5'000);
  }
  void TearDown() override {
    app_->kill();
    parts_.loop.block_on(site_.stop());
    parts_.loop.block_on(other_.stop());
    parts_.loop.block_on(parts_.network.stop());
  }
  void pass_ms(int64_t ms) { parts_.loop.block_on(parts_.sleep_ms(ms)); }
  WorldDriver::Answer ask(Writer command) {
    WorldDriver::Answer answer;
    parts_.loop.block_on(ask(driver_, command.finish(), answer));
    return answer;
  }
  static net::Task<void> ask(WorldDriver& driver, std::string command,
                             WorldDriver::Answer& answer) {
    answer = co_await driver.write(command);
  }
  void insert(int id, int order) {
    Writer command;
    command.string("insert", "things").open_array("documents").open_document("0");
    command.int32("_id", id).int32("order", order).int32("kind", 7).close().close();
    ASSERT_EQ(ask(std::move(command)).outcome, Outcome::kDone);
  }
  WorldDriver::Answer add_to_first(bool is_sorted) {
    Writer command;
    command.string("update", "things").open_array("updates").open_document("0");
    command.open_document("q").int32("kind", 7).close();
    command.open_document("u").open_document("$inc").int32("n", 1).close().close();
    if (is_sorted) command.open_document("sort").int32("order", 1).close();
    command.close().close();
    return ask(std::move(command));
  }
  // Under one number, over a connection of its own each, the second while the first is under way.
  void add_in_two_attempts(int id) {
    Writer command;
    command.string("update", "things").open_array("updates").open_document("0");
    command.open_document("q").int32("_id", id).close();
    command.open_document("u").open_document("$inc").int32("n", 1).close().close();
    command.close().close();
    command.open_document("lsid").binary("id", 4, std::string(16, 'l')).close();
    command.int64("txnNumber", 1).string("$db", "shop");
    const std::string body = command.finish();
    net::TaskGroup attempts;
    for (bool& is_done : done_) attempts.spawn(send(*app_, site_.proxy_address(), body, is_done));
    pass_ms(20'000);
    EXPECT_TRUE(done_[0] && done_[1]);
  }
  static net::Task<void> send(net::Network& network, std::string address, std::string body,
                              bool& is_done) {
    auto stream = co_await network.connect(address, 1'000);
    if (!stream) co_return;
    const std::string message = wire::build_op_msg(1, 0, 0, Document(body));
    const Status sent = co_await (*stream)->write(message);
    if (!sent) co_return;
    wire::Framer framer;
    for (;;) {
      const Result<std::string_view> bytes = co_await (*stream)->read_some();
      if (!bytes || bytes->empty()) co_return;
      std::string_view rest = *bytes;
      const wire::Framer::Step step = framer.next(rest);
      if (step.kind != wire::Framer::Kind::kMessage) continue;
      const auto said = wire::parse_op_msg(step.message);
      is_done = said && said->body.find("n") && said->body.find("n")->to_int64() == 1;
      co_return;
    }
  }
  bool has_n(int id) const { return n_at(site_, id) != 0; }
  static int64_t n_at(const WorldSite& site, int id) {
    const auto document = site.documents().document("shop.things", bson::make_int32(id));
    const auto n = document ? Document(*document).find("n") : std::nullopt;
    return n ? n->to_int64().value_or(0) : 0;
  }

  WorldParts parts_{1};
  WorldSite site_{parts_, kSites[0], kSites, {false, GetParam(), false}};
  WorldSite other_{parts_, kSites[1], kSites, {false, 17, false}};
  bool done_[2] = {};
  std::unique_ptr<net::MemoryProcess> app_ = parts_.network.start_process("oslo");
  WorldDriver driver_{parts_, *app_, site_.proxy_address(), true};
};

TEST_P(WorldVersionsTest, ServesWritesInTheFormsThatItKnows) {
  ASSERT_NE(site_.sidecar(), nullptr);
  insert(1, 20);
  insert(2, 10);
  EXPECT_EQ(add_to_first(false).outcome, Outcome::kDone);
  EXPECT_TRUE(has_n(1) != has_n(2));
}

TEST_P(WorldVersionsTest, AnUpdateThatSortsIsCapturedOrRefusedAsThere) {
  insert(1, 20);
  insert(2, 10);
  const WorldDriver::Answer answer = add_to_first(true);
  if (has(GetParam(), StoreFeature::kSortsUpdates)) {
    EXPECT_EQ(answer.outcome, Outcome::kDone);
    EXPECT_TRUE(has_n(2) && !has_n(1));
  } else {
    EXPECT_EQ(answer.code, 40415);
    EXPECT_FALSE(has_n(1) || has_n(2));
  }
}

// Drivers go by maxWireVersion: what is not captured is not offered, and refused where it is sent.
TEST_P(WorldVersionsTest, WritesInBulkOfItsOwnCommandAreRefused) {
  Writer command;
  command.int32("bulkWrite", 1).open_array("ops").close().open_array("nsInfo").close();
  const WorldDriver::Answer answer = ask(std::move(command));
  EXPECT_EQ(answer.outcome, Outcome::kRefused);
  EXPECT_EQ(answer.code, wire::code::kCommandNotSupported);
}

TEST_P(WorldVersionsTest, TwoAttemptsAtOneWriteCountOnce) {
  insert(1, 10);
  pass_ms(2'000);
  add_in_two_attempts(1);
  EXPECT_EQ(n_at(site_, 1), 1);
  EXPECT_EQ(n_at(other_, 1), 1);
}

TEST(WorldVersion, AnOlderOneIsRefusedAtStart) {
  WorldParts parts(1);
  WorldSite site(parts, "oslo", {"oslo"}, {false, kWireVersionMin - 1, false});
  site.start_mongod();
  site.start_sidecar();
  parts.loop.block_on(parts.sleep_ms(5'000));
  EXPECT_EQ(site.sidecar(), nullptr);
  ASSERT_FALSE(site.troubles().empty());
  EXPECT_NE(site.troubles().front().find("older than MongoDB 4.4"), std::string::npos);
  parts.loop.block_on(site.stop());
  parts.loop.block_on(parts.network.stop());
}

INSTANTIATE_TEST_SUITE_P(Releases, WorldVersionsTest, testing::Values(9, 13, 17, 21, 25),
                         [](const auto& of) { return fmt::format("Wire{}", of.param); });

TEST(StoreVersion, EachFeatureHasARowAndAllReleasesAreInOrder) {
  for (const StoreFeatureRow& row : kStoreFeatures) {
    EXPECT_EQ(&row_of(row.feature), &row);
    EXPECT_FALSE(row.source.empty());
    EXPECT_GE(row.wire_version, kWireVersionMin);
  }
  EXPECT_TRUE(std::is_sorted(kStoreFeatures.begin(), kStoreFeatures.end(),
                             [](const StoreFeatureRow& a, const StoreFeatureRow& b) {
                               return a.wire_version < b.wire_version;
                             }));
}

}  // namespace
}  // namespace outrigger::world
