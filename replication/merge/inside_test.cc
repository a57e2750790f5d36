// What two sites do in one element of an array without knowing of each other. c writes nothing: it
// sees both orders at work.
#include "replication/merge/inside.h"

#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

class InsidePair : public ArrayTest {
 protected:
  // Each tells the same, whatever the order.
  void all_lost_alike(const std::vector<std::string>& lines) {
    for (const WorldSite* site : all_) EXPECT_EQ(lost(*site), lines);
  }
};

const bson::OwnedValue kPen = doc({{"sku", text("pen")}, {"qty", i32(1)}});
const bson::OwnedValue kInk = doc({{"sku", text("ink")}, {"qty", i32(5)}});

TEST_F(InsidePair, IncrementsInOneElementAddUp) {
  start({kPen, kInk});
  inc_inside(a_, "l", 1, "qty", 2);
  inc_inside(b_, "l", 1, "qty", 3);
  inc_inside(a_, "l", 1, "qty", 4);
  all_hold({kPen, doc({{"sku", text("ink")}, {"qty", i32(14)}})});
  all_lost({});
}

TEST_F(InsidePair, IncrementsOfAFieldThatWasNotThereAddUp) {
  start({kPen});
  inc_inside(a_, "l", 0, "seen.times", 2);
  inc_inside(b_, "l", 0, "seen.times", bson::make_double(0.5));
  all_hold({doc({{"sku", text("pen")},
                 {"qty", i32(1)},
                 {"seen", doc({{"times", bson::make_double(2.5)}})}})});
  all_lost({});
}

TEST_F(InsidePair, IncrementsOfANumberThatIsAnElementAddUp) {
  start({i32(1), i32(10)});
  const auto add = [&](WorldSite& site, int32_t delta) {
    Items all = items(site, "l");
    all[1] = bson::increment(all[1].view(), i32(delta).view()).value;
    PathChange change = edit_of(site, "l", all, ArrayEdit::kInPlace);
    change.parts.push_back({std::nullopt, {}, i32(delta)});
    edit(site, change);
  };
  add(a_, 2);
  add(b_, 3);
  all_hold({i32(1), i32(15)});
  all_lost({});
}

TEST_F(InsidePair, DifferentFieldsBothStand) {
  start({kPen});
  set_inside(a_, "l", 0, "qty", i32(7));
  set_inside(b_, "l", 0, "note.of", text("red"));
  set_inside(b_, "l", 0, "sku", std::nullopt);
  all_hold({doc({{"qty", i32(7)}, {"note", doc({{"of", text("red")}})}})});
  all_lost({});
}

TEST_F(InsidePair, OfOneFieldTheLaterStandsAndTheOtherIsTold) {
  start({kPen});
  set_inside(a_, "l", 0, "qty", i32(7));
  set_inside(b_, "l", 0, "qty", i32(8));
  all_hold({doc({{"sku", text("pen")}, {"qty", i32(8)}})});
  all_lost_alike({"1/l/(0)/qty 7"});
}

TEST_F(InsidePair, AnIncrementCountsOnAValueThatHadNotSeenIt) {
  start({kPen});
  inc_inside(a_, "l", 0, "qty", 2);
  inc_inside(b_, "l", 0, "qty", 5);
  set_inside(b_, "l", 0, "qty", i32(100));
  all_hold({doc({{"sku", text("pen")}, {"qty", i32(102)}})});
  all_lost({});
}

TEST_F(InsidePair, WhatAValueHadSeenOfASumDoesNotCountAgainWhenTheSumGoesOn) {
  start({kPen});
  inc_inside(a_, "l", 0, "qty", 2);
  exchange();
  inc_inside(a_, "l", 0, "qty", 3);
  set_inside(b_, "l", 0, "qty", i32(100));
  all_hold({doc({{"sku", text("pen")}, {"qty", i32(103)}})});
}

TEST_F(InsidePair, ManyIncrementsOfOneTransactionAreOne) {
  start({kPen, kInk});
  // {$inc: {"l.$.qty": 1..}}, one after the other, of both
  const auto count = [&](WorldSite& site, int32_t pens, int32_t inks) {
    Items all = {doc({{"sku", text("pen")}, {"qty", i32(1 + pens)}}),
                 doc({{"sku", text("ink")}, {"qty", i32(5 + inks)}})};
    PathChange change = edit_of(site, "l", all, ArrayEdit::kInPlace);
    for (int32_t i = 1; i <= 12; ++i) change.parts.push_back({std::nullopt, {"qty"}, i32(i)});
    edit(site, change);
  };
  count(a_, 50, 28);
  count(b_, 60, 18);
  all_hold({doc({{"sku", text("pen")}, {"qty", i32(111)}}),
            doc({{"sku", text("ink")}, {"qty", i32(51)}})});
  all_lost({});
}

