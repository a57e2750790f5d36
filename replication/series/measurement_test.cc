#include "replication/series/measurement.h"

#include <gtest/gtest.h>

namespace outrigger::series {
namespace {

using bson::Document;
using bson::Writer;

std::string measured(int32_t value, bool turned = false) {
  Writer out;
  if (turned) out.int32("v", value);
  out.date("t", 1'000).open_document("m");
  turned ? out.int32("b", 2).int32("a", 1) : out.int32("a", 1).int32("b", 2);
  out.close();
  if (!turned) out.int32("v", value);
  return out.finish();
}

bson::OwnedValue kin(const std::string& measurement) { return kin_of(Document(measurement)); }

TEST(Measurement, TravelsUnderTheNameOfItsBuckets) {
  EXPECT_EQ(measurements_of("db.heat.in"), "db.system.buckets.heat.in");
  EXPECT_EQ(collection_of("db.system.buckets.heat.in"), "db.heat.in");
  EXPECT_TRUE(holds_measurements("db.system.buckets.heat"));
  for (const char* ns : {"db.heat", "db", "db.system.buckets.", "db.x.system.buckets.y", ""}) {
    EXPECT_FALSE(holds_measurements(ns)) << ns;
  }
}

TEST(Measurement, IsReadAsItWasWritten) {
  const std::string is = measured(1);
  const auto name = name_of(kin(is), "123456789012");
  for (const int64_t before : {0, 3}) {
    const std::string document = measurement_document(name, before, Document(is));
    const auto read = read_measurement(Document(document));
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->before, before);
    EXPECT_EQ(read->is.bytes(), is);
    EXPECT_EQ(kin_in(*Document(document).find("_id")), kin(is));
  }
}

TEST(Measurement, EqualOnesAreOfOneKinWhateverTheOrderOfTheirFields) {
  EXPECT_EQ(digest_of(Document(measured(1))), digest_of(Document(measured(1, true))));
  EXPECT_NE(digest_of(Document(measured(1))), digest_of(Document(measured(2))));
  EXPECT_EQ(kin(measured(1)), kin(measured(1, true)));
  EXPECT_NE(kin(measured(1)), kin(measured(2)));
}

TEST(Measurement, ThoseOfOneIdAreOfOneKin) {
  const auto with_id = [](int32_t id, int32_t v) {
    return kin(Writer().int32("_id", id).int32("v", v).finish());
  };
  EXPECT_EQ(with_id(1, 1), with_id(1, 2));
  EXPECT_NE(with_id(1, 1), with_id(2, 1));
}

TEST(Measurement, KeepsElementsOfArraysInTheirPlaces) {
  const auto array = [](int32_t a, int32_t b) {
    return Writer().open_array("v").int32("0", a).int32("1", b).close().finish();
  };
  EXPECT_NE(digest_of(Document(array(1, 2))), digest_of(Document(array(2, 1))));
}

TEST(Measurement, IsNoneThatLacksAPart) {
  const std::string is = measured(1);
  const auto name = name_of(kin(is), "123456789012");
  const std::string none[] = {
      Writer().finish(),
      Writer().value("_id", name).finish(),
      Writer().value("_id", name).int32("measurement", 1).finish(),
      Writer().int32("_id", 1).document("measurement", Document(is)).finish(),
      Writer()
          .value("_id", name)
          .int64("before", -1)
          .document("measurement", Document(is))
          .finish(),
      Writer()
          .value("_id", name)
          .string("before", "1")
          .document("measurement", Document(is))
          .finish(),
  };
  for (const std::string& each : none) EXPECT_FALSE(read_measurement(Document(each)));
}

}  // namespace
}  // namespace outrigger::series
