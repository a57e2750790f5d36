// Arrays whose elements are edited: what two sites do to one without knowing of each other. c
// writes nothing: it sees both orders at work.
#include "replication/merge/types/list_change.h"
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

class ListPair : public ArrayTest {};

TEST_F(ListPair, PushAndPushBothStandInTheOrderOfTheirStamps) {
  start({i32(1)});
  push(a_, "l", text("a"));
  push(b_, "l", text("b"));
  push(a_, "l", text("c"));
  all_hold({i32(1), text("a"), text("b"), text("c")});
  all_lost({});
}

TEST_F(ListPair, PushesMakeOneArrayWhereThereWasNone) {
  insert(a_, {});
  exchange();
  push(a_, "l", text("a"));
  push(b_, "l", text("b"));
  all_hold({text("a"), text("b")});
  all_lost({});
}

TEST_F(ListPair, APushToWhatAnUpsertLeftOutStandsBesideWhatAnotherUpsertPutThere) {
  for (const bool seen : {true, false}) {
    id_ = seen ? "d" : "e";
    upsert(b_, {{"l", array({i32(9)})}});
    upsert(a_, {{"b", i32(1)}});
    EXPECT_FALSE(missing_is_empty(a_.load(id_), {"l"}));
    seen ? push(a_, "l", text("x")) : push_unseen(a_, "l", text("x"));
    settle_all();
    const Items merged = seen ? Items{i32(9), text("x")} : Items{text("x")};
    all_show({{"b", i32(1)}, {"l", array(merged)}});
  }
}

TEST_F(ListPair, AFirstPushNeedsNoImageWhereMissingAndEmptyAreTheSame) {
  insert(a_, {});
  exchange();
  push_unseen(a_, "l", text("a"));
  push_unseen(b_, "l", text("b"));
  all_hold({text("a"), text("b")});
  take(a_, "l", text("a"));
  take(a_, "l", text("b"));
  all_hold({});
  unset(a_, "l");
  exchange();
  push_unseen(a_, "l", text("c"));
  push_unseen(b_, "l", text("d"));
  all_hold({text("c"), text("d")});
  all_lost({});
}

TEST_F(ListPair, PushAndPullBothStand) {
  start({i32(1), i32(2)});
  push(a_, "l", i32(3));
  take(b_, "l", i32(1));
  all_hold({i32(2), i32(3)});
  all_lost({});
}

TEST_F(ListPair, PullTakesOnlyWhatItsAuthorSaw) {
  start({i32(7)});
  push(a_, "l", i32(7));
  take(b_, "l", i32(7));
  all_hold({i32(7)});
}

TEST_F(ListPair, PullAndPullOfOneElementTakeItOnce) {
  start({i32(1), i32(2), i32(3)});
  take(a_, "l", i32(2));
  take(b_, "l", i32(2));
  all_hold({i32(1), i32(3)});
}

TEST_F(ListPair, EqualAdditionsToASetShowOnce) {
  start({i32(1)});
  add_to_set(a_, "l", text("t"));
  add_to_set(b_, "l", text("t"));
  all_hold({i32(1), text("t")});
  take(a_, "l", text("t"));
  all_hold({i32(1)});
  // Both went by their names: the array was not assigned anew.
  Operation taken = Operation::kUnknown;
  for (const auto& [origin, published] : a_.log) {
    const Effect& effect = published.back().record->documents.back().effects.back();
    if (!effect.edit.removed.empty()) taken = effect.kind;
  }
  EXPECT_EQ(taken, Operation::kEdit);
}

TEST_F(ListPair, WhoTakesOneOfTwoEqualAdditionsLeavesTheOther) {
  start({});
  add_to_set(a_, "l", text("t"));
  pull(c_, a_);
  take(c_, "l", text("t"));
  add_to_set(b_, "l", text("t"));
  all_hold({text("t")});
}