TEST_F(InsidePair, WhatAlsoMayHaveBeenSetIsNoSum) {
  start({kPen});
  const auto write = [&](WorldSite& site, int32_t qty) {
    PathChange change =
        edit_of(site, "l", {doc({{"sku", text("pen")}, {"qty", i32(qty)}})}, ArrayEdit::kInPlace);
    change.parts = {{std::nullopt, {"qty"}, i32(2)}, {std::nullopt, {"qty"}, std::nullopt}};
    edit(site, change);
  };
  write(a_, 50);
  write(b_, 60);
  all_hold({doc({{"sku", text("pen")}, {"qty", i32(60)}})});
}

TEST_F(InsidePair, FieldsInAnotherOrderMakeNoEditAnAssignment) {
  start({kPen});
  set_inside(b_, "l", 0, "note", text("lost"));
  set_inside(a_, "l", 0, "note", text("red"));
  set_inside(a_, "l", 0, "color", text("blue"));
  exchange();
  inc_inside(a_, "l", 0, "qty", 2);
  inc_inside(b_, "l", 0, "qty", 3);
  const auto pen = [](int32_t qty) {
    return doc(
        {{"sku", text("pen")}, {"qty", i32(qty)}, {"color", text("blue")}, {"note", text("red")}});
  };
  all_show({{"l", array({pen(6)})}});
  settle_all();
  inc_inside(a_, "l", 0, "qty", 2);
  inc_inside(b_, "l", 0, "qty", 3);
  all_show({{"l", array({pen(11)})}});
}

TEST_F(InsidePair, AnEditInAnElementThatIsTakenAwayIsTold) {
  start({kPen, kInk});
  set_inside(a_, "l", 0, "note", text("red"));
  inc_inside(a_, "l", 0, "qty", 4);
  take(b_, "l", kPen);
  all_hold({kInk});
  // Who had it has the whole element.
  const std::string whole = R"(3/l {"sku": "pen", "qty": 5, "note": "red"})";
  EXPECT_EQ(lost(a_), std::vector<std::string>{whole});
  EXPECT_EQ(lost(b_), (std::vector<std::string>{"3/l/(0)/note \"red\"", "3/l/(0)/qty 4"}));
}

TEST_F(InsidePair, AnEditOfOneElementAndTheRemovalOfAnotherBothStand) {
  start({kPen, kInk});
  inc_inside(a_, "l", 1, "qty", 4);
  take(b_, "l", kPen);
  push(b_, "l", i32(9));
  all_hold({doc({{"sku", text("ink")}, {"qty", i32(9)}}), i32(9)});
  all_lost({});
}

TEST_F(InsidePair, AWholeElementGivenLaterTakesThePlaceOfAFieldAndNotOfAnIncrement) {
  start({kPen});
  set_inside(a_, "l", 0, "note", text("red"));
  inc_inside(a_, "l", 0, "qty", 4);
  give_element(b_, "l", 0, doc({{"sku", text("pencil")}, {"qty", i32(50)}}));
  all_hold({doc({{"sku", text("pencil")}, {"qty", i32(54)}})});
  all_lost_alike({"2/l/(0)/note \"red\""});
}

TEST_F(InsidePair, AFieldSetLaterStandsInAWholeElementGivenBefore) {
  start({kPen});
  give_element(b_, "l", 0, doc({{"sku", text("pencil")}, {"qty", i32(50)}}));
  set_inside(a_, "l", 0, "note", text("red"));
  all_hold({doc({{"sku", text("pencil")}, {"qty", i32(50)}, {"note", text("red")}})});
  all_lost({});
}

TEST_F(InsidePair, AnAssignmentOfTheArrayTakesTheEditsInItsElementsAlong) {
  start({kPen});
  set_inside(a_, "l", 0, "note", text("red"));
  set(b_, "l", array({kInk}));
  all_hold({kInk});
  EXPECT_EQ(lost(a_), std::vector<std::string>{R"(2/l {"sku": "pen", "qty": 1, "note": "red"})"});
  EXPECT_EQ(lost(b_), std::vector<std::string>{"2/l/(0)/note \"red\""});
  set_inside(a_, "l", 0, "note", text("blue"));
  all_hold({doc({{"sku", text("ink")}, {"qty", i32(5)}, {"note", text("blue")}})});
}

TEST_F(InsidePair, ElementsThatWereAddedAreWrittenIntoAlike) {
  start({});
  push(a_, "l", kPen);
  push(b_, "l", kInk);
  exchange();
  inc_inside(a_, "l", 0, "qty", 1);
  inc_inside(b_, "l", 0, "qty", 1);
  set_inside(b_, "l", 1, "note", text("x"));
  push(a_, "l", i32(7));
  all_hold({doc({{"sku", text("pen")}, {"qty", i32(3)}}),
            doc({{"sku", text("ink")}, {"qty", i32(5)}, {"note", text("x")}}), i32(7)});
  all_lost({});
}

TEST_F(InsidePair, AnArrayInAnElementIsOneValue) {
  start({doc({{"tags", array({i32(1)})}, {"n", i32(0)}})});
  set_inside(a_, "l", 0, "tags", array({i32(1), i32(2)}));
  set_inside(b_, "l", 0, "n", i32(1));
  set_inside(b_, "l", 0, "tags", array({i32(1), i32(3)}));
  all_hold({doc({{"tags", array({i32(1), i32(3)})}, {"n", i32(1)}})});
  all_lost_alike({"1/l/(0)/tags [1, 2]"});
}

