// Local commits that are too large for one record.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/replica_testing.h"

namespace outrigger {
namespace {

constexpr int kDocuments = 5;
constexpr size_t kTextBytes = 6u << 20;

class LargeCommitTest : public ::testing::Test {
 protected:
  LargeCommitTest() {
    for (int id = 0; id < kDocuments; ++id) {
      DocumentChange change = TestSite::inserting(
          id, {{"text", bson::make_string(std::string(kTextBytes, static_cast<char>('a' + id)))}});
      PreparedDocument prepared;
      prepared.ns = change.ns;
      prepared.id = change.id;
      prepared.what = PreparedDocument::What::kInsert;
      prepared.document = document_digest(bson::Document(change.document));
      prepare_.documents.push_back(std::move(prepared));
      changes_.push_back(std::move(change));
    }
  }
  void store() {
    for (const DocumentChange& change : changes_) oslo_.mongod.put(change.ns, change.document);
  }
  void expect_equal_in_parts() {
    auto segments = oslo_.replica->read_segments({}, size_t{1} << 30);
    ASSERT_TRUE(segments.has_value());
    size_t records = 0;
    for (const Segment& segment : *segments) {
      for (const Record& record : segment.records) EXPECT_LT(record.documents.size(), 4u);
      records += segment.records.size();
    }
    EXPECT_GE(records, 2u);
    exchange(oslo_, paris_);
    for (int id = 0; id < kDocuments; ++id) EXPECT_EQ(paris_.document(id), oslo_.document(id));
    EXPECT_EQ(paris_.replica->applied(), oslo_.replica->applied());
    settle_down({&oslo_, &paris_});
    EXPECT_EQ(oslo_.status().rows, 0u);
    EXPECT_EQ(oslo_.status().outbox_records, 0u);
  }

  const std::vector<std::string> two_{"oslo", "paris"};
  TestSite oslo_{"oslo", two_, memory_log(), StoreKind::kStandalone};
  TestSite paris_{"paris", two_, memory_log(), StoreKind::kStandalone};
  Prepare prepare_;
  std::vector<DocumentChange> changes_;
};

TEST_F(LargeCommitTest, TravelsAsSeveralRecords) {
  auto write = oslo_.replica->begin(prepare_);
  ASSERT_TRUE(write.has_value());
  store();
  ASSERT_TRUE(oslo_.replica->settle(*write, changes_, {}).has_value());
  oslo_.flush();
  EXPECT_EQ(oslo_.status().open_writes, 0u);
  expect_equal_in_parts();
}

TEST_F(LargeCommitTest, TravelsAsSeveralRecordsAfterACrash) {
  ASSERT_TRUE(oslo_.replica->begin(prepare_).has_value());
  store();
  oslo_.restart();
  oslo_.flush();
  expect_equal_in_parts();
}

}  // namespace
}  // namespace outrigger
