// The table of conflicting pairs, one case each. c writes nothing and so sees both orders of
// arrival at work: what it shows and what it notes as lost must be what a and b show and note.
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

class Pair : public MergeTest {
 protected:
  void start(const Fields& fields) {
    insert(a_, fields);
    exchange();
  }
};

TEST_F(Pair, SetAndSetKeepTheLaterAndNoteTheEarlier) {
  start({{"a", i32(0)}});
  set(a_, "a", i32(1));
  set(b_, "a", i32(2));
  all_show({{"a", i32(2)}});
  all_lost({"1/a 1"});
}

TEST_F(Pair, WhatItsAuthorReplacedIsNotNotedWhereBothComeTogether) {
  start({{"a", i32(0)}});
  set(a_, "a", i32(1));
  set(b_, "a", i32(2));
  set(a_, "a", i32(3));
  pull_at_once(b_, a_);
  EXPECT_EQ(lost(b_), std::vector<std::string>{"1/a 2"});
}

TEST_F(Pair, OverwritingWhatOneHasSeenIsNoConflict) {
  start({{"a", i32(0)}});
  set(a_, "a", i32(1));
  exchange();
  set(b_, "a", i32(2));
  all_show({{"a", i32(2)}});
  all_lost({});
}

TEST_F(Pair, EqualValuesAreNoConflict) {
  start({});
  set(a_, "a", i32(1));
  set(b_, "a", i32(1));
  all_show({{"a", i32(1)}});
  all_lost({});
}

TEST_F(Pair, DifferentFieldsBothStand) {
  start({{"c", doc({{"x", i32(0)}})}});
  set(a_, "c.x", i32(1));
  set(b_, "c.y", i32(2));
  all_show({{"c", doc({{"x", i32(1)}, {"y", i32(2)}})}});
  all_lost({});
}

TEST_F(Pair, LaterUnsetBeatsSet) {
  start({{"a", i32(0)}});
  set(a_, "a", i32(1));
  unset(b_, "a");
  all_show({});
  all_lost({"1/a 1"});
}

TEST_F(Pair, LaterSetBeatsUnset) {
  start({{"a", i32(0)}});
  unset(a_, "a");
  set(b_, "a", i32(1));
  all_show({{"a", i32(1)}});
  all_lost({"1/a unset"});
}

TEST_F(Pair, LaterChildSurvivesItsParentsAssignment) {
  start({{"c", doc({{"x", i32(0)}})}});
  set(a_, "c", i32(5));
  set(b_, "c.x", i32(1));
  all_show({{"c", doc({{"x", i32(1)}})}});
  all_lost({"2/c 5"});
}

TEST_F(Pair, LaterParentTakesItsChildrenAlong) {
  start({{"c", doc({{"x", i32(0)}})}});
  set(a_, "c.x", i32(1));
  set(b_, "c", i32(5));
  all_show({{"c", i32(5)}});
  all_lost({"2/c/x 1"});
}

TEST_F(Pair, TwoDocumentsForOnePathMergeByField) {
  start({});
  set(a_, "c", doc({{"x", i32(1)}}));
  set(b_, "c", doc({{"y", i32(2)}}));
  all_show({{"c", doc({{"y", i32(2)}})}});
  all_lost({"2/c/x 1"});
}

TEST_F(Pair, UnsetOfAFieldKeepsItsContainer) {
  start({{"c", doc({{"x", i32(0)}})}});
  set(a_, "c", i32(5));
  unset(b_, "c.x");
  all_show({{"c", doc({})}});
}

TEST_F(Pair, OfTwoArraysTheLaterStands) {
  start({{"l", array({i32(1)})}});
  set(a_, "l", array({i32(1), i32(2)}));
  set(b_, "l", array({i32(1), i32(3)}));
  all_show({{"l", array({i32(1), i32(3)})}});
  all_lost({"1/l [1, 2]"});
}

TEST_F(Pair, IncrementsAdd) {
  start({{"n", i32(10)}});
  inc(a_, "n", 1);
  inc(b_, "n", 2);
  inc(a_, "n", 3);
  all_show({{"n", i32(16)}});
  all_lost({});
}

TEST_F(Pair, IncrementsOfAFieldThatIsNotThereAdd) {
  start({});
  inc(a_, "c.n", 1);
  inc(b_, "c.n", 2);
  all_show({{"c", doc({{"n", i32(3)}})}});
}

TEST_F(Pair, AnIncrementCountsOnTopOfASetItHadNotSeen) {
  start({{"n", i32(10)}});
  inc(a_, "n", 1);
  set(b_, "n", i32(100));
  inc(a_, "n", 2);
  all_show({{"n", i32(103)}});
}

TEST_F(Pair, AnIncrementTheSetHadSeenIsPartOfIt) {
  start({{"n", i32(10)}});
  inc(a_, "n", 1);
  exchange();
  set(b_, "n", i32(100));
  inc(a_, "n", 2);
  all_show({{"n", i32(102)}});
}

