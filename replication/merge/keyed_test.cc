// Arrays that are assigned whole, whose elements a field tells apart: what two sites change in them
// without knowing of each other. c writes nothing: it sees both orders at work.
#include "replication/merge/types/list_change.h"
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

bson::OwnedValue ware(const char* sku, int32_t qty) {
  return doc({{"sku", text(sku)}, {"qty", i32(qty)}});
}

class KeyedPair : public ArrayTest {
 protected:
  void assign(WorldSite& site, const Items& all) {
    PathChange change = edit_of(site, "l", all, ArrayEdit::kKeyed);
    change.key = "sku";
    edit(site, change);
  }
};

TEST_F(KeyedPair, ChangesAdditionsAndRemovalsOfBothStand) {
  start({ware("pen", 1), ware("ink", 2), ware("cup", 3)});
  assign(a_, {ware("hat", 1), ware("pen", 9), ware("cup", 3)});
  assign(b_, {ware("pen", 1), ware("ink", 2), ware("bag", 5), ware("cup", 4)});
  all_hold({ware("hat", 1), ware("pen", 9), ware("bag", 5), ware("cup", 4)});
  all_lost({});
}

TEST_F(KeyedPair, FieldsOfOneElementStandBesideEachOther) {
  start({ware("pen", 1)});
  assign(a_, {doc({{"sku", text("pen")}, {"qty", i32(1)}, {"note", text("red")}})});
  inc_inside(b_, "l", 0, "qty", 4);
  all_hold({doc({{"sku", text("pen")}, {"qty", i32(5)}, {"note", text("red")}})});
  all_lost({});
}

TEST_F(KeyedPair, OfTwoValuesOfOneFieldTheLaterStands) {
  start({ware("pen", 1), ware("ink", 2)});
  assign(a_, {ware("pen", 7), ware("ink", 2)});
  assign(b_, {ware("pen", 8), ware("ink", 2)});
  all_hold({ware("pen", 8), ware("ink", 2)});
  for (const WorldSite* site : all_) EXPECT_EQ(lost(*site).size(), 1u);
}

TEST_F(KeyedPair, TheRemovalOfAnElementBeatsItsChange) {
  start({ware("pen", 1), ware("ink", 2)});
  assign(a_, {ware("ink", 2)});
  assign(b_, {ware("pen", 8), ware("ink", 2)});
  all_hold({ware("ink", 2)});
  for (const WorldSite* site : all_) EXPECT_EQ(lost(*site).size(), 1u);
}

TEST_F(KeyedPair, AnEqualArrayTakesNothingBack) {
  start({ware("pen", 1)});
  assign(a_, {ware("pen", 9)});
  assign(b_, {ware("pen", 1)});
  all_hold({ware("pen", 9)});
  all_lost({});
}

TEST(Keyed, AnEditNeedsEveryKeyOnce) {
  const Dot dot{7, 1};
  const List before = list_of(array_of_values({ware("pen", 1), ware("ink", 2)}).view());
  const auto edit = [&](const std::vector<bson::OwnedValue>& after) {
    return edit_between(before, array_of_values(after).view(), ArrayEdit::kKeyed, dot, "sku");
  };
  EXPECT_TRUE(edit({ware("ink", 3)}));
  EXPECT_FALSE(edit({ware("ink", 3), ware("ink", 4)}));
  EXPECT_FALSE(edit({ware("ink", 3), i32(1)}));
  EXPECT_FALSE(edit({doc({{"qty", i32(1)}})}));
  EXPECT_FALSE(edit({ware("ink", 2), ware("pen", 1), ware("pen", 1)}));
}

TEST(Keyed, WithoutAFieldNothingTellsElementsApart) {
  const auto unnamed = [](int32_t value) { return doc({{"", i32(value)}}); };
  const List before = list_of(array_of_values({unnamed(1), unnamed(2), unnamed(3)}).view());
  const bson::OwnedValue after = array_of_values({unnamed(3), unnamed(2), unnamed(1)});
  EXPECT_FALSE(edit_between(before, after.view(), ArrayEdit::kKeyed, Dot{7, 1}));
}

}  // namespace
}  // namespace outrigger::merge
