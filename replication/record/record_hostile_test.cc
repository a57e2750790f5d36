// What a broken or hostile peer may send to the record decoder.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "replication/record/bytes.h"
#include "replication/record/record_codec.h"
#include "replication/record/record_testing.h"

namespace outrigger {
namespace {

constexpr uint8_t kBirth = static_cast<uint8_t>(Operation::kBirth);
constexpr uint8_t kRemove = static_cast<uint8_t>(Operation::kRemove);
constexpr uint8_t kAssign = static_cast<uint8_t>(Operation::kAssign);
constexpr uint8_t kUnset = static_cast<uint8_t>(Operation::kUnset);
constexpr uint8_t kIncrement = static_cast<uint8_t>(Operation::kIncrement);
constexpr uint8_t kEdit = static_cast<uint8_t>(Operation::kEdit);
constexpr uint8_t kBaselines = 1 << 3;

// A batch written by hand, field by field, after good tables: one origin, namespace "t.a", the
// root path and the path "n".
class Forged {
 public:
  Forged() {
    out_.u8(kRecordFormatVersion);
    out_.u8(0);
    numbers({1});
    out_.origin(Origin{{}, 2});
    numbers({1});
    out_.bytes("t.a");
    numbers({2, 0, 0, 0, 1});
    out_.bytes("n");
  }
  Forged& numbers(std::initializer_list<uint64_t> ns) {
    for (const uint64_t n : ns) out_.varint(n);
    return *this;
  }
  Forged& value(const bson::OwnedValue& value) {
    out_.value(value);
    return *this;
  }
  // One segment (5, 9] with one record at 6, no dependencies but the guess, one document.
  Forged& document() { return numbers({1, 0, 5, 4, 1, 1, 0, 1, 0}).value(bson::make_int32(1)); }
  Forged& effect(uint8_t tag) {
    document().numbers({1});
    out_.u8(tag);
    return *this;
  }

