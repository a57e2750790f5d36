// Which keys documents have in an index of several fields, and whether they share one.
#include "replication/store/mongo/keys/mongo_key_tuples.h"

#include <gtest/gtest.h>

namespace outrigger::mongo {
namespace {

using bson::Writer;

// {items: [{sku, lot}, ...]}
std::string stock(const std::vector<std::pair<std::string, int32_t>>& items) {
  Writer out;
  out.open_array("items");
  size_t at = 0;
  for (const auto& [sku, lot] : items) {
    out.open_document(bson::index_name(at++)).string("sku", sku).int32("lot", lot).close();
  }
  return out.close().finish();
}

const std::vector<Path> kItems{{"items", "sku"}, {"items", "lot"}};

bool share(const std::string& a, const std::string& b, const std::vector<Path>& fields = kItems) {
  return KeySet(key_tuples(bson::Document(a), fields))
      .has_one_of(key_tuples(bson::Document(b), fields));
}

std::string shown(const std::string& document, const std::vector<Path>& fields) {
  return bson::to_json(bson::Document(tuples_array(key_tuples(bson::Document(document), fields))));
}

TEST(KeyTuples, ElementsGiveTuplesOfTheirOwn) {
  const std::string both = stock({{"a", 1}, {"b", 2}});
  EXPECT_TRUE(share(both, stock({{"b", 2}})));
  EXPECT_TRUE(share(both, stock({{"c", 3}, {"a", 1}})));
  EXPECT_FALSE(share(both, stock({{"a", 2}})));
  EXPECT_FALSE(share(both, stock({{"b", 1}, {"a", 2}})));
}

TEST(KeyTuples, AnArrayBesideAFieldGivesItsValueToEach) {
  const std::string document =
      Writer().open_array("tags").string("0", "x").string("1", "y").close().int32("n", 1).finish();
  const std::vector<Path> fields{{"tags"}, {"n"}};
  EXPECT_TRUE(share(document, Writer().string("tags", "y").real("n", 1.0).finish(), fields));
  EXPECT_FALSE(share(document, Writer().string("tags", "y").int32("n", 2).finish(), fields));
}

TEST(KeyTuples, WhatIsNotThereIsNull) {
  const std::string none = Writer().int32("_id", 1).finish();
  EXPECT_TRUE(share(none, Writer().null("items").finish()));
  EXPECT_TRUE(share(none, stock({})));
  const std::string half =
      Writer().open_array("items").open_document("0").string("sku", "a").close().close().finish();
  EXPECT_FALSE(share(half, stock({{"a", 1}})));
  EXPECT_TRUE(share(half, half));
}

// It can stand beside an index only where that leaves it out.
TEST(KeyTuples, OfADocumentThatNoIndexTakesThereAreNone) {
  Writer out;
  for (const char* const name : {"a", "b"}) {
    out.open_array(name);
    for (int i = 0; i < 2'000; ++i) out.int32(bson::index_name(static_cast<size_t>(i)), i);
    out.close();
  }
  const std::string document = out.finish();
  EXPECT_TRUE(key_tuples(bson::Document(document), {{"a"}, {"b"}}).empty());
}

TEST(KeyTuples, APlaceInAnArrayIsOneValue) {
  const std::string document =
      Writer().open_array("a").int32("0", 5).int32("1", 6).close().int32("b", 7).finish();
  const std::vector<Path> fields{{"a", "1"}, {"b"}};
  EXPECT_TRUE(share(document, document, fields));
  EXPECT_NE(shown(document, fields).find("6"), std::string::npos);
  EXPECT_EQ(shown(document, fields).find("5"), std::string::npos);
}

}  // namespace
}  // namespace outrigger::mongo