TEST_F(InsidePair, WhatIsSettledIsFoldedAndGoesOnMerging) {
  start({kPen});
  push(a_, "l", kInk);
  inc_inside(b_, "l", 0, "qty", 2);
  set_inside(a_, "l", 1, "note", text("x"));
  settle_all();
  for (const WorldSite* site : all_) {
    const DocumentState state = site->load("d");
    const List& list = state.incarnations.front().body.lists.at({"l"});
    EXPECT_TRUE(list.settled);
    for (const ListElement& each : list.elements) EXPECT_EQ(each.inside, nullptr);
  }
  inc_inside(a_, "l", 1, "qty", 1);
  inc_inside(b_, "l", 1, "qty", 1);
  inc_inside(b_, "l", 0, "qty", 1);
  all_hold({doc({{"sku", text("pen")}, {"qty", i32(4)}}),
            doc({{"sku", text("ink")}, {"qty", i32(7)}, {"note", text("x")}})});
  all_lost({});
}

TEST_F(InsidePair, ForgettingTheNamesOfAnArrayThatIsAsItWasAssignedLeavesNothing) {
  start({kPen});
  inc_inside(a_, "l", 0, "qty", 2);
  inc_inside(b_, "l", 0, "qty", 2);
  forget();
  inc_inside(b_, "l", 0, "qty", 2);
  all_hold({doc({{"sku", text("pen")}, {"qty", i32(7)}})});
}

TEST_F(InsidePair, WhatNobodyNamedInAnElementIsAValueOfTheWhole) {
  start({kPen});
  set_element(a_, "l", 0, doc({{"sku", text("pen")}, {"qty", i32(2)}}));
  const auto& effects = a_.log.begin()->second.back().record->documents.front().effects;
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects.front().edit.changed.size(), 1u);
}

TEST_F(InsidePair, WhatTheNamedPartsDoNotExplainIsAValueOfTheWhole) {
  start({kPen, kInk});
  Items all = items(a_, "l");
  all[0] = doc({{"sku", text("pen")}, {"qty", i32(3)}, {"more", i32(1)}});
  PathChange change = edit_of(a_, "l", all, ArrayEdit::kInPlace);
  change.parts.push_back({std::nullopt, {"qty"}, i32(2)});
  edit(a_, change);
  const auto& effects = a_.log.begin()->second.back().record->documents.front().effects;
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects.front().edit.changed.size(), 1u);
  inc_inside(b_, "l", 1, "qty", 1);
  all_hold({all[0], doc({{"sku", text("ink")}, {"qty", i32(6)}})});
}

// A crash has left no more of a write than what stands there now.
TEST_F(InsidePair, WhatIsFoundInOneElementIsToldByItsFields) {
  start({kPen, kInk});
  inc_inside(a_, "l", 0, "qty", 1);
  exchange();
  inc_inside(b_, "l", 0, "qty", 5);
  set_inside(b_, "l", 1, "note", text("x"));
  Items all = items(a_, "l");
  all[0] = doc({{"sku", text("biro")}, {"qty", i32(2)}});
  PathChange found;
  found.path = {"l"};
  found.value = array(all);
  found.edit = ArrayEdit::kFound;
  AppWrite write = make(Kind::kUpdate);
  write.after = with_path(stored(a_), found.path, found.value);
  write.change.changes.push_back(std::move(found));
  run(a_, write);
  all_hold({doc({{"sku", text("biro")}, {"qty", i32(7)}}),
            doc({{"sku", text("ink")}, {"qty", i32(5)}, {"note", text("x")}})});
  all_lost({});
}

TEST_F(InsidePair, NoPeerEditsWhatIsInAnElementAsAnElementIs) {
  const std::string element = element_name({Dot(), 0});
  const Dot dot{1, {{1}, 1}};
  Effect effect;
  effect.path = {"l", element, "q"};
  effect.value = i32(1);
  EXPECT_TRUE(well_formed(effect, dot, i32(1)));
  effect.kind = Operation::kEdit;
  EXPECT_FALSE(well_formed(effect, dot, i32(1)));
  effect.kind = Operation::kUnset;
  EXPECT_TRUE(well_formed(effect, dot, i32(1)));
  effect.path = {"l", element};
  EXPECT_FALSE(well_formed(effect, dot, i32(1)));
  effect.kind = Operation::kAssign;
  EXPECT_TRUE(well_formed(effect, dot, i32(1)));
  effect.rule.kind = ContestKind::kMax;
  EXPECT_FALSE(well_formed(effect, dot, i32(1)));
  effect.rule = {};
  effect.path = {"_id", element};
  EXPECT_FALSE(well_formed(effect, dot, i32(1)));
  effect.path = {"l", std::string("\0x", 2), "q"};
  EXPECT_FALSE(well_formed(effect, dot, i32(1)));
  effect.path = {"l"};
  effect.baselines = {{{"l", element, "q"}, {{dot, 1, i32(1)}}}};
  EXPECT_FALSE(well_formed(effect, dot, i32(1)));
}

}  // namespace
}  // namespace outrigger::merge