TEST_F(ListPair, APushSurvivesTheAssignmentThatDidNotSeeIt) {
  start({i32(1)});
  push(a_, "l", i32(2));
  set(b_, "l", array({i32(8), i32(9)}));
  all_hold({i32(8), i32(9), i32(2)});
  all_lost({});
}

TEST_F(ListPair, AnAssignmentReplacesWhatItSaw) {
  start({i32(1)});
  push(a_, "l", i32(2));
  exchange();
  set(b_, "l", array({i32(8)}));
  all_hold({i32(8)});
  settle_all();
  for (const WorldSite* site : all_) EXPECT_TRUE(site->rows.empty());
}

TEST_F(ListPair, OfTwoAssignmentsTheLaterStandsWhole) {
  start({i32(1), i32(2)});
  set(a_, "l", array({i32(1), i32(2), i32(3)}));
  set(b_, "l", array({i32(1), i32(2), i32(4)}));
  all_hold({i32(1), i32(2), i32(4)});
  all_lost({"1/l [1, 2, 3]"});
}

TEST_F(ListPair, AnUnsetLeavesWhatItHadNotSeen) {
  start({i32(1)});
  push(a_, "l", i32(2));
  unset(b_, "l");
  all_hold({i32(2)});
}

TEST_F(ListPair, AScalarHidesElementsThatAreOlder) {
  start({i32(1)});
  push(a_, "l", i32(2));
  set(b_, "l", text("none"));
  all_show({{"l", text("none")}});
  all_lost({"2/l 2"});
}

TEST_F(ListPair, ElementsThatAreNewerHideAScalar) {
  start({i32(1)});
  set(a_, "l", text("none"));
  push(b_, "l", i32(2));
  all_hold({i32(2)});
  all_lost({"2/l \"none\""});
}

TEST_F(ListPair, EditsOfDifferentElementsBothStand) {
  start({i32(1), i32(2), i32(3)});
  set_element(a_, "l", 0, text("first"));
  set_element(b_, "l", 2, text("last"));
  all_hold({text("first"), i32(2), text("last")});
  all_lost({});
}

TEST_F(ListPair, OfTwoEditsOfOneElementTheLaterStands) {
  start({i32(1)});
  set_element(a_, "l", 0, text("a"));
  set_element(b_, "l", 0, text("b"));
  all_hold({text("b")});
  all_lost({"1/l \"a\""});
}

TEST_F(ListPair, AnEditOfOneElementAndTheRemovalOfAnotherBothStand) {
  start({i32(1), i32(2), i32(3)});
  set_element(a_, "l", 2, text("c"));
  take(b_, "l", i32(1));
  all_hold({i32(2), text("c")});
  all_lost({});
}

TEST_F(ListPair, TheRemovalOfAnElementBeatsItsEdit) {
  start({i32(1), i32(2)});
  set_element(a_, "l", 0, text("a"));
  take(b_, "l", i32(1));
  all_hold({i32(2)});
  all_lost({"3/l \"a\""});
}

TEST_F(ListPair, TheAssignmentOfTheArrayBeatsTheEditOfAnElement) {
  start({i32(1), i32(2)});
  set_element(a_, "l", 0, text("a"));
  set(b_, "l", array({i32(8), i32(9)}));
  set_element(a_, "l", 1, text("b"));
  all_hold({i32(8), i32(9)});
  all_lost({"1/l \"a\"", "1/l \"b\""});
}

TEST_F(ListPair, WhatIsPutInFrontAndBetweenStaysThere) {
  start({i32(1), i32(2)});
  edit(a_, "l", {text("a"), i32(1), i32(2)});
  edit(b_, "l", {i32(1), text("b"), text("c"), i32(2)});
  push(a_, "l", i32(3));
  all_hold({text("a"), i32(1), text("b"), text("c"), i32(2), i32(3)});
}

TEST_F(ListPair, ACapTakesAwayWhatItsAuthorSaw) {
  start({i32(1), i32(2), i32(3)});
  edit(a_, "l", {i32(2), i32(3), i32(4)});
  edit(b_, "l", {i32(2), i32(3), i32(5)});
  all_hold({i32(2), i32(3), i32(4), i32(5)});
}

