// One list, whose elements are put into other orders: how much that takes to say, and whether each
// is found by its name.
#include <random>

#include "replication/merge/types/author.h"
#include "replication/merge/types/list_change.h"
#include "replication/merge/worlds/named_items.h"

namespace outrigger::merge {
namespace {

TEST(MovedLast, StandsBehindWhatAnEarlierStampWouldAppend) {
  List list = list_of(array(items_of("abc")).view());
  const DocumentEffects nothing;
  const Dot late{50, 2};
  const auto moved =
      edit_between(list, array(items_of("bca")).view(), ArrayEdit::kKeyed, late, "k");
  ASSERT_TRUE(moved);
  edit(list, *moved, Authorship(late, nullptr, nothing), true);
  const bson::OwnedValue after = array(items_of("bcax"));
  EXPECT_FALSE(edit_between(list, after.view(), ArrayEdit::kMoves, Dot{40, 1}));
  EXPECT_TRUE(edit_between(list, after.view(), ArrayEdit::kMoves, Dot{60, 1}));
}

// Of one list, by itself.
class OrderedList : public ::testing::Test {
 protected:
  void start_with(const std::string& names) { list_ = list_of(array(items_of(names)).view()); }
  ListEdit order(const std::string& names) {
    const Dot dot{++now_, 1};
    auto made = edit_between(list_, array(items_of(names)).view(), ArrayEdit::kKeyed, dot, "k");
    EXPECT_TRUE(made);
    if (made) edit(list_, *made, author(dot), true);
    return made.value_or(ListEdit());
  }
  Authorship author(const Dot& dot) const { return {dot, nullptr, nothing_}; }

  const DocumentEffects nothing_;
  uint64_t now_ = 7;
  List list_;
};

TEST_F(OrderedList, NoPlaceIsTooDeep) {
  start_with("habcf");
  std::string names = "abc";
  size_t deepest = 0;
  for (size_t i = 0; i < 2 * kPlacePartsMax + 6; ++i) {
    std::rotate(names.begin(), names.begin() + 1, names.end());
    for (const MovedElement& each : order("h" + names + "f").moved) {
      deepest = std::max(deepest, each.to.size());
    }
  }
  EXPECT_EQ(deepest, kPlacePartsMax);
}

TEST_F(OrderedList, AnOrderTakesNoMoreThanTheArray) {
  std::string names = all_names();
  start_with(names);
  size_t most = 0;
  std::mt19937_64 draw(1);
  for (int i = 0; i < 40; ++i) {
    std::shuffle(names.begin(), names.end(), draw);
    size_t parts = 0;
    for (const MovedElement& each : order(names).moved) parts += each.to.size();
    most = std::max(most, parts);
  }
  const size_t bytes = array_of(list_).bytes.size();
  EXPECT_LE(most, 64 + bytes / 8);
  EXPECT_GT(most, 64 + bytes / 10);
}

// Of which so many are looked for that an index is made.
class FoundByName : public OrderedList {
 protected:
  FoundByName() {
    start_with("abcdefghijklmnopqrstuvwxyz");
    order("zyxwvutsrqponmlkjihgfedcba");
  }
  void all_are_found() const {
    for (int round = 0; round < 2; ++round) {
      for (const ListElement& each : list_.elements) {
        ASSERT_EQ(find_element(list_, each.id()), &each);
      }
      ASSERT_EQ(find_element(list_, {Dot{999, 9}, 0}), nullptr);
    }
  }
};

TEST_F(FoundByName, AfterEdits) {
  all_are_found();
  order("zbyxwvutsrqponmalkjihgfedc");
  all_are_found();
  order("zbyxwuvtsr1qponmalkjihgfedc");
  all_are_found();
  order("zwvyrxtsbq1ponmlkjihged");
  all_are_found();
}

TEST_F(FoundByName, AfterWhatTakesOrBringsMany) {
  const List other = list_;
  order("0zbyxwv1tsrqponmalkjihgfedc");
  all_are_found();
  join(list_, other);
  all_are_found();
  drop_observed(list_, author({++now_, 1}));
  all_are_found();
  take_values(list_, array(items_of("zyxwvu")).view());
  all_are_found();
  assign(list_, array(items_of("zyx")).view());
  all_are_found();
}

}  // namespace
}  // namespace outrigger::merge
