// Measurements in a time series of a real mongod.
#include <gtest/gtest.h>

#include "integration/mongo_store_fixture.h"
#include "replication/series/measurement.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;

class MongoSeriesTest : public MongoStoreTest {
 protected:
  void make() { run(R"({"create": "s", "timeseries": {"timeField": "t", "metaField": "of"}})"); }

  [[nodiscard]] std::string ns() const { return series::measurements_of(db_ + ".s"); }

  // Of `is`, which has so many equal ones before it.
  [[nodiscard]] StoreWrite write_of(const std::string& is, int64_t before) const {
    StoreWrite write;
    write.kind = StoreWrite::Kind::kInsert;
    write.ns = ns();
    const Document document(is);
    write.id = series::name_of(series::kin_of(document), "123456789012");
    write.document = series::measurement_document(write.id, before, document);
    return write;
  }

  static std::string measured(int32_t v, int64_t at_ms) {
    return Writer().date("t", at_ms).int32("of", 1).int32("v", v).finish();
  }
  [[nodiscard]] StoreWrite measured_at(int32_t v, int64_t before) const {
    return write_of(measured(v, v), before);
  }

  [[nodiscard]] int64_t count_of(const std::string& is) {
    const Document document(is);
    const auto counted = store_->count_measurements(db_ + ".s", std::span(&document, 1));
    EXPECT_TRUE(counted) << counted.error().message();
    return counted && !counted->empty() ? counted->front() : -1;
  }
  [[nodiscard]] int64_t count(int32_t v) {
    return count_of(Writer().int32("v", v).int32("of", 1).date("t", v).finish());
  }

  // That mongod has been asked so far.
  [[nodiscard]] int64_t queries() {
    const auto status = mongod_->command(db_, R"({"serverStatus": 1})");
    EXPECT_TRUE(status);
    if (!status) return 0;
    const std::string name = "\"query\" : ";
    const size_t at = status->find(name, status->find("\"opcounters\" : "));
    return at == std::string::npos ? 0 : std::stoll(status->substr(at + name.size()));
  }

  void apply(const std::vector<StoreWrite>& writes) {
    const auto outcomes = store_->apply(writes);
    ASSERT_TRUE(outcomes) << outcomes.error().message();
    for (const WriteOutcome& each : *outcomes) EXPECT_TRUE(each.ok()) << each.message;
  }
};

TEST_F(MongoSeriesTest, InsertsMeasurementsThatAreNotThereYet) {
  make();
  const std::vector<StoreWrite> writes{measured_at(1, 0), measured_at(2, 0), measured_at(1, 1)};
  for (int again = 0; again < 2; ++again) {
    apply(writes);
    EXPECT_EQ(count(1), 2);
    EXPECT_EQ(count(2), 1);
  }
  StoreWrite elsewhere = measured_at(1, 0);
  elsewhere.ns = series::measurements_of(db_ + ".none");
  EXPECT_EQ(write(elsewhere).kind, WriteOutcome::Kind::kRejected);
  EXPECT_EQ(store_->read(ns(), std::span(&elsewhere.id, 1))->front(), std::nullopt);
}

// By somebody of whom the store's own connection hears nothing.
TEST_F(MongoSeriesTest, FindsTheSeriesThatCameInThePlaceOfACollection) {
  run(R"({"create": "s"})");
  const bson::OwnedValue id = bson::make_string("x");
  ASSERT_TRUE(store_->read(db_ + ".s", std::span(&id, 1)));
  run(R"({"drop": "s"})");
  make();
  apply({measured_at(1, 0)});
  EXPECT_EQ(count(1), 1);
}

// What is read of an ordinary collection is what is known of it, until that fails.
TEST_F(MongoSeriesTest, CountsInTheSeriesThatCameInThePlaceOfACollection) {
  run(R"({"create": "s"})");
  const bson::OwnedValue id = bson::make_string("x");
  ASSERT_TRUE(store_->read(db_ + ".s", std::span(&id, 1)));
  run(R"({"drop": "s"})");
  make();
  run(R"({"insert": "s", "documents": [{"t": {"$date": {"$numberLong": "1"}}, "of": 1, "v": 1}]})");
  EXPECT_EQ(count(1), 1);
}

// Sites that insert equal ones, and what was set aside, come in no order.
TEST_F(MongoSeriesTest, HoldsAsManyEqualOnesWhicheverComesFirst) {
  make();
  apply({measured_at(1, 1)});
  EXPECT_EQ(count(1), 2);
  apply({measured_at(1, 0), measured_at(1, 2), measured_at(1, 1)});
  EXPECT_EQ(count(1), 3);
}

// A peer may say anything.
TEST_F(MongoSeriesTest, WaitsForEqualOnesThatAreTooManyToBeMadeAtOnce) {
  make();
  EXPECT_EQ(write(measured_at(1, INT64_MAX)).kind, WriteOutcome::Kind::kRejected);
  EXPECT_EQ(count(1), 0);
}

TEST_F(MongoSeriesTest, LooksForMeasurementsOfOneBucketTogether) {
  constexpr int64_t kDayMs = 86'400'000;
  constexpr int64_t kFirstMs = 20'000 * kDayMs;
  run(R"({"create": "s", "timeseries": {"timeField": "t", "granularity": "hours"}})");
  std::vector<std::string> daily;
  for (int day = 0; day < 90; ++day) daily.push_back(measured(day, kFirstMs + day * kDayMs));
  std::vector<Document> documents;
  for (const std::string& each : daily) documents.emplace_back(each);
  const int64_t before = queries();
  ASSERT_GT(before, 0);
  ASSERT_TRUE(store_->count_measurements(db_ + ".s", documents));
  EXPECT_LE(queries() - before, 4);
}

TEST_F(MongoSeriesTest, FindsThoseWhoseMetaFieldNoFilterCanName) {
  make();
  const auto of = [](const char* first, const char* second) {
    Writer out;
    out.date("t", 1).open_document("of").int32(first, 1).int32(second, 2).close();
    return out.finish();
  };
  // MongoDB keeps its fields in order, and '$' comes before letters.
  for (const std::string& is : {of("a", "$b"), of("$in", "a"), of("a", "b")}) {
    apply({write_of(is, 0), write_of(is, 1)});
    EXPECT_EQ(count_of(is), 2) << bson::to_json(Document(is));
  }
}

TEST_F(MongoSeriesTest, FindsThemWheneverTheyWereMeasured) {
  constexpr int64_t kYearMs = 31'557'600'000;
  for (const int64_t at_ms : {int64_t{-1}, -kYearMs, -200 * kYearMs, 3 * kYearMs, 69 * kYearMs,
                              70 * kYearMs, 140 * kYearMs, 8029 * kYearMs}) {
    make();  // one that has held such times is asked in another way
    const std::string is = measured(7, at_ms);
    apply({write_of(is, 0), write_of(is, 1)});
    apply({write_of(is, 0), write_of(is, 1)});
    EXPECT_EQ(count_of(is), 2) << at_ms;
    run(R"({"drop": "s"})");
  }
}

}  // namespace
}  // namespace outrigger
