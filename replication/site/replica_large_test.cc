// Local commits that are too large for one record, and records too large to share a batch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/record/record_codec.h"
#include "replication/testing/replica_testing.h"

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
    size_t records = 0;
    while (paris_.replica->applied() != oslo_.replica->applied() && records < 10) {
      auto segments = read_segments(*oslo_.replica, paris_.replica->applied(), size_t{1} << 30);
      ASSERT_TRUE(segments.has_value());
      for (const Segment& segment : *segments) {
        for (const Record& record : segment.records) EXPECT_LT(record.documents.size(), 4u);
        records += segment.records.size();
      }
      pull(oslo_, paris_);
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
  TestSite oslo_{"oslo", two_, memory_outbox(), StoreKind::kStandalone};
  TestSite paris_{"paris", two_, memory_outbox(), StoreKind::kStandalone};
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
  auto write = oslo_.replica->begin(prepare_);
  ASSERT_TRUE(write.has_value());
  write->leave_to_recovery();
  store();
  oslo_.restart();
  oslo_.flush();
  expect_equal_in_parts();
}

TEST_F(LargeCommitTest, ALargeRecordGoesAloneAndThoseAroundItArriveToo) {
  const std::string large(200'000, 'x');
  paris_.insert(1, {});
  paris_.insert(2, {{"text", bson::make_string(large)}});
  paris_.insert(3, {{"text", bson::make_string(large)}});
  paris_.insert(4, {});
  VersionVector has;
  std::vector<size_t> records;
  const Link link(paris_, oslo_);
  for (size_t i = 0; i < 4; ++i) {
    const auto batch = paris_.replica->read_batch(has, 1u << 20);
    ASSERT_TRUE(batch.has_value());
    records.push_back(batch->records);
    has.raise(batch->records_through);
    auto segments = decode_segments(batch->bytes);
    ASSERT_TRUE(segments && oslo_.replica->offer(std::move(*segments), run_of(paris_)));
  }
  EXPECT_EQ(records, (std::vector<size_t>{1, 1, 1, 1}));
  EXPECT_EQ(paris_.replica->read_batch(has, 1u << 20)->records, 0u);
  oslo_.apply_all();
  for (int id = 1; id <= 4; ++id) EXPECT_EQ(oslo_.document(id), paris_.document(id));
}

}  // namespace
}  // namespace outrigger
