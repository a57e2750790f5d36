#include "replication/record/bytes.h"

#include <gtest/gtest.h>

#include "replication/causality/stamp_testing.h"

namespace outrigger {
namespace {

TEST(Bytes, WhatWasWrittenIsReadBack) {
  const bson::OwnedValue number = bson::make_int32(-7);
  const bson::OwnedValue text = bson::make_string("text");
  VersionVector vector;
  vector.raise(origin(1), 5);
  vector.raise(origin(2), UINT64_MAX);
  ByteWriter out;
  out.u8(0xff);
  out.u32(0x01020304);
  out.u64(0x0102030405060708);
  out.u32_be(0x01020304);
  out.u64_be(0x0102030405060708);
  out.bytes("varint");
  out.bytes32("u32");
  for (const auto* value : {&number, &text}) {
    out.value(*value);
    out.counted(*value);
    out.value32(*value);
  }
  out.origin(origin(3));
  out.origin_be(origin(4));
  out.dot_be(Dot{9, origin(5)});
  out.vector(vector);
  ByteReader in(out.view(), "test");
  EXPECT_EQ(in.u8(), 0xff);
  EXPECT_EQ(in.u32(), 0x01020304u);
  EXPECT_EQ(in.u64(), 0x0102030405060708u);
  EXPECT_EQ(in.u32_be(), 0x01020304u);
  EXPECT_EQ(in.u64_be(), 0x0102030405060708u);
  EXPECT_EQ(in.bytes(), "varint");
  EXPECT_EQ(in.bytes32(), "u32");
  for (const auto* value : {&number, &text}) {
    EXPECT_EQ(in.value(), *value);
    EXPECT_EQ(in.counted(), *value);
    EXPECT_EQ(in.value32(), *value);
  }
  EXPECT_EQ(in.origin(), origin(3));
  EXPECT_EQ(in.origin_be(), origin(4));
  EXPECT_EQ(in.dot_be(), (Dot{9, origin(5)}));
  EXPECT_EQ(in.vector(), vector);
  in.end();
  EXPECT_TRUE(in.ok());
}

TEST(Bytes, TheFirstErrorSticksAndSaysWhere) {
  ByteReader in(
      "\x05"
      "abc",
      "test");
  EXPECT_EQ(in.bytes(), "");
  EXPECT_EQ(in.u8(), 0);
  in.fail("something else");
  EXPECT_FALSE(in.ok());
  const Error error = in.error("the way out").value();
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(error.message(), "decode test: length beyond the end at byte 1 of 4 (the way out)");
}

TEST(Bytes, BytesLeftOverAreAnError) {
  ByteReader in("ab", "test");
  in.u8();
  in.end();
  EXPECT_FALSE(in.ok());
}

TEST(Bytes, VarintsHaveAtMost64Bits) {
  for (uint64_t value : {uint64_t{0}, uint64_t{127}, uint64_t{128}, uint64_t{300}, UINT64_MAX}) {
    ByteWriter out;
    out.varint(value);
    for (const bool shortest : {false, true}) {
      ByteReader in(out.view(), "test");
      if (shortest) in.only_shortest();
      EXPECT_EQ(in.varint(), value);
      in.end();
      EXPECT_TRUE(in.ok());
    }
  }
  for (const std::string& bytes : {std::string(10, '\xff'), std::string(), std::string("\x80")}) {
    ByteReader in(bytes, "test");
    EXPECT_EQ(in.varint(), 0u);
    EXPECT_FALSE(in.ok());
  }
}

TEST(Bytes, VarintsMayHaveToBeInTheirShortestForm) {
  const std::string_view five("\x85\x80\x00", 3);
  ByteReader lenient(five, "test");
  EXPECT_EQ(lenient.varint(), 5u);
  EXPECT_TRUE(lenient.ok());
  ByteReader strict(five, "test");
  strict.only_shortest();
  strict.varint();
  EXPECT_FALSE(strict.ok());
}

TEST(Bytes, ACountThatCannotBeThereFails) {
  const auto reads = [](uint64_t claimed, size_t most, size_t bytes_each) {
    ByteWriter out;
    out.varint(claimed);
    out.raw("abcdef");
    ByteReader in(out.view(), "test");
    return in.count(most, bytes_each) == claimed && in.ok();
  };
  EXPECT_TRUE(reads(3, 3, 2));
  EXPECT_FALSE(reads(3, 2, 2));
  EXPECT_FALSE(reads(4, SIZE_MAX, 2));
  EXPECT_FALSE(reads(1'000'000'000, SIZE_MAX, 1));
}

TEST(Bytes, BytesMayBeBounded) {
  ByteReader in(
      "\x03"
      "abc"
      "\x03"
      "def",
      "test");
  EXPECT_EQ(in.bytes(3), "abc");
  EXPECT_EQ(in.bytes(2), "");
  EXPECT_FALSE(in.ok());
}

TEST(Bytes, ValuesAreCheckedToBeOfTheirType) {
  const auto reads = [](std::string_view bytes) {
    ByteReader in(bytes, "test");
    in.counted();
    return in.ok();
  };
  EXPECT_TRUE(reads(std::string_view("\x08\x01\x01", 3)));
  EXPECT_FALSE(reads(std::string_view("\x08\x01\x02", 3)));
  EXPECT_FALSE(reads(std::string_view("\x10\x03\x01\x02\x03", 5)));
  EXPECT_FALSE(reads(std::string_view("\x10\x05\x01\x02\x03\x04\x0a", 7)));
  EXPECT_FALSE(reads(std::string_view("\x0a\x01\x00", 3)));
  EXPECT_FALSE(reads(std::string_view("\x42\x00", 2)));
  EXPECT_TRUE(reads(std::string_view("\x02\x06\x02\x00\x00\x00k\x00", 8)));
  EXPECT_FALSE(reads(std::string_view("\x02\x07\x02\x00\x00\x00k\x00\x0a", 9)));
}

TEST(Bytes, VectorsMustBeAscendingWithoutZeros) {
  const Origin low{{}, 1};
  const Origin high{{}, 2};
  const auto reads = [](const std::vector<std::pair<Origin, Hlc>>& entries) {
    ByteWriter out;
    out.varint(entries.size());
    for (const auto& [origin, hlc] : entries) {
      out.origin(origin);
      out.u64(hlc);
    }
    ByteReader in(out.view(), "test");
    in.vector();
    return in.ok();
  };
  EXPECT_TRUE(reads({{low, 5}, {high, 1}}));
  EXPECT_FALSE(reads({{high, 5}, {low, 1}}));
  EXPECT_FALSE(reads({{low, 5}, {low, 6}}));
  EXPECT_FALSE(reads({{low, 0}}));
}

}  // namespace
}  // namespace outrigger