TEST_F(ListPair, ACapOfALongArrayIsNoAssignment) {
  Items all;
  for (int32_t i = 0; i < 2000; ++i) all.push_back(i32(i));
  start(all);
  const auto cut = [&](const bson::OwnedValue& last) {
    Items left(all.begin() + 1, all.end());
    left.push_back(last);
    return left;
  };
  edit(a_, "l", cut(text("a")));
  edit(b_, "l", cut(text("b")));
  Items both = cut(text("a"));
  both.push_back(text("b"));
  all_hold(both);
  all_lost({});
}

TEST_F(ListPair, ASortIsAnAssignment) {
  start({i32(3), i32(1)});
  edit(a_, "l", {i32(1), i32(3)});
  push(b_, "l", i32(2));
  all_hold({i32(1), i32(3), i32(2)});
}

TEST_F(ListPair, WhatAPipelineAddsStandsAndWhatItMakesAnewIsAssigned) {
  start({i32(1), i32(2)});
  edit(a_, "l", {i32(1), i32(2), i32(3)}, ArrayEdit::kComputed);
  edit(b_, "l", {i32(2)}, ArrayEdit::kComputed);
  all_hold({i32(2), i32(3)});
  edit(a_, "l", {i32(20), i32(30)}, ArrayEdit::kComputed);
  edit(b_, "l", {i32(200), i32(300)}, ArrayEdit::kComputed);
  all_hold({i32(200), i32(300)});
}

TEST_F(ListPair, AnOperatorThatDoesNothingBesideOneThatDoesUndoesNothing) {
  start({i32(1), i32(2)});
  for (const bool is_list : {false, true}) {
    if (is_list) push(a_, "l", i32(3));
    if (is_list) exchange();
    const Items now = items(a_, "l");
    take(b_, "l", now.front());
    edit(a_, edit_of(a_, "l", now, ArrayEdit::kAddsSet), {{"n", i32(1)}});
    exchange();
    const Items left(now.begin() + 1, now.end());
    all_show({{"n", i32(1)}, {"l", array(left)}});
    EXPECT_EQ(a_.log.begin()->second.back().record->documents.back().effects.size(), 1u);
  }
}

TEST_F(ListPair, APushOfNothingMakesAnEmptyArray) {
  insert(a_, {});
  exchange();
  PathChange nothing = edit_of(a_, "l", {}, ArrayEdit::kMoves);
  edit(a_, nothing, {{"n", i32(1)}});
  all_show({{"n", i32(1)}, {"l", array({})}});
  nothing.path = {"k"};
  nothing.base = array({});
  nothing.base_may_be_missing = true;
  edit(b_, nothing, {{"n", i32(2)}});
  all_show({{"n", i32(2)}, {"l", array({})}, {"k", array({})}});
  settle_all();
  all_show({{"n", i32(2)}, {"l", array({})}, {"k", array({})}});
}

TEST_F(ListPair, AnElementThatIsSetToWhatItWasAssignsNoArray) {
  start({i32(1), i32(2)});
  take(b_, "l", i32(2));
  edit(a_, edit_of(a_, "l", items(a_, "l"), ArrayEdit::kInPlace), {{"n", i32(1)}});
  all_show({{"n", i32(1)}, {"l", array({i32(1)})}});
}

TEST_F(ListPair, SitesThatForgetAtDifferentTimesNameElementsAlike) {
  start({i32(1), i32(2), i32(3)});
  push(a_, "l", i32(4));
  take(b_, "l", i32(2));
  exchange();
  forget_at(a_);
  take(a_, "l", i32(3));
  set_element(b_, "l", 0, text("x"));
  exchange();
  forget_at(c_);
  push(c_, "l", i32(5));
  take(b_, "l", i32(4));
  all_hold({text("x"), i32(5)});
  settle_all();
  take(a_, "l", text("x"));
  all_hold({i32(5)});
}