  // Empty when it decodes.
  std::string refusal(const RecordLimits& limits = {}) {
    const auto decoded = decode_segments(out_.take(), limits);
    if (decoded) return "";
    EXPECT_EQ(decoded.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(decoded.error().reason.find(" at byte "), std::string::npos);
    return decoded.error().reason.substr(0, decoded.error().reason.find(" at byte "));
  }

 private:
  ByteWriter out_;
};

TEST(HostileRecord, TheForgedBatchIsGoodBeforeItIsMadeBad) {
  EXPECT_EQ(Forged().document().numbers({0}).refusal(), "");
  EXPECT_EQ(Forged().effect(kRemove).refusal(), "");
  EXPECT_EQ(Forged().effect(kAssign).numbers({1}).value(bson::make_int32(7)).refusal(), "");
}

TEST(HostileRecord, AnotherVersionOrFlagIsRefused) {
  EXPECT_FALSE(decode_segments(std::string("\1\0\0\0\0\0", 6)));
  EXPECT_FALSE(decode_segments(std::string("\2\1\0\0\0\0", 6)));
  EXPECT_TRUE(decode_segments(std::string("\2\0\0\0\0\0", 6)));
}

TEST(HostileRecord, StampsMustAscendWithinTheirSegment) {
  EXPECT_EQ(Forged().numbers({1, 0, 5, 4, 1, 0, 0, 0}).refusal(),
            "stamp not ascending within its segment");
  EXPECT_EQ(Forged().numbers({1, 0, 5, 4, 1, 5, 0, 0}).refusal(),
            "stamp not ascending within its segment");
  EXPECT_EQ(Forged().numbers({1, 0, 5, UINT64_MAX, 0}).refusal(),
            "segment beyond the largest stamp");
}

TEST(HostileRecord, IndexesMustBeInTheirTables) {
  EXPECT_EQ(Forged().numbers({1, 1, 5, 4, 0}).refusal(), "index beyond its table");
  EXPECT_EQ(Forged().effect(kAssign).numbers({2}).refusal(), "index beyond its table");
}

TEST(HostileRecord, CountsThatTheInputCannotHoldAreRefusedBeforeAnythingIsAllocated) {
  EXPECT_EQ(Forged().numbers({1, 0, 5, 4, 1000}).refusal(), "count beyond the end");
  EXPECT_EQ(Forged().document().numbers({UINT64_MAX}).refusal(), "more than the limit allows");
}

TEST(HostileRecord, UnknownEffectsAreRefused) {
  EXPECT_EQ(Forged().effect(0).refusal(), "unknown kind of effect");
  EXPECT_EQ(Forged().effect(0xc0).refusal(), "unknown kind of effect");
  EXPECT_EQ(Forged().effect(kRemove | kBaselines).refusal(), "baseline where none can be");
  EXPECT_EQ(Forged().effect(kUnset | kBaselines).numbers({1, 0}).refusal(),
            "no baseline where one is told");
}

TEST(HostileRecord, ARuleOfAContestIsOneAndStandsBesideAValueOfAField) {
  constexpr uint8_t kRule = 0x10;
  const auto ruled = [](std::initializer_list<uint64_t> rule) {
    Forged forged;
    forged.effect(kAssign | kRule).numbers({1}).value(bson::make_int32(7)).numbers(rule);
    return forged.refusal();
  };
  EXPECT_EQ(ruled({2}), "");
  EXPECT_EQ(ruled({4, 2, 1, 'a', 0}), "");
  EXPECT_EQ(ruled({0}), "unknown rule of a contest");
  EXPECT_EQ(ruled({8}), "");
  EXPECT_EQ(ruled({9}), "unknown rule of a contest");
  EXPECT_EQ(ruled({7, 1, 1, 'a', 1, 'b'}), "");
  EXPECT_NE(ruled({7, 1, 1, 'a'}), "");
  EXPECT_NE(ruled({4, 2, 1, 'a'}), "");
  EXPECT_EQ(Forged().effect(kUnset | kRule).numbers({1, 1}).refusal(), "");
  for (const uint8_t kind : {kIncrement, kRemove, kBirth, kEdit}) {
    EXPECT_EQ(Forged().effect(kind | kRule).refusal(), "rule of a contest where none can be");
  }
  EXPECT_EQ(Forged()
                .effect(kAssign | kRule)
                .numbers({0})
                .value(bson::make_document(bson::Writer().finish()))
                .refusal(),
            "rule of a contest where none can be");
}

TEST(HostileRecord, OnlyRemovalsYieldAndSayWhy) {
  constexpr uint8_t kYields = 0x20;
  EXPECT_EQ(Forged().effect(kRemove | kYields).numbers({1}).refusal(), "");
  EXPECT_EQ(Forged().effect(kRemove | kYields).numbers({2}).refusal(), "");
  EXPECT_EQ(Forged().effect(kRemove | kYields).numbers({0}).refusal(), "unknown kind of removal");
  EXPECT_EQ(Forged().effect(kRemove | kYields).numbers({3}).refusal(), "unknown kind of removal");
  for (const uint8_t kind : {kUnset, kIncrement, kBirth}) {  // of others it says another thing
    EXPECT_EQ(Forged().effect(kind | kYields).numbers({1}).refusal(), "no removal, and it yields");
  }
}

TEST(HostileRecord, OnlyAWholeDocumentIsAVersionAndOthersSayWhatTheyTake) {
  constexpr uint8_t kMark = 0x20;
  const bson::OwnedValue document = bson::make_document(bson::Writer().finish());
  const bson::OwnedValue one = bson::make_int32(1);
  const auto of_path = [&] { return Forged().effect(kAssign | kMark).numbers({1}).value(one); };
  const auto edit = [] { return Forged().effect(kEdit | kMark).numbers({1, 0, 0, 0}); };
  EXPECT_EQ(Forged().effect(kAssign | kMark).numbers({0}).value(document).refusal(), "");
  EXPECT_EQ(of_path().numbers({1}).value(one).refusal(), "");
  EXPECT_EQ(edit().numbers({2}).value(one).value(one).refusal(), "");
  for (Forged forged : {of_path(), edit()}) {
    EXPECT_EQ(forged.numbers({0}).refusal(), "nothing taken where something is told to be");
  }
}

TEST(HostileRecord, ElementsStandWhereTheyCan) {
  const auto added = [](std::initializer_list<uint64_t> place) {
    Forged forged;
    forged.effect(kEdit).numbers({1, 0, 0, 1}).numbers(place).value(bson::make_int32(7));
    return forged.refusal();
  };
  EXPECT_EQ(added({1 << 1, 2, 1, 0, 0}), "");
  EXPECT_EQ(added({1 << 1 | 1, 2, 0, 0}), "");
  EXPECT_EQ(added({1 << 1, 2, 1, 0, (1u << 31) - 1}), "");
  EXPECT_EQ(added({1 << 1, 2, 1, 0, 1u << 31}), "element beyond the largest array");
  EXPECT_EQ(added({0}), "place of an element that is none");
  EXPECT_EQ(added({33 << 1}), "place of an element that is none");
  EXPECT_EQ(added({1 << 1, 4, 1, 0, 0}), "unknown lane of an array");
  EXPECT_EQ(added({1 << 1, 2, 2, 0, 0}), "index beyond its table");
  EXPECT_EQ(added({1 << 1, 2, 1, 12, 0}), "stamp of zero");
  EXPECT_EQ(added({1 << 1, 2, 1, 0, uint64_t{1} << 32}), "element beyond the largest array");
  EXPECT_EQ(Forged().effect(kEdit).numbers({1, 1u << 20}).refusal(), "count beyond the end");
}

TEST(HostileRecord, ElementsMoveToWhereTheyCan) {
  constexpr uint8_t kMoves = 8;
  const auto moved = [](std::initializer_list<uint64_t> moves) {
    return Forged().effect(kEdit | kMoves).numbers({1, 0, 0, 0}).numbers(moves).refusal();
  };
  EXPECT_EQ(moved({1, 0, 3, 1 << 1, 2, 1, 0, 0}), "");
  EXPECT_EQ(moved({1, 1, 0, 3, 2 << 1, 1, 0, 4, 3, 1, 0, 0}), "");
  EXPECT_EQ(moved({0}), "no move where one is told");
  EXPECT_EQ(moved({2, 0, 3, 1 << 1, 2, 1, 0, 0}), "count beyond the end");
  EXPECT_EQ(moved({1, 0, 3, 1 << 1 | 1, 2, 1, 0, 0}), "an element is moved into a set");
  EXPECT_EQ(moved({1, 0, 3, 0, 0, 0, 0}), "place of an element that is none");
  EXPECT_EQ(moved({1, 0, 3, 33 << 1, 0, 0, 0}), "place of an element that is none");
  EXPECT_EQ(moved({1, 0, 3, 1 << 1, 4, 1, 0, 0}), "unknown lane of an array");
  EXPECT_EQ(moved({1, 0, 1u << 31, 1 << 1, 2, 1, 0, 0}), "element beyond the largest array");
}

TEST(HostileRecord, AWholeDocumentMustBeADocument) {
  EXPECT_EQ(Forged().effect(kBirth).value(bson::make_int32(7)).refusal(), "document that is none");
  EXPECT_EQ(Forged().effect(kAssign).numbers({0}).value(bson::make_int32(7)).refusal(),
            "document that is none");
}

TEST(HostileRecord, ValuesMustBeWellFormed) {
  const auto refusal = [](bson::Type type, std::string bytes) {
    return Forged().effect(kAssign).numbers({1}).value({type, std::move(bytes)}).refusal();
  };
  EXPECT_EQ(refusal(bson::Type::kBool, "\2"), "boolean neither 0 nor 1");
  EXPECT_EQ(refusal(bson::Type::kDocument, "junk"), "document not well formed");
  EXPECT_EQ(refusal(bson::Type::kArray, std::string("\6\0\0\0\0\0", 6)),
            "document not well formed");
  EXPECT_EQ(refusal(bson::Type::kString, std::string("\xff\0\0\0a\0", 6)), "value not well formed");
  EXPECT_EQ(refusal(static_cast<bson::Type>(0x55), "x"), "value not well formed");
  EXPECT_EQ(refusal(bson::Type::kString, std::string("\2\0\0\0a\0", 6)), "");
  // A short string, followed by what would read as an element of its own.
  EXPECT_EQ(refusal(bson::Type::kString, std::string("\1\0\0\0\0\x0ax", 7) + '\0'),
            "value shorter than its length");
}

TEST(HostileRecord, SumsMustBeNumbers) {
  EXPECT_EQ(
      Forged().effect(kIncrement).numbers({1, 0, 0, 0}).value(bson::make_string("1")).refusal(),
      "sum that is not a number");
}

TEST(HostileRecord, PathsAreNoDeeperThanTheLimit) {
  ByteWriter out;
  out.raw(std::string_view("\2\0\0\0\1\0", 6));  // no origins, no namespaces, one path
  out.varint(201);
  for (int i = 0; i < 201; ++i) out.bytes("a");
  out.varint(0);
  const auto decoded = decode_segments(out.take());
  ASSERT_FALSE(decoded);
  EXPECT_NE(decoded.error().reason.find("path too deep"), std::string::npos);
}

TEST(HostileRecord, AZeroByteBeginsTheNameOfAnElementAndNothingElse) {
  const auto refusal = [](const Path& path) {
    ByteWriter out;
    out.raw(std::string_view("\2\0\0\0\1\0", 6));  // no origins, no namespaces, one path
    out.varint(path.size());
    for (const std::string& name : path) out.bytes(name);
    out.varint(0);
    const auto decoded = decode_segments(out.take());
    return decoded ? std::string() : decoded.error().reason;
  };
  const std::string element = element_name({Dot(), 1});
  EXPECT_EQ(refusal({"a", element}), "");
  EXPECT_EQ(refusal({"a", element, "b"}), "");
  EXPECT_NE(refusal({"a", element.substr(0, 4)}), "");
  EXPECT_NE(refusal({"a", element + "x"}), "");
  EXPECT_NE(refusal({"a", std::string("b\0", 2)}), "");
  EXPECT_NE(refusal({"a", element_name({Dot(), kElementIndexes})}), "");
  EXPECT_NE(refusal({element, "a"}), "");
  EXPECT_NE(refusal({"a", element, "b", element}), "");
}

TEST(HostileRecord, ALongNameReferredToOftenDoesNotFillTheMemory) {
  RecordMaker make(1);
  Record record = make.record(make.origin(), 10);
  Effect effect;
  effect.path = {std::string(100'000, 'n')};
  record.documents = {{"t.a", bson::make_int32(1), std::vector<Effect>(1000, effect)}};
  const std::string bytes = encode_record(record);
  EXPECT_LT(bytes.size(), 110'000u);
  EXPECT_TRUE(decode_record(bytes));
  RecordLimits tight;
  tight.decoded_bytes_max = 10'000'000;
  EXPECT_FALSE(decode_record(bytes, tight));
}

TEST(HostileRecord, InputOverTheLimitIsNotLookedAt) {
  RecordLimits tight;
  tight.bytes_max = 10;
  EXPECT_EQ(Forged().numbers({0}).refusal(tight), "longer than the limit allows");
}

RC_GTEST_PROP(HostileRecordProperty, EveryCutIsRefused, (uint32_t seed)) {
  const std::string bytes = encode_segments(RecordMaker(seed).segments());
  for (size_t length = 0; length < bytes.size(); ++length) {
    RC_ASSERT(!decode_segments(std::string_view(bytes).substr(0, length)));
  }
  RC_ASSERT(!decode_segments(bytes + '\0'));
}

RC_GTEST_PROP(HostileRecordProperty, WhatAFlippedByteLeavesReadableIsValid, (uint32_t seed)) {
  std::string bytes = encode_segments(RecordMaker(seed).segments());
  const size_t step = 1 + bytes.size() / 150;
  for (size_t at = seed % step; at < bytes.size(); at += step) {
    char& byte = bytes[at];
    const char before = byte;
    byte = static_cast<char>(byte ^ (1 << (seed % 8)));
    if (const auto decoded = decode_segments(bytes)) {
      RC_ASSERT(decode_segments(encode_segments(*decoded)).value() == *decoded);
    }
    byte = before;
  }
}

}  // namespace
}  // namespace outrigger
