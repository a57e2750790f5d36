#include "replication/record/record_codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "replication/record/record_testing.h"

namespace outrigger {
namespace {

Record example() {
  Record record;
  record.origin.epoch = 2;
  record.hlc = 5;
  record.deps.raise(record.origin, 4);
  Effect effect;
  effect.path = {"n"};
  effect.value = bson::make_int32(7);
  record.documents.push_back({"t.a", bson::make_int32(1), {effect}});
  return record;
}

// A birth travels as its bytes: what it costs beside them does not grow with the fields.
TEST(RecordCodec, AWideOrDeepDocumentCostsItsBytesAndComesBack) {
  bson::Writer wide;
  wide.int32("_id", 1);
  for (int i = 0; i < 130'000; ++i) wide.int32("f" + std::to_string(i), i);
  bson::Writer deep;
  deep.int32("_id", 1);
  for (int level = 0; level < 170; ++level) {
    for (int i = 0; i < 700; ++i) deep.int32("f" + std::to_string(i), i);
    deep.open_document("deeper");
  }
  for (int level = 0; level < 170; ++level) deep.close();
  for (bson::Writer* document : {&wide, &deep}) {
    Record record = example();
    Effect birth;
    birth.kind = Operation::kBirth;
    birth.value = bson::make_document(document->finish());
    record.documents.front().effects = {birth};
    const std::string bytes = encode_record(record);
    EXPECT_LT(bytes.size(), birth.value.bytes.size() + 80);
    const auto decoded = decode_record(bytes);
    ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
    EXPECT_EQ(*decoded, record);
  }
}

TEST(RecordCodec, NoSegmentsAreABatchToo) {
  const auto decoded = decode_segments(encode_segments({}));
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(decoded->empty());
}

TEST(RecordCodec, ATypicalRecordInAStretchCostsLittle) {
  Segment segment{example().origin, 4, 4, {}};
  for (int i = 0; i < 100; ++i) {
    segment.records.push_back(example());
    segment.records.back().hlc = ++segment.through;
    segment.records.back().deps = VersionVector();
    segment.records.back().deps.raise(segment.origin, segment.through - 1);
  }
  EXPECT_LE(encode_segments({&segment, 1}).size(), 100 * 18u + 50u);
}

RC_GTEST_PROP(RecordCodecProperty, EntriesComeBackAsTheyWent, (uint32_t seed)) {
  RecordMaker make(seed);
  const Record record = make.record(make.origin(), make.hlc());
  const auto decoded = decode_record(encode_record(record));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == record);
}

RC_GTEST_PROP(RecordCodecProperty, AnEntrySentAsItStandsIsTheBatchOfItsRecord, (uint32_t seed)) {
  RecordMaker make(seed);
  const Record record = make.record(make.origin(), make.hlc());
  const Hlc after = record.hlc - 1 - make.below(std::min<size_t>(3, record.hlc));
  const Hlc through = record.hlc + make.below(2) * (kHlcMax - record.hlc);
  const auto sent = entry_as_segments(encode_record(record), after, through);
  RC_ASSERT(sent.has_value());
  const Segment segment{record.origin, after, through, {record}};
  RC_ASSERT(*decode_segments(*sent) == std::vector<Segment>{segment});
}

TEST(RecordCodec, AnEntryThatIsNoneOrNotAfterTheOthersIsNotSent) {
  const std::string entry = encode_record(example());
  EXPECT_FALSE(entry_as_segments(entry, example().hlc, kHlcMax).has_value());
  for (size_t bytes = 0; bytes < entry.size() - 12; ++bytes) {
    (void)entry_as_segments(entry.substr(0, bytes), 0, 0);  // an error or what the peer refuses
  }
  EXPECT_FALSE(entry_as_segments("", 0, 0).has_value());
}

RC_GTEST_PROP(RecordCodecProperty, BatchesComeBackAsTheyWent, (uint32_t seed)) {
  const std::vector<Segment> segments = RecordMaker(seed).segments();
  const auto decoded = decode_segments(encode_segments(segments));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == segments);
}

}  // namespace
}  // namespace outrigger
