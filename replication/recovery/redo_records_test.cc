// How much of the records that a store may have forgotten is in memory at once.
#include "replication/recovery/redo_records.h"

#include <gtest/gtest.h>

#include "replication/outbox/memory/memory_outbox.h"
#include "replication/record/record_codec.h"
#include "replication/testing/redo_testing.h"

namespace outrigger {
namespace {

const Origin kOurs{{1}, 7};

std::string record_of(Hlc hlc, size_t bytes) {
  Record record;
  record.origin = kOurs;
  record.hlc = hlc;
  Effect effect;
  effect.path = {"text"};
  effect.value = bson::make_string(std::string(bytes, 'x'));
  record.documents.push_back({kTestNs, number(static_cast<int>(hlc)), {effect}});
  return encode_record(record);
}

TEST(RedoRecords, AreInMemoryWhileTheyFitAndReadAgainWhenTheyDoNot) {
  outbox::MemoryOutbox log;
  RedoRecords records(log);
  constexpr Hlc kCount = 50;
  std::shared_ptr<const Record> held;
  for (Hlc hlc = 1; hlc <= kCount; ++hlc) {
    const std::string bytes = record_of(hlc, 1u << 20);
    outbox::Batch batch;
    batch.put_entry(kOurs, hlc, bytes);
    ASSERT_TRUE(log.write(std::move(batch)));
    auto record = records.take({hlc, kOurs}, bytes);
    ASSERT_TRUE(record);
    if (hlc == 1) held = *record;
    ASSERT_LE(records.bytes(), RedoRecords::kBytesMax);
  }
  for (Hlc hlc = kCount; hlc >= 1; --hlc) {
    const auto document = records.document({{{hlc, kOurs}, 0, 0}});
    ASSERT_TRUE(document);
    EXPECT_EQ(document->forgotten.front().dot().hlc, hlc);
    ASSERT_LE(records.bytes(), RedoRecords::kBytesMax);
  }
  EXPECT_EQ(held->hlc, 1u) << "whoever has one keeps it";
  EXPECT_TRUE(records.document({{{kCount + 1, kOurs}, 0, 0}})->forgotten.empty());
  EXPECT_FALSE(records.document({{{1, kOurs}, 1, 0}}));
}

// More than fits, of documents that each need several of them.
TEST_F(RedoTest, MoreThanFitsIntoMemoryIsPutBack) {
  const Documents journaled = documents();
  for (int id = 2; id <= kIdsMax; ++id) paris_.insert(id, {{"a", number(1)}});
  for (int round = 0; round < 4; ++round) {
    for (int id = 1; id <= kIdsMax; ++id) {
      paris_.set(id, "text" + std::to_string(round % 2),
                 std::string(2u << 20, static_cast<char>('a' + round)));
    }
  }
  const Documents answered = documents();
  come_back_with(journaled);
  put_back();
  for (const auto& [id, document] : answered) {
    ASSERT_TRUE(paris_.document(id));
    const bool is_equal =
        bson::equal_unordered(bson::Document(*paris_.document(id)), bson::Document(document));
    EXPECT_TRUE(is_equal) << id;
  }
}

}  // namespace
}  // namespace outrigger