TEST_F(Pair, AnIncrementSurvivesAnUnset) {
  start({{"n", i32(10)}});
  inc(a_, "n", 1);
  unset(b_, "n");
  all_show({{"n", i32(1)}});
}

TEST_F(Pair, AnIncrementSurvivesTheResetOfItsContainer) {
  start({{"c", doc({{"n", i32(10)}})}});
  inc(a_, "c.n", 1);
  exchange();
  inc(a_, "c.n", 2);
  set(b_, "c", doc({{"x", i32(7)}}));
  all_show({{"c", doc({{"x", i32(7)}, {"n", i32(2)}})}});
}

TEST_F(Pair, AWordHidesIncrementsUntilANumberComes) {
  start({{"n", i32(10)}});
  inc(a_, "n", 1);
  set(b_, "n", text("many"));
  all_show({{"n", text("many")}});
  all_lost({"5/n 1"});
}

TEST_F(Pair, AnIncrementSeenByTheLosingSetCountsOnTheWinner) {
  start({{"n", i32(10)}});
  inc(a_, "n", 1);
  pull(b_, a_);
  set(b_, "n", i32(100));
  set(c_, "n", i32(200));
  all_show({{"n", i32(201)}});
}

TEST_F(Pair, DeleteBeatsUpdateAndKeepsItInTheLedger) {
  start({{"a", i32(0)}});
  set(a_, "a", i32(1));
  remove(b_);
  all_gone();
  EXPECT_EQ(lost(a_), std::vector<std::string>{R"(3 {"_id": "d", "a": 1})"});
  EXPECT_EQ(lost(b_), std::vector<std::string>{"3/a 1"});
}

TEST_F(Pair, DeleteBeatsALaterUpdateToo) {
  start({{"n", i32(0)}});
  remove(b_);
  inc(a_, "n", 4);
  all_gone();
  EXPECT_EQ(lost(b_), std::vector<std::string>{"3/n 4"});
}

TEST_F(Pair, TwoDeletesAreOne) {
  start({});
  remove(a_);
  remove(b_);
  all_gone();
  all_lost({});
}

TEST_F(Pair, ARecreatedDocumentSurvivesAConcurrentDelete) {
  start({{"a", i32(0)}});
  remove(a_);
  insert(a_, {{"a", i32(1)}});
  remove(b_);
  all_show({{"a", i32(1)}});
}

TEST_F(Pair, DocumentsRecreatedTwiceBothLive) {
  start({{"a", i32(0)}});
  remove(a_);
  upsert(a_, {{"x", i32(1)}});
  remove(b_);
  upsert(b_, {{"y", i32(2)}});
  all_show({{"x", i32(1)}, {"y", i32(2)}});
}

TEST_F(Pair, OfTwoInsertsTheLaterStandsWhole) {
  insert(a_, {{"a", i32(1)}, {"only", i32(1)}});
  insert(b_, {{"a", i32(2)}});
  all_show({{"a", i32(2)}});
  all_lost({"4/a 1", "4/only 1"});
}

TEST_F(Pair, InsertAndUpsertMergeByField) {
  insert(a_, {{"a", i32(1)}});
  upsert(b_, {{"b", i32(2)}}, {{"n", i32(3)}});
  all_show({{"a", i32(1)}, {"b", i32(2)}, {"n", i32(3)}});
}

TEST_F(Pair, AValueLosesToFieldsOfALaterUpsertAndIsNoted) {
  insert(a_, {{"c", i32(3)}});
  upsert(b_, {{"c", doc({{"x", i32(1)}})}});
  all_show({{"c", doc({{"x", i32(1)}})}});
  all_lost({"2/c 3"});
}

TEST_F(Pair, TwoUpsertsMergeAndTheirCountersAdd) {
  upsert(a_, {{"a", i32(1)}, {"c", doc({{"x", i32(1)}})}}, {{"n", i32(1)}});
  upsert(b_, {{"b", i32(2)}, {"c", doc({{"y", i32(2)}})}}, {{"n", i32(2)}});
  all_show(
      {{"a", i32(1)}, {"b", i32(2)}, {"c", doc({{"x", i32(1)}, {"y", i32(2)}})}, {"n", i32(3)}});
}

TEST_F(Pair, AnUpsertWhereTheStoreLostTheDocumentBeginsAnewEverywhere) {
  start({{"n", i32(5)}, {"old", i32(1)}});
  a_.store.erase(id_);
  upsert(a_, {}, {{"n", i32(1)}});
  all_show({{"n", i32(1)}});
  all_lost({});
}

TEST_F(Pair, AnUpsertWhereTheStoreLostAForgottenDocumentBeginsAnewEverywhere) {
  start({{"n", i32(5)}, {"old", i32(1)}});
  forget();
  a_.store.erase(id_);
  inc(b_, "n", 10);
  upsert(a_, {}, {{"n", i32(1)}});
  all_show({{"n", i32(1)}});
}

