// Elements that change places, as an array whose elements a field tells apart is assigned in
// another order: what two sites do so without knowing of each other. c writes nothing: it sees both
// orders.
#include <random>

#include "replication/merge/types/list_change.h"
#include "replication/merge/worlds/merge_fixture.h"
#include "replication/merge/worlds/named_items.h"

namespace outrigger::merge {
namespace {

class Moves : public ArrayTest {
 protected:
  void start_with(const std::string& names) { start(items_of(names)); }
  void assign(WorldSite& site, const Items& all) {
    PathChange change = edit_of(site, "l", all, ArrayEdit::kKeyed);
    change.key = "k";
    edit(site, change);
  }
  // Its elements as they are, but in this order; those that are not named go, new ones come.
  void order(WorldSite& site, const std::string& names) {
    Items all;
    for (const char name : names) all.push_back(find(site, name));
    assign(site, all);
  }
  bson::OwnedValue find(WorldSite& site, char name) const {
    for (const bson::OwnedValue& each : items(site, "l")) {
      if (each.view().as_document().find("k") == item(name).view().as_document().find("k")) {
        return each;
      }
    }
    return item(name);
  }
  size_t position(WorldSite& site, char name) const {
    const Items all = items(site, "l");
    const auto at = std::find(all.begin(), all.end(), find(site, name));
    return static_cast<size_t>(at - all.begin());
  }
  static bson::OwnedValue with_id(char name, int32_t qty = 1) {
    return doc({{"_id", text(std::string(1, name))}, {"qty", i32(qty)}});
  }
  // What a crash left of a write, of which nobody knows what it did.
  void find_at(WorldSite& site, const Items& all) {
    PathChange change;
    change.path = {"l"};
    change.value = array(all);
    change.edit = ArrayEdit::kFound;
    edit(site, change);
  }
  void all_stand(const std::string& names) { all_hold(items_of(names)); }
  ListEdit last_edit(const WorldSite& site) const {
    const Effect* last = nullptr;
    for (const auto& [origin, published] : site.log) {
      for (const Published& each : published) {
        for (const DocumentEffects& document : each.record->documents) {
          last = &document.effects.front();
        }
      }
    }
    EXPECT_EQ(last->kind, Operation::kEdit);
    return last->edit;
  }
};

TEST_F(Moves, AnEditOfAMovedElementStands) {
  start_with("abc");
  order(a_, "cab");
  inc_inside(b_, "l", 2, "qty", 4);
  all_hold({item('c', 5), item('a'), item('b')});
  order(b_, "abc");
  set_inside(a_, "l", 0, "note", text("red"));
  all_hold({item('a'), item('b'), doc({{"k", text("c")}, {"qty", i32(5)}, {"note", text("red")}})});
  all_lost({});
}

TEST_F(Moves, OfTwoMovesOfOneElementTheLaterStands) {
  start_with("abcde");
  order(a_, "cabde");
  order(b_, "abdec");
  all_stand("abdec");
  order(b_, "abcde");
  order(a_, "cabde");
  all_stand("cabde");
  all_lost({});
}

TEST_F(Moves, MovesOfDifferentElementsBothStand) {
  start_with("abcde");
  order(a_, "bcdea");
  order(b_, "eabcd");
  all_stand("ebcda");
  all_lost({});
}

TEST_F(Moves, TheRemovalOfAnElementBeatsItsMove) {
  start_with("abcd");
  order(a_, "abd");
  order(b_, "cabd");
  all_stand("abd");
  order(b_, "dab");
  take(a_, "l", item('d'));
  all_stand("ab");
}

TEST_F(Moves, OneThatIsAddedBehindAMovedOneStaysWhereThatWas) {
  start_with("abcd");
  order(a_, "cabd");
  order(b_, "abcxd");
  all_stand("cabxd");
  order(a_, "cyabxd");
  order(b_, "abxdc");
  all_stand("yabxdc");
}

TEST_F(Moves, WhatElseIsAssignedWithAMoveIsDone) {
  start_with("abcde");
  assign(a_, {item('e', 7), item('x'), item('a'), item('c', 3)});
  inc_inside(b_, "l", 4, "qty", 1);
  push(b_, "l", item('y'));
  all_hold({item('e', 8), item('x'), item('a'), item('c', 3), item('y')});
}

TEST_F(Moves, AddedElementsMove) {
  start_with("ab");
  push(a_, "l", item('x'));
  push(b_, "l", item('y'));
  exchange();
  order(a_, "xaby");
  order(b_, "yabx");
  all_stand("yxab");
  push(a_, "l", item('z'));
  order(b_, "xaby");
  all_stand("xabzy");
  all_lost({});
}

TEST_F(Moves, AnAssignmentThatDidNotSeeAMoveTakesWhatCameWithTheArray) {
  start_with("abc");
  push(b_, "l", item('x'));
  exchange();
  order(a_, "xcab");
  set(b_, "l", array(items_of("de")));
  all_stand("de");
  push(c_, "l", item('y'));
  pull(a_, c_);
  order(a_, "yde");
  set(b_, "l", array(items_of("fg")));
  all_stand("yfg");
}

TEST_F(Moves, AnUnseenAdditionStandsBesideThem) {
  start_with("abc");
  order(a_, "cba");
  push(b_, "l", item('x'));
  order(b_, "xabc");
  all_stand("xcba");
}

TEST_F(Moves, SitesThatForgetAtDifferentTimesAgree) {
  start_with("abcd");
  order(a_, "dabc");
  exchange();
  forget_at(a_);
  order(a_, "abcd");
  inc_inside(b_, "l", 0, "qty", 1);
  all_hold({item('a'), item('b'), item('c'), item('d', 2)});
  settle_all();
  order(b_, "cabd");
  inc_inside(c_, "l", 3, "qty", 1);
  order(c_, "bcda");
  all_hold({item('c'), item('b'), item('d', 3), item('a')});
  settle_all();
  take(a_, "l", item('b'));
  order(b_, "acbd");
  all_hold({item('a'), item('c'), item('d', 3)});
}

TEST_F(Moves, TheRowKeepsWhereElementsStandForAsLongAsItIsNotAsAssigned) {
  start_with("abcd");
  order(a_, "cdab");
  settle_all();
  for (const WorldSite* site : all_) EXPECT_LT(site->rows.at("d").size(), 90u);
  order(b_, "abcd");
  settle_all();
  for (const WorldSite* site : all_) EXPECT_TRUE(site->rows.contains("d"));
  order(b_, "cd");
  order(a_, "abdc");
  all_stand("dc");
}

TEST_F(Moves, AsFewElementsMoveAsCanBe) {
  start_with("abcdefgh");
  order(a_, "habcdefg");
  EXPECT_EQ(last_edit(a_).moved.size(), 1u);
  order(a_, "habdefgc");
  EXPECT_EQ(last_edit(a_).moved.size(), 1u);
  order(a_, "cgfedbah");  // all but one
  EXPECT_EQ(last_edit(a_).moved.size(), 7u);
  EXPECT_TRUE(last_edit(a_).removed.empty() && last_edit(a_).added.empty());
}

TEST_F(Moves, WhatMovesForeverStaysWhole) {
  start_with("abcd");
  for (int i = 0; i < 100; ++i) {
    order(a_, i % 2 == 0 ? "acbd" : "abcd");
    if (i % 7 == 0) settle_all();
    order(b_, i % 3 == 0 ? "badc" : "dbca");
    exchange();
    const Items all = items(a_, "l");
    all_hold(all);
    ASSERT_EQ(all.size(), 4u);
    for (const bson::OwnedValue& each : items_of("abcd")) {
      EXPECT_EQ(std::count(all.begin(), all.end(), each), 1);
    }
  }
}

// Each stands behind the one that was moved before it, deeper and deeper.
TEST_F(Moves, AnEditStandsHoweverDeepTheMovesAre) {
  start_with("habcf");
  std::string names = "abc";
  const int orders = 2 * static_cast<int>(kPlacePartsMax) + 6;
  for (int i = 0; i < orders; ++i) {
    std::rotate(names.begin(), names.begin() + 1, names.end());
    order(a_, "h" + names + "f");
    inc_inside(b_, "l", 4, "qty", 1);
    exchange();
  }
  all_hold({item('h'), item(names[0]), item(names[1]), item(names[2]), item('f', 1 + orders)});
  all_lost({});
}

TEST_F(Moves, AnEditStandsHoweverMuchMoves) {
  std::string names = all_names();
  start_with(names);
  std::mt19937_64 draw(1);
  for (int i = 0; i < 10; ++i) {
    std::shuffle(names.begin(), names.end(), draw);
    const char edited = names.front();
    const size_t at = position(b_, edited);
    order(a_, names);
    inc_inside(b_, "l", at, "qty", 1);
    exchange();
    EXPECT_EQ(position(b_, edited), 0u);
    all_hold(items(a_, "l"));
  }
  all_lost({});
}

TEST_F(Moves, OfASetTheTwinsGoWithTheOneThatMoves) {
  start({});
  add_to_set(a_, "l", item('t'));
  add_to_set(b_, "l", item('t'));
  exchange();
  push(a_, "l", item('x'));
  exchange();
  order(b_, "xt");
  all_stand("xt");
}

TEST_F(Moves, OfASetATwinThatItsRemoverHadNotSeenStays) {
  start_with("y");
  add_to_set(a_, "l", item('t'));
  add_to_set(b_, "l", item('t'));
  pull(c_, a_);
  pull(c_, b_);
  order(c_, "ty");
  take(a_, "l", item('t'));
  all_stand("ty");
  take(a_, "l", item('t'));
  all_stand("y");
}

TEST_F(Moves, OneStatementAfterAnotherLeadsToTheLast) {
  start_with("abc");
  order(a_, "cab");
  order(a_, "bca");
  inc_inside(a_, "l", 0, "qty", 1);
  order(b_, "acb");
  push(b_, "l", item('x'));
  exchange();
  const Items all = items(a_, "l");
  all_hold(all);
  EXPECT_EQ(all.size(), 4u);
  EXPECT_EQ(std::count(all.begin(), all.end(), item('b', 2)), 1);
}

TEST_F(Moves, OneThatIsFoundToHaveHappenedIsAMoveWhereNothingElseDid) {
  start({});
  for (const char name : {'a', 'b', 'c'}) push(a_, "l", with_id(name));
  exchange();
  inc_inside(b_, "l", 0, "qty", 4);
  exchange();
  const Items all = items(a_, "l");
  find_at(a_, {all[2], all[0], all[1]});
  push(b_, "l", with_id('d'));
  all_hold({all[2], all[0], all[1], with_id('d')});
  const Items left = {with_id('d'), all[2], with_id('a', 9), all[1]};
  find_at(a_, left);
  inc_inside(b_, "l", 1, "qty", 1);
  all_hold(left);
}

TEST_F(Moves, WithoutAKeyAnotherOrderIsAnAssignment) {
  start_with("abc");
  edit(a_, "l", items_of("cab"));
  inc_inside(b_, "l", 0, "qty", 1);
  all_stand("cab");
}

}  // namespace
}  // namespace outrigger::merge
