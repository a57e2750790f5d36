// Documents that count versions: of two written apart one stands whole, and the other is one entry.
#include "config/policy.h"
#include "replication/merge/row.h"
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

class Versions : public MergeTest {
 protected:
  Versions() {
    Settings settings;
    settings.replicate.emplace_back().namespace_glob = "*";
    settings.replicate.back().version_field = {"v"};
    policy_.emplace(settings);
    for (WorldSite* site : all_) site->policy = &*policy_;
    insert(a_, {{"v", i32(7)}, {"x", i32(0)}, {"y", i32(0)}});
    exchange();
  }
  std::optional<Policy> policy_;
};

TEST_F(Versions, OfTwoTheLaterStandsWholeAndTheOtherIsOneEntry) {
  replace(a_, {{"v", i32(8)}, {"x", i32(1)}, {"y", i32(0)}});
  replace(b_, {{"v", i32(8)}, {"x", i32(0)}, {"y", i32(2)}});
  all_show({{"v", i32(8)}, {"x", i32(0)}, {"y", i32(2)}});
  all_lost({"1 {\"_id\": \"d\", \"v\": 8, \"x\": 1, \"y\": 0}"});
  forget();
  all_show({{"v", i32(8)}, {"x", i32(0)}, {"y", i32(2)}});
}

TEST_F(Versions, WhatIsWrittenBesideOneMergesByField) {
  replace(a_, {{"v", i32(8)}, {"x", i32(1)}, {"y", i32(0)}});
  set(b_, "y", i32(5));
  inc(c_, "n", 3);
  all_show({{"v", i32(8)}, {"x", i32(1)}, {"y", i32(5)}, {"n", i32(3)}});
}

TEST_F(Versions, OneThatStandsLosesFieldsToLaterWritesOneByOne) {
  replace(a_, {{"v", i32(8)}, {"x", i32(1)}, {"y", i32(1)}});
  set(b_, "y", i32(5));
  all_show({{"v", i32(8)}, {"x", i32(1)}, {"y", i32(5)}});
  all_lost({"1/y 1"});
}

TEST_F(Versions, OneThatLosesIsInTheLedgerAsItWasWrittenWhateverCameIntoItSince) {
  replace(a_, {{"v", i32(8)}, {"x", i32(1)}});
  inc(a_, "seen", 1);
  set(a_, "x", i32(4));
  replace(b_, {{"v", i32(8)}, {"y", i32(2)}});
  all_show({{"v", i32(8)}, {"y", i32(2)}, {"seen", i32(1)}});
  all_lost({"1 {\"_id\": \"d\", \"v\": 8, \"x\": 1}", "2/x 4"});
}

TEST_F(Versions, TwoThatAreEqualLoseNothing) {
  replace(a_, {{"v", i32(8)}, {"x", i32(1)}});
  inc(b_, "seen", 1);
  replace(c_, {{"v", i32(8)}, {"x", i32(1)}});
  all_show({{"v", i32(8)}, {"x", i32(1)}, {"seen", i32(1)}});
  all_lost({});
}

TEST_F(Versions, OfThreeTwoAreInTheLedgerWhole) {
  replace(a_, {{"v", i32(8)}, {"x", i32(1)}});
  replace(b_, {{"v", i32(8)}, {"x", i32(2)}});
  replace(c_, {{"v", i32(8)}, {"x", i32(3)}});
  all_show({{"v", i32(8)}, {"x", i32(3)}});
  for (const WorldSite* site : all_) {
    std::set<std::string> values;
    for (const std::string& line : lost(*site)) values.insert(line);
    EXPECT_TRUE(values.contains("1 {\"_id\": \"d\", \"v\": 8, \"x\": 1}"));
    EXPECT_TRUE(values.contains("1 {\"_id\": \"d\", \"v\": 8, \"x\": 2}"));
  }
}

TEST_F(Versions, OneThatADeleteTookIsReportedByThat) {
  replace(a_, {{"v", i32(8)}, {"x", i32(1)}});
  remove(b_);
  all_gone();
}

TEST_F(Versions, ADocumentWithoutTheFieldIsNone) {
  replace(a_, {{"x", i32(1)}});
  replace(b_, {{"x", i32(2)}});
  all_show({{"x", i32(2)}});
  all_lost({"1/x 1"});
}

TEST_F(Versions, TheRowOfOneIsReadBack) {
  replace(a_, {{"v", i32(8)}, {"x", i32(1)}});
  const std::string written(stored(a_).bytes());
  set(a_, "y", i32(1));
  const std::string row = a_.rows.at("d");
  DocumentState state = a_.load("d");
  const Register& root = state.incarnations.front().body.registers.at(Path());
  EXPECT_TRUE(root.is_version);
  EXPECT_EQ(root.given.bytes, written);
  fill(state, stored(a_));
  EXPECT_EQ(strip(state), row);
  for (size_t cut = 1; cut < row.size(); ++cut) EXPECT_FALSE(load_row(row.substr(0, cut)));
}

TEST_F(Versions, InARowOnlyTheWholeDocumentIsOne) {
  set(a_, "y", i32(5));
  DocumentState state = a_.load("d");
  EXPECT_TRUE(load_row(encode_row(state)));
  Register& part = state.incarnations.front().body.registers.at({"y"});
  part.is_version = true;
  part.given = SharedBytes::of(bson::Writer().int32("y", 5).finish());
  EXPECT_FALSE(load_row(encode_row(state)));
}

}  // namespace
}  // namespace outrigger::merge
