#include "replication/record/oplog_paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outrigger {
namespace {

using ::testing::ElementsAre;

TEST(OplogPaths, BeforeDiffsAreThoseOfOperatorsAndArraysWhole) {
  bson::Writer writer;
  writer.int32("$v", 1).open_document("$set").int32("in.x", 1).int32("l.0.q", 2).int32("l.1", 3);
  writer.int32("7", 4).close().open_document("$unset").boolean("y", true).close();
  EXPECT_THAT(*oplog_update_paths(writer.finish()),
              ElementsAre(Path{"in", "x"}, Path{"l"}, Path{"7"}, Path{"y"}));
  EXPECT_FALSE(
      oplog_update_paths(bson::Writer().int32("$v", 1).open_document("$inc").close().finish())
          .has_value());
}

TEST(OplogPaths, ReplacementsAndUnknownFormsAreToldApart) {
  bson::Writer writer;
  EXPECT_FALSE(oplog_update_paths(writer.int32("_id", 1).int32("a", 1).finish()).has_value());
  EXPECT_FALSE(
      oplog_update_paths(writer.int32("$v", 3).open_document("diff").close().finish()).has_value());
  writer.int32("$v", 2).open_document("diff").open_document("sin");
  writer.open_document("i").int32("x", 1).close().close().close();
  EXPECT_THAT(*oplog_update_paths(writer.finish()), ElementsAre(Path{"in", "x"}));
}

}  // namespace
}  // namespace outrigger
