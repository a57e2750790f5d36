// Documents that merge as one value, and births that count.
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

class WholeDocument : public MergeTest {};

TEST_F(WholeDocument, ADocumentThatRepeatsANameIsOneValueAndEverySiteSaysSo) {
  insert(a_, {{"x", i32(1)}, {"x", i32(2)}});
  all_show({{"x", i32(1)}, {"x", i32(2)}});
  for (const WorldSite* site : all_) EXPECT_TRUE(site->load("d").opaque);
  replace(a_, {{"x", i32(1)}, {"x", i32(2)}, {"b", i32(1)}});
  replace(b_, {{"x", i32(2)}});
  all_show({{"x", i32(2)}});
  for (const WorldSite* site : all_) EXPECT_FALSE(site->load("d").opaque);
}

TEST_F(WholeDocument, AnOpaqueDocumentHidesWhatWasSetApartAndTheLedgerHasIt) {
  insert(a_, {{"a", i32(0)}});
  exchange();
  set(a_, "a", i32(1));
  replace(b_, {{"x", i32(1)}, {"x", i32(2)}});
  set(a_, "b", i32(2));
  all_show({{"x", i32(1)}, {"x", i32(2)}});
  all_lost({"2/a 1", "2/b 2"});
}

TEST_F(WholeDocument, WhatIsOpaqueIsRememberedInOneByteAfterAllIsStable) {
  insert(a_, {{"x", i32(1)}, {"x", i32(2)}});
  for (int round = 0; round < 3; ++round) {
    exchange();
    for (WorldSite* to : all_) {
      for (WorldSite* from : all_) to->stability->hear(from->report());
    }
    for (WorldSite* site : all_) site->collect(true);
  }
  for (const WorldSite* site : all_) EXPECT_EQ(site->rows.at("d").size(), 1u);
  set(b_, "b", i32(1));
  all_show({{"x", i32(1)}, {"x", i32(2)}, {"b", i32(1)}});
  remove(c_);
  all_gone();
  for (const WorldSite* site : all_) EXPECT_FALSE(site->rows.contains("d"));
}

TEST_F(WholeDocument, AnIncrementByNothingLeavesANegativeZero) {
  insert(a_, {{"v", bson::make_double(-0.0)}, {"w", i32(0)}});
  exchange();
  inc(a_, "v", 0);
  inc(b_, "w", 1);
  all_show({{"v", bson::make_double(-0.0)}, {"w", i32(1)}});
  inc(b_, "v", 3);
  all_show({{"v", bson::make_double(3)}, {"w", i32(1)}});
}

TEST_F(WholeDocument, UpsertsThatCountFromTheirOwnFilterAddUp) {
  // {_id: "d", n: 5} with {$inc: {n: 1}}: each site stored 6.
  for (WorldSite* site : {&a_, &b_}) {
    AppWrite write = make(Kind::kUpsert);
    PathChange& one = write.change.changes.emplace_back();
    one.kind = Operation::kIncrement;
    one.path = {"n"};
    one.value = i32(1);
    write.change.document = doc({{"_id", text(id_)}, {"n", i32(6)}}).bytes;
    write.after = write.change.document;
    run(*site, write);
    shows(*site, {{"n", i32(6)}});
  }
  all_show({{"n", i32(7)}});
  inc(c_, "n", 1);
  all_show({{"n", i32(8)}});
}

}  // namespace
}  // namespace outrigger::merge
