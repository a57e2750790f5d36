#include "replication/record/catalog.h"

#include <gtest/gtest.h>

namespace outrigger {
namespace {

using bson::Writer;

std::string spec_of(const char* name, const char* field, int direction = 1, bool unique = false) {
  Writer out;
  out.int32("v", 2).open_document("key").int32(field, direction).close().string("name", name);
  if (unique) out.boolean("unique", true);
  return out.finish();
}

CatalogEntry collection(const std::string& validator = {}) {
  CatalogEntry entry;
  entry.ns = "shop.carts";
  entry.exists = true;
  if (!validator.empty()) entry.options["validationLevel"] = bson::make_string(validator);
  return entry;
}

void add_index(CatalogEntry& entry, const std::string& name, const char* field,
               bool unique = false) {
  const std::string spec = spec_of(name.c_str(), field, 1, unique);
  entry.indexes[name] = catalog_index(bson::Document(spec));
}

CatalogEntry after(CatalogEntry entry, const std::vector<PathChange>& changes) {
  for (const PathChange& change : changes) {
    const Status done = change.kind == Operation::kUnset
                            ? unset_in_catalog(entry, change.path)
                            : set_in_catalog(entry, change.path, change.value);
    EXPECT_TRUE(done) << done.error().message();
  }
  return entry;
}

TEST(CatalogDocument, ComesBackAsItWent) {
  CatalogEntry entry = collection("moderate");
  for (const char* name : {"a_1", "a.b_1", "$**_1", "12", "100%", "%24", "x.$.y"}) {
    add_index(entry, name, "a");
  }
  entry.building = {"x.y"};
  const std::string document = catalog_document(entry);
  const auto back = catalog_entry(bson::Document(document));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(*back, entry);
}

TEST(CatalogDocument, FieldsCanBeWrittenByPathsWhateverIndexesAreCalled) {
  CatalogEntry entry = collection();
  for (const char* name : {"a.b_1", "$**_1", "12", ".", "%"}) add_index(entry, name, "a");
  for (const PathChange& change : catalog_changes(collection(), entry)) {
    ASSERT_EQ(change.path.size(), 2u);
    EXPECT_EQ(change.path[1].find('.'), std::string::npos) << change.path[1];
    EXPECT_NE(change.path[1].front(), '$');
    EXPECT_NE(change.path[1], "12");
  }
}

TEST(CatalogDocument, ChangesLeadFromOneToTheOther) {
  CatalogEntry none;
  none.ns = "shop.carts";
  CatalogEntry plain = collection();
  CatalogEntry strict = collection("strict");
  CatalogEntry indexed = collection("moderate");
  add_index(indexed, "a_1", "a");
  CatalogEntry otherwise = collection();
  add_index(otherwise, "a_1", "a", true);
  add_index(otherwise, "b.c_1", "b.c");
  for (const CatalogEntry& from : {none, plain, strict, indexed, otherwise}) {
    for (const CatalogEntry& to : {none, plain, strict, indexed, otherwise}) {
      EXPECT_EQ(after(from, catalog_changes(from, to)), to);
      if (from == to) {
        EXPECT_TRUE(catalog_changes(from, to).empty());
      }
    }
  }
}

TEST(CatalogDocument, ADropLeavesNothing) {
  CatalogEntry entry = collection("moderate");
  add_index(entry, "a_1", "a");
  entry.building = {"b_1"};
  CatalogEntry none;
  none.ns = entry.ns;
  EXPECT_EQ(after(entry, catalog_drop(entry)), none);
}

TEST(CatalogDocument, KeysOfAnIndexHaveAnOrder) {
  const std::string ab = Writer().open_document("key").int32("a", 1).int32("b", 1).close().finish();
  const std::string ba = Writer().open_document("key").int32("b", 1).int32("a", 1).close().finish();
  CatalogEntry one = collection();
  CatalogEntry other = collection();
  one.indexes["k"] = catalog_index(bson::Document(ab));
  other.indexes["k"] = catalog_index(bson::Document(ba));
  EXPECT_EQ(catalog_changes(one, other).size(), 1u);
}

TEST(CatalogDocument, AnIndexComesBackAsItsSpecification) {
  const std::string spec = spec_of("a_-1", "a", -1, true);
  const auto back = index_spec("a_-1", catalog_index(bson::Document(spec)));
  ASSERT_TRUE(back);
  EXPECT_TRUE(bson::equal_unordered(bson::Document(*back), bson::Document(spec)));
}

TEST(CatalogDocument, WhatIsNoneIsRefused) {
  const auto refused = [](std::string document) {
    return !catalog_entry(bson::Document(document)).has_value();
  };
  EXPECT_TRUE(refused(Writer().int32("_id", 1).finish()));
  EXPECT_TRUE(refused(Writer().string("_id", "a.b").int32("options", 1).finish()));
  EXPECT_TRUE(refused(
      Writer().string("_id", "a.b").open_document("options").int32("x", 1).close().finish()));
  EXPECT_TRUE(refused(
      Writer().string("_id", "a.b").open_document("indexes").int32("x", 1).close().finish()));
  EXPECT_TRUE(refused(Writer()
                          .string("_id", "a.b")
                          .open_document("indexes")
                          .open_array("%0")
                          .close()
                          .close()
                          .finish()));
  Writer nul;
  nul.string("_id", "a.b").open_document("indexes").open_array("x").open_array("0").open_array("0");
  nul.string("0", std::string_view("a\0b", 3)).int32("1", 1).close().close();
  nul.open_document("1").close().close().close();
  EXPECT_TRUE(refused(nul.finish()));
  CatalogEntry entry = collection();
  EXPECT_FALSE(set_in_catalog(entry, {}, bson::make_int32(1)));
  EXPECT_FALSE(set_in_catalog(entry, {"options", "x", "y"}, bson::make_int32(1)));
  EXPECT_FALSE(unset_in_catalog(entry, {"_id"}));
}

TEST(Catalog, ADropOfATimeSeriesIsRememberedBesideWhatItIsNow) {
  CatalogEntry before;
  before.ns = "a.b";
  before.exists = true;
  EXPECT_EQ(catalog_drop(before).size(), 2u);
  before.options["timeseries"] =
      bson::make_document(bson::Writer().string("timeField", "t").finish());
  CatalogEntry none;
  none.ns = "a.b";
  for (const auto& changes : {catalog_drop(before), catalog_changes(before, none)}) {
    EXPECT_EQ(changes.back().path, catalog_contents());
    EXPECT_EQ(changes.back().kind, Operation::kUnset);
  }
  for (const PathChange& change : catalog_changes(none, before)) {
    EXPECT_NE(change.path, catalog_contents());
  }
  EXPECT_TRUE(unset_in_catalog(before, catalog_contents()));
  EXPECT_TRUE(before.exists);
}

// Who drops it apart leaves the others what they say of it, and that is to be a series.
TEST(Catalog, AChangeOfATimeSeriesSaysThatItIsOne) {
  const Path says_series = {"options", "timeseries"};
  CatalogEntry before;
  before.ns = "a.b";
  before.exists = true;
  before.options["timeseries"] =
      bson::make_document(bson::Writer().string("timeField", "t").finish());
  CatalogEntry after = before;
  EXPECT_TRUE(catalog_changes(before, after).empty());
  after.options["expireAfterSeconds"] = bson::make_int32(60);
  const auto changes = catalog_changes(before, after);
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes.back().path, says_series);
  CatalogEntry now;  // dropped meanwhile
  for (const PathChange& change : changes) {
    EXPECT_TRUE(set_in_catalog(now, change.path, change.value));
  }
  EXPECT_EQ(now.options, after.options);
  after.options["timeseries"] = bson::make_document(
      bson::Writer().string("timeField", "t").string("granularity", "hours").finish());
  EXPECT_EQ(catalog_changes(before, after).size(), 2u);
}

}  // namespace
}  // namespace outrigger
