// A rename in doubt: the uuid tells whether, and what it did is told, from whatever had been told.
#include "replication/renames/rename.h"

#include <gtest/gtest.h>

#include <optional>

#include "replication/outbox/memory/memory_outbox.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

constexpr const char* kOld = "shop.old";
constexpr const char* kNew = "shop.new";
const std::string kUuid(16, 'r');

std::string document(int id, int n) {
  return bson::Writer().int32("_id", id).int32("n", n).finish();
}

CatalogEntry collection(const std::string& ns, const std::string& index) {
  CatalogEntry entry;
  entry.ns = ns;
  entry.exists = true;
  const std::string spec = bson::Writer()
                               .int32("v", 2)
                               .open_document("key")
                               .int32(index, 1)
                               .close()
                               .string("name", index)
                               .finish();
  entry.indexes[index] = catalog_index(bson::Document(spec));
  return entry;
}

// A set whose primary has done it, and loses an election to one that has not.
class ElectedMeanwhile : public MemoryStore {
 public:
  Status wait_settled() override {
    if (is_elected) set_collection(kNew, {});
    return MemoryStore::wait_settled();
  }
  bool is_elected = true;
};

class RenameTest : public ::testing::Test {
 protected:
  RenameTest()
      : oslo_("oslo", {"oslo", "paris"}, memory_outbox()),
        paris_("paris", {"oslo", "paris"}, memory_outbox()) {
    rename_.from = kOld;
    rename_.to = kNew;
    rename_.uuid = kUuid;
    rename_.source = collection(kOld, "of_old");
    rename_.target = collection(kNew, "of_new");
    for (const int id : {1, 2}) write(kOld, id, 10);
    for (const int id : {2, 3}) write(kNew, id, 20);
    for (const CatalogEntry& entry : {rename_.source, rename_.target}) {
      show(entry);
      paris_.mongod.put(std::string(kCatalogNs), catalog_document(entry));
    }
    name(kOld, kUuid);
    exchange(oslo_, paris_);
    expect_old(paris_);
  }

  void show(const CatalogEntry& entry) {
    const std::string_view ns = kCatalogNs;
    oslo_.mongod.put(std::string(ns), catalog_document(entry));
  }
  void name(const std::string& ns, const std::string& uuid) {
    CollectionInfo info;
    info.type = CollectionInfo::Type::kCollection;
    info.uuid = uuid;
    oslo_.mongod.set_collection(ns, info);
  }
  // As an app's insert, or upsert.
  void write(const std::string& ns, int id, int n) {
    DocumentChange change;
    change.kind = DocumentChange::Kind::kInsert;
    change.ns = ns;
    change.id = bson::make_int32(id);
    change.document = document(id, n);
    oslo_.mongod.put(ns, change.document);
    std::vector<DocumentChange> changes;
    changes.push_back(std::move(change));
    ASSERT_TRUE(oslo_.replica->parts().writes.record(std::move(changes)));
    oslo_.flush();
  }
  void prepare() {
    Prepare prepare;
    prepare.documents = prepared_rename(rename_);
    auto begun = oslo_.replica->begin(std::move(prepare));
    ASSERT_TRUE(begun);
    begun->leave_to_recovery();
  }
  // What mongod does.
  void store() {
    for (const int id : {2, 3}) oslo_.mongod.remove(kNew, bson::make_int32(id));
    for (const int id : {1, 2}) {
      oslo_.mongod.put(kNew, *oslo_.mongod.document(kOld, bson::make_int32(id)));
      oslo_.mongod.remove(kOld, bson::make_int32(id));
    }
    CatalogEntry none;
    none.ns = kOld;
    show(none);
    show(collection(kNew, "of_old"));
    name(kOld, "");
    name(kNew, kUuid);
  }
  // The app's own telling, so many pieces of it.
  void tell(size_t steps) {
    auto documents = oslo_.mongod.list(kNew, 100);
    ASSERT_TRUE(documents);
    RenameTelling telling(oslo_.replica->parts(), rename_, std::move(*documents),
                          {std::string(kOld)});
    for (size_t i = 0; i < steps; ++i) ASSERT_TRUE(telling.step(oslo_.mongod));
    oslo_.flush();
  }
  void come_back() {
    oslo_.kill();
    oslo_.open();
    auto report = oslo_.recover();
    ASSERT_TRUE(report) << report.error().message();
    oslo_.apply_all();
    exchange(oslo_, paris_);
  }
  [[nodiscard]] static std::optional<int> n_of(const TestSite& site, const char* ns, int id) {
    const auto found = site.mongod.document(ns, bson::make_int32(id));
    if (!found) return std::nullopt;
    return bson::Document(*found).find("n")->as_int32();
  }
  using Numbers = std::vector<std::optional<int>>;
  [[nodiscard]] static Numbers all(const TestSite& site, const char* ns) {
    return {n_of(site, ns, 1), n_of(site, ns, 2), n_of(site, ns, 3)};
  }
  static void expect_old(const TestSite& site) {
    EXPECT_EQ(all(site, kOld), (Numbers{10, 10, std::nullopt})) << site.name;
    EXPECT_EQ(all(site, kNew), (Numbers{std::nullopt, 20, 20})) << site.name;
  }
  // Document 3 is in a prepare of its own (a removal, as of a drop): nothing tells of it here.
  static void expect_new(const TestSite& site) {
    EXPECT_EQ(all(site, kOld), Numbers(3)) << site.name;
    EXPECT_EQ(n_of(site, kNew, 1), 10) << site.name;
    EXPECT_EQ(n_of(site, kNew, 2), 10) << site.name;
  }