TEST_F(Pair, UpsertsOfADocumentThatTwoStoresLostAddUp) {
  start({{"n", i32(5)}});
  forget();
  a_.store.erase(id_);
  b_.store.erase(id_);
  upsert(a_, {}, {{"n", i32(1)}});
  upsert(b_, {}, {{"n", i32(2)}});
  all_show({{"n", i32(3)}});
}

TEST_F(Pair, AfterTwoBirthsJoinUpdatesReachTheOneDocument) {
  upsert(a_, {{"a", i32(1)}}, {{"n", i32(1)}});
  upsert(b_, {{"b", i32(2)}}, {{"n", i32(2)}});
  exchange();
  inc(a_, "n", 10);
  set(b_, "a", i32(5));
  forget();
  all_show({{"a", i32(5)}, {"b", i32(2)}, {"n", i32(13)}});
}

TEST_F(Pair, AReplacementSparesWhatItHadNotSeen) {
  start({{"n", i32(1)}, {"a", i32(0)}});
  inc(a_, "n", 5);
  replace(b_, {{"z", i32(9)}});
  set(a_, "a", i32(7));
  all_show({{"z", i32(9)}, {"n", i32(5)}, {"a", i32(7)}});
}

TEST_F(Pair, OneCommitWinsAllItsDocuments) {
  start({{"a", i32(0)}});
  id_ = "e";
  insert(a_, {{"a", i32(0)}});
  exchange();
  auto both = [&](int32_t value) {
    std::vector<AppWrite> writes;
    for (const char* id : {"d", "e"}) {
      id_ = id;
      AppWrite write = make(Kind::kUpdate);
      write.change.changes.emplace_back().path = {"a"};
      write.change.changes.back().value = i32(value);
      write.after = doc({{"_id", text(id_)}, {"a", i32(value)}}).bytes;
      writes.push_back(write);
    }
    return writes;
  };
  run(a_, both(1));
  run(b_, both(2));
  all_show({{"a", i32(2)}});
  id_ = "d";
  all_show({{"a", i32(2)}});
}

// ---- counters in detail

TEST_F(Pair, SumsOfDoublesAreTheBytesTheStoreComputed) {
  start({{"n", bson::make_double(0.1)}});
  for (int i = 0; i < 5; ++i) inc(a_, "n", bson::make_double(0.1));
  const std::string at_origin(stored(a_).find("n")->bytes);
  exchange();
  EXPECT_EQ(stored(b_).find("n")->bytes, at_origin);
  EXPECT_EQ(stored(c_).find("n")->bytes, at_origin);
}

TEST_F(Pair, AnIntegerThatGrewWideStaysWide) {
  start({{"n", i32(INT32_MAX)}});
  inc(a_, "n", 1);
  inc(a_, "n", -1);
  all_show({{"n", bson::make_int64(INT32_MAX)}});
}

TEST_F(Pair, ASumBeyondTheRangeIsClampedAndNoted) {
  start({{"n", bson::make_int64(INT64_MAX - 1)}});
  inc(a_, "n", 1);
  inc(b_, "n", 1);
  all_show({{"n", bson::make_int64(INT64_MAX)}});
  DocumentState state = c_.load("d");
  fill(state, stored(c_));
  std::vector<Loss> losses;
  ASSERT_TRUE(document_of(state, &losses).has_value());
  ASSERT_EQ(losses.size(), 1u);
  EXPECT_EQ(losses[0].kind, LossKind::kOverflow);
}

TEST_F(Pair, ACounterForgottenByTheAuthorIsNotCountedAgain) {
  start({{"n", i32(10)}});
  inc(a_, "n", 5);
  forget();
  inc(a_, "n", 1);
  set(b_, "n", i32(100));
  all_show({{"n", i32(101)}});
}

// ---- names and shapes

TEST_F(Pair, AnyFieldNameMerges) {
  start({{"p", doc({})}});
  set(a_, Path{"p", ""}, i32(1));
  set(b_, Path{"p", "a.b"}, i32(2));
  set(c_, Path{"p", "$x"}, i32(3));
  all_show({{"p", doc({{"", i32(1)}, {"a.b", i32(2)}, {"$x", i32(3)}})}});
}

TEST_F(Pair, ADocumentWithRepeatedNamesIsOneValue) {
  start({});
  set(a_, "c", doc({{"x", i32(1)}, {"x", i32(2)}}));
  set(b_, "c", doc({{"y", i32(3)}, {"y", i32(4)}}));
  all_show({{"c", doc({{"y", i32(3)}, {"y", i32(4)}})}});
}

TEST_F(Pair, FieldsKeepTheirPlaces) {
  start({{"z", i32(1)}, {"m", i32(2)}});
  set(a_, "m", i32(3));
  set(a_, "b", i32(4));
  exchange();
  EXPECT_EQ(bson::to_json(stored(b_)), R"({"_id": "d", "z": 1, "m": 3, "b": 4})");
}

}  // namespace
}  // namespace outrigger::merge
