// A mongod comes back having forgotten the last of what it answered: what is put back, from where,
// and what is left alone.
#include "replication/recovery/redo.h"

#include <gtest/gtest.h>

#include <random>

#include "config/policy.h"
#include "replication/testing/redo_testing.h"

namespace outrigger {
namespace {

bson::OwnedValue text(const std::string& value) { return bson::make_string(value); }

TEST_F(RedoTest, AnAssignmentIsPutBack) {
  expect_put_back([&] { paris_.set(1, "a", 2); });
}

TEST_F(RedoTest, AnIncrementIsCountedOnce) {
  expect_put_back([&] {
    paris_.inc(1, "n", 5);
    paris_.inc(1, "n", 7);
    paris_.inc(1, "fresh", 3);
  });
}

TEST_F(RedoTest, AnInsertIsMadeAgainWithWhatWasDoneToItSince) {
  expect_put_back([&] {
    paris_.insert(2, {{"a", number(1)}, {"b", text("x")}});
    paris_.set(2, "a", 5);
    paris_.inc(2, "n", 4);
    paris_.unset(2, "b");
  });
}

TEST_F(RedoTest, ARemoveIsDoneAgain) {
  expect_put_back([&] { paris_.remove(1); });
}

TEST_F(RedoTest, AnotherDocumentUnderTheSameIdIsNotTheOldOne) {
  expect_put_back([&] {
    paris_.remove(1);
    paris_.insert(1, {{"b", number(9)}});
  });
}

TEST_F(RedoTest, AReplacementIsPutBackWhole) {
  expect_put_back([&] {
    paris_.replace(1, {{"b", number(9)}, {"n", number(1)}});
    paris_.inc(1, "n", 2);
  });
}

// What is kept whole, or stands beside other values, travels beside the birth of an upsert.
TEST_F(RedoTest, WhatRulesOfPathsGovernIsPutBack) {
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  rule.fields = {{{"whole"}, PathType::kAtomic}, {{"best"}, PathType::kMax}};
  static Policy policy(settings);
  for (TestSite* site : {&paris_, &oslo_}) {
    site->replica_options.policy = &policy;
    site->restart();
  }
  const Documents nothing = documents();
  const auto write = [&] {
    paris_.upsert(2, {{"a", number(1)}, {"whole", number(2)}, {"best", number(3)}});
    paris_.upsert(3, {{"whole", number(2)}, {"best", number(3)}});
    paris_.set(3, "whole", 5);
    paris_.set(3, "best", 1);
    paris_.replace(1, {{"best", number(7)}, {"whole", number(1)}});
  };
  write();
  const Documents written = documents();
  come_back_with(nothing);
  put_back();
  expect(written);
  settle_down({&paris_, &oslo_});
  expect(written);
  const Documents journaled = documents();
  oslo_.set(1, "best", 9);
  paris_.set(1, "best", 4);
  exchange(paris_, oslo_);
  const Documents answered = documents();
  come_back_with(journaled);
  put_back();
  expect(answered);
  EXPECT_EQ(paris_.number(1, "best"), 9);
}

TEST_F(RedoTest, ADocumentThatRepeatsNamesIsPutBackWhole) {
  expect_put_back([&] { paris_.replace(1, {{"b", number(1)}, {"b", text("x")}}); });
}

TEST_F(RedoTest, WhatAPeerWroteMeanwhileStays) {
  const Documents journaled = documents();
  paris_.set(1, "a", 2);
  oslo_.set(1, "b", 7);
  oslo_.inc(1, "n", 100);
  exchange(paris_, oslo_);  // applied with the journal waited for
  const Documents applied = documents();
  paris_.inc(1, "n", 1);
  const Documents answered = documents();
  come_back_with(applied);
  put_back();
  expect(answered);
  EXPECT_NE(journaled, applied);
}

TEST_F(RedoTest, AValueThatAPeerGaveAsWellIsPutBackToo) {
  paris_.replica->journaled(paris_.replica->answered());
  const Documents journaled = documents();
  paris_.set(1, "a", 5);
  oslo_.set(1, "a", 5);
  oslo_.clock.advance_ms(5);
  oslo_.set(1, "a", 5);
  exchange(paris_, oslo_);  // there is nothing to be written
  const Documents answered = documents();
  come_back_with(journaled);
  put_back();
  expect(answered);
  EXPECT_EQ(paris_.show(1), oslo_.show(1));
}

TEST_F(RedoTest, RowsAndRecordsStayUntilTheJournalHoldsThem) {
  paris_.set(1, "a", 2);
  exchange(paris_, oslo_);
  for (int i = 0; i < 3; ++i) {
    exchange(paris_, oslo_);
    EXPECT_TRUE(paris_.replica->collect_step(1000).has_value());
    paris_.flush();
  }
  EXPECT_GT(paris_.status().rows, 0u);
  EXPECT_TRUE(*paris_.outbox->last_entry(run_of(paris_)));
  settle_down({&paris_, &oslo_});
  EXPECT_EQ(paris_.status().rows, 0u);
}

TEST_F(RedoTest, AfterARestartTheOutboxStillKnowsWhatMongodForgot) {
  const Documents journaled = documents();
  paris_.set(1, "a", 2);
  paris_.insert(3, {{"a", number(3)}});
  const Documents answered = documents();
  paris_.kill();
  come_back_with(journaled);
  paris_.open();
  ASSERT_TRUE(paris_.recover().has_value());
  expect(answered);
}

TEST_F(RedoTest, AStoreThatDiesMeanwhileIsPutBackFromTheStart) {
  const Documents journaled = documents();
  for (int id = 2; id <= kIdsMax; ++id) paris_.insert(id, {{"a", number(id)}});
  const Documents answered = documents();
  come_back_with(journaled);
  paris_.mongod.crash_after(2);
  EXPECT_FALSE(paris_.recovery->put_back_step(paris_.mongod, true).has_value());
  come_back_with(journaled);
  put_back();
  expect(answered);
}

// How many of a batch's writes are done when mongod dies.
class BatchRedoTest : public RedoTest, public ::testing::WithParamInterface<size_t> {};
INSTANTIATE_TEST_SUITE_P(After, BatchRedoTest, ::testing::Range<size_t>(0, 9));

TEST_P(BatchRedoTest, WhatABatchShowedDoesNotGoBackWhenItIsDoneAgain) {
  oslo_.insert(2, {{"a", number(1)}});
  exchange(paris_, oslo_);
  const Documents journaled = documents();
  for (int value = 2; value <= 5; ++value) {
    oslo_.set(1, "a", value);
    oslo_.set(2, "a", value);
  }
  paris_.mongod.crash_after(GetParam());
  pull(oslo_, paris_);
  come_back_with(journaled);
  put_back();
  EXPECT_EQ(paris_.number(1, "a"), 5);
  EXPECT_EQ(paris_.number(2, "a"), 5);
  int64_t least = 5;
  paris_.mongod.watch([&](const StoreWrite& write) {
    for (const StoreWrite::Set& set : write.set) {
      least = std::min(least, *set.value.view().to_int64());
    }
  });
  paris_.apply_all();
  EXPECT_EQ(least, 5);
  EXPECT_EQ(paris_.show(1), oslo_.show(1));
  EXPECT_EQ(paris_.replica->applied(), oslo_.replica->applied());
}

TEST_F(RedoTest, WhoIsToStopLeavesTheRestToTheNextStart) {
  const Documents journaled = documents();
  for (int id = 2; id <= kIdsMax; ++id) paris_.insert(id, {{"a", number(id)}});
  const Documents answered = documents();
  come_back_with(journaled);
  RecoveryOptions options;
  options.is_stopping = [] { return true; };
  Recovery stopped(*paris_.replica, *paris_.outbox, *paris_.commit, paris_.mongod, options);
  const auto done = stopped.put_back_step(paris_.mongod, true);
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, ErrorCode::kClosed);
  expect(journaled);
  put_back();
  expect(answered);
}

TEST_F(RedoTest, ADocumentOfAWriteUnderWayWaitsForItsEnd) {
  const Documents journaled = documents();
  paris_.set(1, "a", 2);
  paris_.insert(2, {{"a", number(2)}});
  auto pending = paris_.begin(TestSite::setting(1, "b", number(3)));
  paris_.store(*pending);
  const Documents answered = documents();
  come_back_with(journaled);
  EXPECT_FALSE(*paris_.recovery->put_back_step(paris_.mongod, true));
  EXPECT_EQ(paris_.number(1, "a"), 1);
  EXPECT_EQ(paris_.number(2, "a"), 2);
  paris_.settle(std::move(pending));  // its answer had come
  put_back();
  expect(answered);
}

TEST_F(RedoTest, AWriteInDoubtThatAddsIsJudgedByWhatIsPutBack) {
  const Documents journaled = documents();
  paris_.inc(1, "n", 5);
  auto pending = paris_.begin(TestSite::incrementing(1, "n", 100));  // nobody knows
  come_back_with(journaled);
  EXPECT_FALSE(*paris_.recovery->put_back_step(paris_.mongod, true));
  auto how = paris_.recovery->settle_in_doubt(pending->write, "", "", paris_.mongod);
  ASSERT_TRUE(how.has_value()) << how.error().message();
  paris_.release(*pending);
  put_back();
  EXPECT_EQ(paris_.number(1, "n"), 15);
  exchange(paris_, oslo_);
  EXPECT_EQ(oslo_.number(1, "n"), 15);
}

TEST_F(RedoTest, AWriteInDoubtWaitsForWhoHoldsItsUniqueValue) {
  paris_.insert(2, {{"u", number(1)}});
  exchange(paris_, oslo_);
  paris_.replica->journaled(paris_.replica->answered());
  const Documents journaled = documents();
  paris_.set(2, "u", 2);
  paris_.set(1, "u", 1);
  auto pending = paris_.begin(TestSite::incrementing(1, "n", 100));
  come_back_with(journaled);
  std::atomic<bool> is_held = true;  // the value 1, by document 2
  paris_.mongod.refuse_when([&](const bson::Document& document) {
    return is_held && document.find("_id")->as_int32() == 1 && document.has("u") ? 11000 : 0;
  });
  paris_.mongod.watch([&](const StoreWrite& write) {
    if (write.id.view().as_int32() == 2) is_held = false;
  });
  auto how = paris_.recovery->settle_in_doubt(pending->write, "", "", paris_.mongod);
  ASSERT_TRUE(how.has_value()) << how.error().message();
  paris_.release(*pending);
  put_back();
  EXPECT_EQ(paris_.number(1, "u"), 1);
  EXPECT_EQ(paris_.number(1, "n"), 10);
  EXPECT_EQ(paris_.status().not_applied, 0u);
  exchange(paris_, oslo_);
  EXPECT_EQ(oslo_.show(1), paris_.show(1));
}

// An own write is open; a later one is answered, and what a peer did upon that is applied.
TEST_F(RedoTest, NothingIsTakenForJournaledWithoutWhatItStandsOn) {
  auto open = paris_.begin(TestSite::setting(1, "a", number(9)));
  paris_.insert(2, {{"a", number(1)}});
  exchange(paris_, oslo_);
  paris_.remove(2);
  exchange(paris_, oslo_);
  oslo_.insert(2, {{"b", number(2)}});
  exchange(paris_, oslo_);
  const VersionVector answered = paris_.replica->answered();
  EXPECT_LT(answered.at(run_of(oslo_)), paris_.replica->applied().at(run_of(oslo_)));
  paris_.drop(std::move(open));
  EXPECT_TRUE(paris_.replica->answered().includes(paris_.replica->applied()));
}

TEST_F(RedoTest, AWriteInDoubtThatTheStoreShowsIsNotWrittenOver) {
  paris_.set(1, "a", 2);
  auto pending = paris_.begin(TestSite::setting(1, "a", number(3)));
  paris_.store(*pending);
  come_back_with(documents());  // it had reached the journal, so all before it had
  auto how = paris_.recovery->settle_in_doubt(pending->write, "", "", paris_.mongod);
  ASSERT_TRUE(how.has_value());
  EXPECT_EQ(*how, SettledPrepare::How::kHappened);
  paris_.release(*pending);
  put_back();
  EXPECT_EQ(paris_.number(1, "a"), 3);
}

class SetRedoTest : public RedoTest {
 protected:
  SetRedoTest() : RedoTest(StoreKind::kSingleMember) {}
};

TEST_F(SetRedoTest, WhatTheOplogShowsIsRecordedBeforeAnythingIsPutBack) {
  const Documents journaled = documents();
  paris_.set(1, "a", 2);
  paris_.kill();
  come_back_with(journaled);
  paris_.open();
  ASSERT_TRUE(paris_.recover().has_value());
  auto pending = paris_.begin(TestSite::incrementing(1, "n", 5));
  paris_.store(*pending);
  const Documents answered = documents();
  paris_.kill();
  paris_.release(*pending);
  come_back_with(answered);
  paris_.open();
  auto report = paris_.recover();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->happened, 1u);
  expect(answered);
}