  TestSite oslo_;
  TestSite paris_;
  Rename rename_;
};

TEST_F(RenameTest, APrepareSaysWhatItWasMadeOf) {
  Prepare prepare;
  prepare.documents = prepared_rename(rename_);
  ASSERT_TRUE(is_rename(prepare));
  const auto read = decode_prepare(encode_prepare(prepare));
  ASSERT_TRUE(read);
  const auto rename = rename_of(*read);
  ASSERT_TRUE(rename);
  EXPECT_EQ(rename->from, kOld);
  EXPECT_EQ(rename->to, kNew);
  EXPECT_EQ(rename->uuid, kUuid);
  EXPECT_EQ(rename->source, rename_.source);
  EXPECT_EQ(rename->target, rename_.target);
}

TEST_F(RenameTest, WhatDidNotHappenIsNotTold) {
  prepare();
  come_back();
  expect_old(oslo_);
  expect_old(paris_);
}

TEST_F(RenameTest, WhatHappenedIsToldWhole) {
  prepare();
  store();
  come_back();
  expect_new(oslo_);
  expect_new(paris_);
  const auto shown = paris_.mongod.document(std::string(kCatalogNs), bson::make_string(kNew));
  ASSERT_TRUE(shown);
  EXPECT_TRUE(catalog_entry(bson::Document(*shown))->indexes.contains("of_old"));
}

TEST_F(RenameTest, NothingIsPublishedBeforeAllOfItIsTold) {
  prepare();
  store();
  for (size_t steps = 1; steps <= 4; ++steps) {
    tell(steps);
    exchange(oslo_, paris_);
    expect_old(paris_);
  }
  come_back();
  expect_new(paris_);
}

TEST_F(RenameTest, WhatWasToldInPartIsToldAnewAfterACrash) {
  prepare();
  store();
  for (size_t steps = 1; steps <= 4; ++steps) {
    tell(steps);
    oslo_.kill();
    oslo_.open();
    ASSERT_TRUE(oslo_.recover());
    if (steps < 4) prepare();
  }
  exchange(oslo_, paris_);
  expect_new(oslo_);
  expect_new(paris_);
  for (const LedgerEntry& entry : paris_.ledger()) {
    ADD_FAILURE() << entry.kind << " " << entry.ns << " " << bson::to_json(entry.id.view());
  }
  EXPECT_TRUE(oslo_.ledger().empty());
}

TEST_F(RenameTest, WhatANewPrimaryHasNotDoneIsNotTold) {
  ElectedMeanwhile store;
  CollectionInfo info;
  info.type = CollectionInfo::Type::kCollection;
  info.uuid = kUuid;
  store.set_collection(kNew, info);
  Prepare prepare;
  prepare.documents = prepared_rename(rename_);
  auto told = settle_rename(oslo_.replica->parts(), store, prepare);
  EXPECT_TRUE(!told || !*told);
  oslo_.flush();
  exchange(oslo_, paris_);
  expect_old(paris_);
  store.is_elected = false;
  store.set_collection(kNew, info);
  told = settle_rename(oslo_.replica->parts(), store, prepare);
  EXPECT_TRUE(told && *told);
}

// What it may have forgotten is looked at: the old name's documents are not made again.
TEST_F(RenameTest, ARestartedStoreKeepsTheNewName) {
  prepare();
  store();
  StoreInfo info = *oslo_.mongod.info();
  info.process_id = "process-0002";
  oslo_.mongod.set_info(info);
  const auto served = oslo_.recovery->put_back_step(oslo_.mongod, true);
  ASSERT_TRUE(served);
  EXPECT_FALSE(*served);  // nobody is, before it is told
  expect_new(oslo_);
  come_back();
  expect_new(oslo_);
  expect_new(paris_);
}

}  // namespace
}  // namespace outrigger
