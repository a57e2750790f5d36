#include "proxy/expiry/ttl_index.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;
using Fill = std::function<void(Writer&)>;

constexpr int64_t kNowMs = 1'700'000'000'000;

// A collection as $listCatalog shows it, with one index beside that of _id.
std::string listed(const Fill& spec, const Fill& options, bool ready = true) {
  Writer out;
  out.string("db", "shop").string("name", "carts").open_document("md");
  out.open_document("options");
  options(out);
  out.close().open_array("indexes");
  out.open_document("0").open_document("spec").open_document("key").int32("_id", 1).close();
  out.string("name", "_id_").close().boolean("ready", true).close();
  out.open_document("1").open_document("spec");
  spec(out);
  out.close().boolean("ready", ready).close();
  return out.close().close().finish();
}

void no_options(Writer& /*out*/) {}

std::vector<TtlIndex> indexes_of(const Fill& spec, const Fill& options = no_options,
                                 bool ready = true) {
  const std::string bytes = listed(spec, options, ready);
  return ttl_indexes(Document(bytes));
}

void by_field(Writer& out) { out.open_document("key").int32("at", 1).close(); }

// Of an index of one field with this many seconds; nothing: it does not count.
std::optional<int64_t> seconds_of(const Fill& seconds) {
  const auto found = indexes_of([&](Writer& out) {
    by_field(out);
    seconds(out);
  });
  return found.empty() ? std::nullopt : std::optional(found[0].after_seconds);
}

bool counts(const Fill& key) {
  return !indexes_of([&](Writer& out) {
            out.open_document("key");
            key(out);
            out.close().int32("expireAfterSeconds", 0);
          }).empty();
}

std::string json(const std::string& command) { return bson::to_json(Document(command), SIZE_MAX); }

TEST(TtlIndex, CountsAnIndexOfOnePlainField) {
  const auto found = indexes_of([](Writer& out) {
    out.open_document("key").int32("session.ends", -1).close().int64("expireAfterSeconds", 5);
  });
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].ns(), "shop.carts");
  EXPECT_EQ(found[0].field, "session.ends");
  EXPECT_EQ(found[0].after_seconds, 5);
  EXPECT_TRUE(counts([](Writer& out) { out.real("at", 1.5); }));
}

TEST(TtlIndex, CountsNoneThatHoldsNoDatesOfOneField) {
  EXPECT_FALSE(counts([](Writer& out) { out.string("at", "hashed"); }));
  EXPECT_FALSE(counts([](Writer& out) { out.string("_fts", "text").int32("_ftsx", 1); }));
  EXPECT_FALSE(counts([](Writer& out) { out.int32("at", 1).int32("by", 1); }));
  EXPECT_FALSE(counts([](Writer& out) { out.int32("_id", 1); }));
  EXPECT_FALSE(counts([](Writer& /*out*/) {}));
  EXPECT_TRUE(indexes_of(by_field).empty());
}

TEST(TtlIndex, CountsNoneThatIsStillBeingBuiltOrOfACappedCollection) {
  const auto spec = [](Writer& out) {
    by_field(out);
    out.int32("expireAfterSeconds", 0);
  };
  EXPECT_EQ(indexes_of(spec).size(), 1U);
  EXPECT_TRUE(indexes_of(spec, no_options, false).empty());
  EXPECT_TRUE(indexes_of(spec, [](Writer& out) { out.boolean("capped", true); }).empty());
}

TEST(TtlIndex, TakesSecondsAsMongodDoes) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const auto real = [](double value) {
    return seconds_of([=](Writer& out) { out.real("expireAfterSeconds", value); });
  };
  const auto whole = [](int64_t value) {
    return seconds_of([=](Writer& out) { out.int64("expireAfterSeconds", value); });
  };
  EXPECT_EQ(real(0), 0);
  EXPECT_EQ(real(1.9), 1);
  EXPECT_EQ(real(std::numeric_limits<double>::quiet_NaN()), kMost);
  EXPECT_EQ(real(std::numeric_limits<double>::infinity()), kMost);
  EXPECT_EQ(real(1e300), kMost);
  EXPECT_EQ(real(-1), kMost);
  EXPECT_EQ(whole(0), 0);
  EXPECT_EQ(whole(-1), kMost);
  EXPECT_EQ(whole(kMost + 1), kMost);
  EXPECT_EQ(whole(std::numeric_limits<int64_t>::max()), kMost);
  EXPECT_FALSE(seconds_of([](Writer& out) { out.string("expireAfterSeconds", "5"); }));
  EXPECT_FALSE(seconds_of([](Writer& out) { out.boolean("expireAfterSeconds", true); }));
}