// Any writes, any prefix of them journaled, records of a peer in between.
TEST_F(RedoTest, WhateverWasForgottenIsPutBack) {
  const char* named = std::getenv("OUTRIGGER_SEED");
  const uint64_t seed = named != nullptr ? std::stoull(named) : std::random_device()();
  std::printf("OUTRIGGER_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 chance(seed);
  const auto draw = [&](int most) {
    return static_cast<int>(chance() % static_cast<uint64_t>(most));
  };
  const std::array<std::string, 3> fields = {"a", "b", "n"};
  const auto write = [&](TestSite& site) {
    const int id = 1 + draw(kIdsMax);
    const std::string& field = fields.at(static_cast<size_t>(draw(3)));
    if (!site.document(id)) return site.insert(id, {{field, number(draw(50))}});
    switch (draw(8)) {
      case 0:
        return site.remove(id);
      case 1:
        return site.replace(id, {{field, number(draw(50))}, {"c", text("x")}});
      case 2:
        return site.unset(id, field);
      case 3:
      case 4:
        return site.set(id, field, draw(50));
      default:
        return site.inc(id, "n" + std::to_string(draw(2)), 1 + draw(9));
    }
  };
  for (int round = 0; round < 150; ++round) {
    std::vector<Documents> prefixes = {documents()};
    for (int step = draw(10); step >= 0; --step) {
      if (draw(4) == 0) {
        write(oslo_);
        if (draw(2) == 0) exchange(paris_, oslo_);
        prefixes = {documents()};  // applied with the journal waited for
      } else {
        write(paris_);
        prefixes.push_back(documents());
      }
    }
    const Documents answered = prefixes.back();
    const bool with_sidecar = draw(4) == 0;
    if (with_sidecar) paris_.kill();
    come_back_with(prefixes.at(static_cast<size_t>(draw(static_cast<int>(prefixes.size())))));
    if (with_sidecar) {
      paris_.open();
      ASSERT_TRUE(paris_.recover().has_value());
    } else {
      put_back();
    }
    expect(answered);
    // That mongod has forgotten is nobody's loss.
    for (const LedgerEntry& entry : paris_.ledger()) EXPECT_NE(entry.kind, kUnrecorded);
    if (draw(3) == 0) settle_down({&paris_, &oslo_});
    if (HasFailure()) FAIL() << "round " << round;
  }
}

}  // namespace
}  // namespace outrigger
