#include "replication/store/store_errors.h"

#include <gtest/gtest.h>

#include <set>

namespace outrigger {
namespace {

using K = StoreErrorKind;

std::set<int32_t> codes_of(K kind) {
  std::set<int32_t> out;
  for (const StoreError& error : store_errors()) {
    if (error.kind == kind) out.insert(error.code);
  }
  return out;
}

TEST(StoreErrors, WhatIsRefusedBeforeAnythingIsWrittenDidNotHappen) {
  const std::set<int32_t> expected = {
      2,   4,   9,   13,  14,    15,    16,    20,    22,    26,    27,    28,    29,   30,
      40,  48,  52,  53,  54,    55,    56,    57,    59,    66,    72,    73,    115,  116,
      121, 139, 146, 165, 166,   167,   168,   171,   224,   241,   263,   291,   292,  322,
      323, 324, 347, 361, 10003, 10334, 11000, 13297, 17280, 17419, 17420, 40414, 40415};
  EXPECT_EQ(codes_of(K::kDidNotHappen), expected);
}

TEST(StoreErrors, AnInterruptionMayComeAfterTheWrite) {
  const std::set<int32_t> expected = {
      6,   7,   24,  43,  50,  64,   79,    89,    91,    100,   133,   175,   189,   202,
      237, 262, 279, 290, 355, 9001, 10058, 10107, 11600, 11601, 11602, 13388, 13435, 13436};
  EXPECT_EQ(codes_of(K::kMayHaveHappened), expected);
}

TEST(StoreErrors, ABlockAConflictAndAFullDiskPass) {
  const std::set<int32_t> expected = {46, 112, 117, 134, 211, 215, 225, 251, 365, 371, 388, 14031};
  EXPECT_EQ(codes_of(K::kPasses), expected);
}

TEST(StoreErrors, EveryOtherCodeMayHaveHappenedAndDoesNotPass) {
  std::set<int32_t> known;
  for (const StoreError& error : store_errors()) {
    EXPECT_TRUE(known.insert(error.code).second) << error.code << " is listed twice";
    EXPECT_STRNE(error.name, "") << error.code;
    EXPECT_EQ(store_error_kind(error.code), error.kind) << error.name;
    EXPECT_EQ(store_error_passes(error.code), error.kind != K::kDidNotHappen) << error.name;
  }
  for (int32_t code = -1; code < 60'000; ++code) {
    if (known.count(code) > 0) continue;
    ASSERT_EQ(store_error_kind(code), K::kMayHaveHappened) << code;
    ASSERT_EQ(store_error_kind_behind_projection(code), K::kMayHaveHappened) << code;
    ASSERT_FALSE(store_error_passes(code)) << code;
  }
}

// What a projection fails with is no word about the write before it.
TEST(StoreErrors, BehindAProjectionOnlyErrorsOfTheWriteItselfSayThatNothingHappened) {
  for (const int32_t code : {2, 9, 14, 15, 16, 28, 139, 241, 292, 10334, 51246, 16555}) {
    EXPECT_EQ(store_error_kind_behind_projection(code), K::kMayHaveHappened) << code;
  }
  for (const int32_t code : {13, 66, 121, 171, 11000, 17419, 40415}) {
    EXPECT_EQ(store_error_kind_behind_projection(code), K::kDidNotHappen) << code;
  }
  EXPECT_EQ(store_error_kind_behind_projection(371), K::kPasses);
}

TEST(StoreErrors, TellAStoreThatTakesNoNamesFromOneThatShowsTheCommand) {
  EXPECT_TRUE(store_refuses_names(72, "The collectionUUID parameter is not enabled"));
  EXPECT_FALSE(store_refuses_names(72,
                                   "May not specify both stmtId and stmtIds. Got "
                                   "{ insert: \"c\", collectionUUID: UUID(\"00\") }"));
  EXPECT_FALSE(store_refuses_names(361, "The collectionUUID parameter is not enabled"));
}

}  // namespace
}  // namespace outrigger