TEST(TtlIndex, AsksForWhatIsDueByTheDocumentsOwnDates) {
  TtlIndex index;
  index.database = "shop";
  index.collection = "carts";
  index.field = "at";
  index.after_seconds = 60;
  index.collation = Writer().string("locale", "simple").finish();
  EXPECT_EQ(json(due_command(index, kNowMs, 7)),
            R"({"find": "carts", "filter": {"at": {"$lte": {"$date": "2023-11-14T22:12:20Z"}}}, )"
            R"("projection": {"_id": 1}, "limit": 7, "batchSize": 7, "singleBatch": true, )"
            R"("collation": {"locale": "simple"}, "$db": "shop"})");
}

TEST(TtlIndex, DeletesWhatStillIsDueAndInThePartialIndex) {
  const auto found = indexes_of([](Writer& out) {
    by_field(out);
    out.int32("expireAfterSeconds", 0);
    out.open_document("partialFilterExpression").string("kind", "guest").close();
    out.open_document("collation").string("locale", "de").close();
  });
  ASSERT_EQ(found.size(), 1U);
  const std::string command =
      removal_command(found[0], kNowMs, {bson::make_int32(1), bson::make_string("b")}, 500);
  EXPECT_EQ(json(command),
            R"({"delete": "carts", "deletes": [{"q": {"_id": {"$in": [1, "b"]}, "at": {"$lte": )"
            R"({"$date": "2023-11-14T22:13:20Z"}}, "$and": [{"kind": "guest"}]}, "limit": 0, )"
            R"("collation": {"locale": "de"}}], "maxTimeMS": 500, "writeConcern": {"w": 1}, )"
            R"("$db": "shop"})");
}

TEST(TtlIndex, OfAClusteredCollectionTheIdIsTheDate) {
  const auto found = indexes_of(by_field, [](Writer& out) {
    out.open_document("clusteredIndex").boolean("unique", true).close();
    out.int32("expireAfterSeconds", 10);
  });
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].field, "_id");
  EXPECT_NE(json(due_command(found[0], kNowMs, 1)).find(R"("filter": {"_id": {"$lte": )"),
            std::string::npos);
  EXPECT_NE(json(removal_command(found[0], kNowMs, {bson::make_int32(1)}, 1))
                .find(R"("q": {"_id": {"$in": [1]}}, "limit": 0)"),
            std::string::npos);
}

TEST(TtlIndex, OfATimeSeriesWholeBucketsGo) {
  const auto found = indexes_of(by_field, [](Writer& out) {
    out.boolean("clusteredIndex", true).int32("expireAfterSeconds", 10);
    out.open_document("timeseries").string("timeField", "t").int32("bucketMaxSpanSeconds", 3'600);
    out.close();
  });
  ASSERT_EQ(found.size(), 1U);
  const std::string asked = json(due_command(found[0], kNowMs, 1));
  // 1'700'000'000 - 10 - 3'600
  EXPECT_NE(asked.find(R"("_id": {"$lt": {"$oid": "6553e2e60000000000000000"}})"),
            std::string::npos)
      << asked;
  EXPECT_NE(asked.find(R"("control.max.t": {"$lte": {"$date": "2023-11-14T22:13:10Z"}})"),
            std::string::npos)
      << asked;
  EXPECT_EQ(due_command(found[0], 3'610'000, 1), "");
}

TEST(TtlIndex, SaysNothingOfWhatIsNoCatalogue) {
  EXPECT_TRUE(ttl_indexes(Document()).empty());
  const std::string odd = Writer().string("db", "a").string("name", "b").int32("md", 1).finish();
  EXPECT_TRUE(ttl_indexes(Document(odd)).empty());
}

}  // namespace
}  // namespace outrigger
