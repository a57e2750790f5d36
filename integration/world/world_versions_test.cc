// Each release of MongoDB that can be told from others by its hello, as far as the table of
// differences (replication/store/store_version.h) goes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "integration/world/world_driver.h"
#include "integration/world/world_site.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger::world {
namespace {

using bson::Document;
using bson::Writer;
using Outcome = WorldDriver::Outcome;

// One site, and an app that asks it.
class WorldVersionsTest : public ::testing::TestWithParam<int32_t> {
 protected:
  void SetUp() override {
    site_.start_mongod();
    site_.start_sidecar();
    parts_.loop.block_on(parts_.sleep_ms(5'000));
  }
  void TearDown() override {
    parts_.loop.block_on(site_.stop());
    parts_.loop.block_on(parts_.network.stop());
  }
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
  bool has_n(int id) const {
    const auto document = site_.documents().document("shop.things", bson::make_int32(id));
    return document && Document(*document).has("n");
  }

  WorldParts parts_{1};
  WorldSite site_{parts_, "oslo", {"oslo"}, {false, GetParam(), false}};
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
