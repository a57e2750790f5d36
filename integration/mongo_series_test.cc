// Measurements in a time series of a real mongod.
#include <gtest/gtest.h>

#include "integration/mongo_store_fixture.h"
#include "replication/series/measurement.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;

TEST_F(MongoStoreTest, InsertsMeasurementsThatAreNotThereYet) {
  run(R"({"create": "s", "timeseries": {"timeField": "t", "metaField": "of"}})");
  const std::string ns = series::measurements_of(db_ + ".s");
  const auto measured = [&](int32_t v, int64_t before) {
    const std::string is = Writer().date("t", v).int32("of", 1).int32("v", v).finish();
    StoreWrite write;
    write.kind = StoreWrite::Kind::kInsert;
    write.ns = ns;
    const Document document(is);
    write.id = series::name_of(series::kin_of(document), "123456789012");
    write.document = series::measurement_document(write.id, before, document);
    return write;
  };
  const auto count = [&](int32_t v) {
    const std::string is = Writer().int32("v", v).int32("of", 1).date("t", v).finish();
    const Document document(is);
    return store_->count_measurements(db_ + ".s", std::span(&document, 1))->front();
  };
  const std::vector<StoreWrite> writes{measured(1, 0), measured(2, 0), measured(1, 1)};
  for (int again = 0; again < 2; ++again) {
    const auto outcomes = store_->apply(writes);
    ASSERT_TRUE(outcomes) << outcomes.error().message();
    for (const WriteOutcome& each : *outcomes) EXPECT_TRUE(each.ok()) << each.message;
    EXPECT_EQ(count(1), 2);
    EXPECT_EQ(count(2), 1);
  }
  StoreWrite elsewhere = measured(1, 0);
  elsewhere.ns = series::measurements_of(db_ + ".none");
  EXPECT_EQ(write(elsewhere).kind, WriteOutcome::Kind::kRejected);
  EXPECT_EQ(store_->read(ns, std::span(&elsewhere.id, 1))->front(), std::nullopt);
}

}  // namespace
}  // namespace outrigger