TEST_F(ListPair, NamesOutliveStabilityOnlyWhereTheyAreNoPositions) {
  start({i32(1), i32(2), i32(3)});
  push(a_, "l", i32(4));
  settle_all();
  for (const WorldSite* site : all_) EXPECT_LT(site->rows.at("d").size(), 80u);
  take(b_, "l", i32(4));
  settle_all();
  for (const WorldSite* site : all_) EXPECT_TRUE(site->rows.empty());
}

TEST_F(ListPair, ADeleteTakesTheElementsAlongAndTheLedgerHasThem) {
  start({i32(1)});
  push(a_, "l", i32(2));
  remove(b_);
  all_gone();
  EXPECT_EQ(lost(a_), std::vector<std::string>{"3 {\"_id\": \"d\", \"l\": [1, 2]}"});
  EXPECT_EQ(lost(b_), std::vector<std::string>{"3/l 2"});
}

TEST_F(ListPair, WhatWasChangedAroundUsIsAssignedAsAWhole) {
  start({i32(1)});
  push(a_, "l", i32(2));
  settle_all();
  a_.store["d"] = with_path(stored(a_), {"l"}, array({i32(1), i32(9), i32(2)}));
  push(a_, "l", i32(3));
  all_hold({i32(1), i32(9), i32(2), i32(3)});
  push(b_, "l", i32(4));
  take(a_, "l", i32(9));
  all_hold({i32(1), i32(2), i32(3), i32(4)});
}

TEST_F(ListPair, WhatWasAddedAroundUsIsToldWithTheNextEdit) {
  start({i32(1)});
  push(a_, "l", i32(2));
  settle_all();
  a_.store["d"] = with_path(stored(a_), {"l"}, array({i32(1), i32(2), i32(9)}));
  push(b_, "l", i32(3));
  pull(a_, b_);
  ASSERT_EQ(items(a_, "l").size(), 4u);
  take(a_, "l", i32(2));
  exchange();
  all_hold(items(a_, "l"));
  for (const int32_t each : {1, 9, 3}) {
    const Items all = items(b_, "l");
    EXPECT_EQ(std::count(all.begin(), all.end(), i32(each)), 1);
  }
}

TEST_F(ListPair, WhatAStoreHasNotTakenStaysWhenAnAppEditsWhatItShows) {
  start({i32(1)});
  push(b_, "l", i32(2));
  exchange();
  DocumentState aside = a_.load("d");
  fill(aside, stored(a_));
  aside.detached = true;
  LocalContext context;
  context.dot.hlc = uint64_t{1} << 50;
  const auto effect = [&](const Items& before, const Items& after) {
    DocumentChange change = make(Kind::kUpdate).change;
    change.changes.push_back(edit_of(a_, "l", after, ArrayEdit::kMoves));
    change.changes.back().base = array(before);
    return local_effects(aside, change, context).effects.back();
  };
  const Effect pushed = effect({i32(1)}, {i32(1), i32(3)});
  ASSERT_EQ(pushed.kind, Operation::kEdit);
  EXPECT_EQ(pushed.edit.removed.size() + 2 * pushed.edit.added.size(), 2u);
  const Effect taken = effect({i32(1)}, {});
  EXPECT_EQ(taken.edit.removed.size(), 1u);
  EXPECT_EQ(effect({i32(7)}, {i32(7), i32(3)}).edit.added.size(), 1u);
  EXPECT_EQ(effect({i32(7)}, {i32(3)}).kind, Operation::kAssign);
}

TEST_F(ListPair, ALongArrayIsAssignedAsAWhole) {
  start({text(std::string(kListBytesMax, 'x'))});
  push(a_, "l", i32(2));
  for (const auto& [origin, published] : a_.log) {
    const auto& effects = published.back().record->documents.back().effects;
    EXPECT_EQ(effects.back().kind, Operation::kAssign);
  }
}

}  // namespace
}  // namespace outrigger::merge
