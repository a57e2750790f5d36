#include "replication/outbox/batch.h"

#include <gtest/gtest.h>

namespace outrigger::outbox {
namespace {

TEST(Keys, SortAsStampsAndOriginsDo) {
  const Origin low{{}, 255};
  const Origin high{{}, 256};
  EXPECT_LT(entry_key(low, 255), entry_key(low, 256));
  EXPECT_LT(entry_key(low, kHlcMax), entry_key(high, 1));
  EXPECT_LT(sortable(0x7f), sortable(0x80));
}

TEST(Keys, TellWhatTheyWereMadeOf) {
  Origin origin{{}, 0x0102030405060708};
  origin.site[3] = 9;
  EXPECT_EQ(origin_of(entry_key(origin, 77)), origin);
  EXPECT_EQ(sortable_tail(entry_key(origin, 77)), 77u);
  EXPECT_EQ(sortable_tail("short"), 0u);
  EXPECT_EQ(row_key("t.a", "id"), std::string("t.a\0id", 6));
}

TEST(Batches, KeepTheOrderOfChangesAndCountTheirBytes) {
  Batch batch;
  EXPECT_TRUE(batch.empty());
  batch.put_retry("key", "value").remove_retry("key");
  ASSERT_EQ(batch.changes().size(), 2u);
  EXPECT_FALSE(batch.changes()[0].remove);
  EXPECT_TRUE(batch.changes()[1].remove);
  EXPECT_EQ(batch.bytes(), 3u + 5u + 3u);
}

TEST(Batches, AppendOneAnother) {
  Batch all;
  all.append(std::move(Batch().put_retry("a", "1")));
  all.append(std::move(Batch().put_retry("b", "2").remove_retry("a")));
  ASSERT_EQ(all.changes().size(), 3u);
  EXPECT_EQ(all.changes()[0].key, "a");
  EXPECT_TRUE(all.changes()[2].remove);
  EXPECT_EQ(all.bytes(), 5u);
}

}  // namespace
}  // namespace outrigger::outbox
