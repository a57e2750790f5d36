// set(remove_wins): what was taken away from an array stands against adds that had not seen it.
#include "replication/merge/types/taken.h"

#include "replication/merge/row.h"
#include "replication/merge/types/list.h"
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

class RemovalsWin : public ArrayTest {
 protected:
  RemovalsWin() {
    for (WorldSite* site : all_) site->policy = &policy_;
  }
  void add(WorldSite& site, const bson::OwnedValue& item) { add_to_set(site, "l", item); }
  void pull_away(WorldSite& site, const bson::OwnedValue& item) { take(site, "l", item); }
  // {$set: {l: items}}
  void assign(WorldSite& site, const Items& items) { edit(site, "l", items, ArrayEdit::kAddsSet); }
  void all_lost_adds(const Items& items) {
    std::vector<std::string> lines;
    for (const bson::OwnedValue& each : items) lines.push_back("3/l " + bson::to_json(each.view()));
    all_lost(lines);
    for (const WorldSite* site : all_) {
      for (const Loss& loss : losses_of(*site)) {
        EXPECT_TRUE(loss.removal_wins);
        EXPECT_TRUE(loss.is_element);
      }
    }
  }
  // Nor does anything change when it is forgotten.
  void all_hold_for_good(const Items& items) {
    all_hold(items);
    settle_all();
    all_hold(items);
    for (const WorldSite* site : all_) EXPECT_TRUE(site->rows.empty() || has_only_names(*site));
  }
  bool has_only_names(const WorldSite& site) {
    const DocumentState state = site.load(id_);
    return is_only_settled_lists(state.incarnations.front());
  }
  [[nodiscard]] size_t remembered(const WorldSite& site) const {
    const DocumentState state = site.load(id_);
    size_t count = 0;
    for (const auto& [path, list] : state.incarnations.front().body.lists) {
      count += list.taken.size();
    }
    return count;
  }

  const Policy policy_{removals_win()};
};

TEST_F(RemovalsWin, AgainstAnAddThatComesLater) {
  start({text("x"), text("y")});
  pull_away(a_, text("x"));
  assign(b_, {text("y")});  // it was there: b takes it away, too, and adds it anew
  add(b_, text("x"));
  all_hold_for_good({text("y")});
  all_lost_adds({text("x")});
}

TEST_F(RemovalsWin, AgainstAnAddThatCameBefore) {
  start({text("x"), text("y")});
  assign(b_, {text("y")});
  add(b_, text("x"));
  pull_away(a_, text("x"));
  all_hold_for_good({text("y")});
  all_lost_adds({text("x")});
}

TEST_F(RemovalsWin, ASecondOneOfTheSameValueTellsNoLossAgain) {
  start({text("y")});
  for (int times = 0; times < 2; ++times) {
    add(a_, text("x"));
    pull_away(a_, text("x"));
  }
  add(b_, text("x"));
  all_hold_for_good({text("y")});
  all_lost_adds({text("x")});
}

TEST_F(RemovalsWin, NotAgainstAnAddThatHadSeenIt) {
  start({text("x"), text("y")});
  pull_away(a_, text("x"));
  exchange();
  add(b_, text("x"));
  all_hold_for_good({text("y"), text("x")});
  all_lost_adds({});
}

TEST_F(RemovalsWin, NotAgainstWhoseAuthorTookItAwayItself) {
  start({text("x"), text("y")});
  pull_away(a_, text("x"));
  add(a_, text("x"));
  all_hold_for_good({text("y"), text("x")});
  all_lost_adds({});
}

TEST_F(RemovalsWin, OfTwoThatDidNotSeeEachOtherAnAddMustHaveSeenBoth) {
  start({text("x"), text("y")});
  pull_away(a_, text("x"));
  pull_away(b_, text("x"));
  pull(c_, a_);
  add(c_, text("x"));
  all_hold({text("y")});
  add(c_, text("x"));
  all_hold_for_good({text("y"), text("x")});
}

TEST_F(RemovalsWin, AgainstEqualAddsOfTwoSites) {
  start({text("x"), text("y")});
  for (WorldSite* site : {&b_, &c_}) {
    assign(*site, {text("y")});
    add(*site, text("x"));
  }
  pull(b_, c_);
  pull_away(a_, text("x"));
  all_hold_for_good({text("y")});
  all_lost_adds({text("x"), text("x")});
}

TEST_F(RemovalsWin, OnlyOfTheValueThatWasTaken) {
  start({text("x"), text("y")});
  pull_away(a_, text("x"));
  add(b_, text("z"));
  add(c_, doc({{"x", i32(1)}}));
  exchange();
  all_hold_for_good({text("y"), text("z"), doc({{"x", i32(1)}})});
  all_lost_adds({});
}

TEST_F(RemovalsWin, OfAnArrayThatIsAssignedWithoutIt) {
  start({text("x"), text("y")});
  assign(a_, {text("y"), text("z")});
  pull_away(b_, text("x"));
  add(b_, text("x"));
  all_hold_for_good({text("y"), text("z")});
  all_lost_adds({text("x")});
}

TEST_F(RemovalsWin, OfAnArrayInAnotherOrder) {
  start({text("x"), text("y"), text("z")});
  assign(a_, {text("z"), text("y")});  // told as a value of the whole
  pull_away(b_, text("x"));
  add(b_, text("x"));
  all_hold_for_good({text("z"), text("y")});
}

TEST_F(RemovalsWin, AgainstAnArrayThatIsAssignedWithIt) {
  start({text("x"), text("y")});
  pull_away(a_, text("x"));
  set(b_, "l", array({text("x"), text("w")}));  // as with a container above
  all_hold_for_good({text("w")});
  all_lost_adds({text("x")});
}

TEST_F(RemovalsWin, AgainstAnArrayThatWasAssignedBefore) {
  start({text("x"), text("y")});
  set(b_, "l", array({text("x"), text("w")}));
  pull_away(a_, text("x"));
  all_hold_for_good({text("w")});
  all_lost_adds({text("x")});
}

TEST_F(RemovalsWin, NotAgainstAnArrayWhoseAuthorHadSeenIt) {
  start({text("x"), text("y")});
  pull_away(a_, text("x"));
  exchange();
  set(b_, "l", array({text("x"), text("w")}));
  all_hold_for_good({text("x"), text("w")});
  all_lost_adds({});
}

TEST_F(RemovalsWin, AfterTheWholeArrayWasTakenAway) {
  start({text("x"), text("y")});
  assign(b_, {text("y")});
  add(b_, text("x"));
  pull_away(a_, text("x"));
  unset(a_, "l");
  add(a_, text("v"));
  exchange();
  pull_away(a_, text("v"));
  unset(a_, "l");
  all_show({});
  settle_all();
  all_show({});
}

TEST_F(RemovalsWin, OfADocumentAgainstThatOfAnotherBirth) {
  insert(a_, {{"l", array({text("x"), text("y")})}});
  pull_away(a_, text("x"));
  insert(b_, {{"l", array({text("x"), text("z")})}});
  all_show({{"l", array({text("z")})}});
  for (const WorldSite* site : all_) {
    const std::vector<Loss> losses = losses_of(*site);
    EXPECT_EQ(std::count_if(losses.begin(), losses.end(),
                            [](const Loss& loss) { return loss.removal_wins; }),
              1);
  }
}

TEST_F(RemovalsWin, UntilTheDocumentItWasOfIsGone) {
  insert(a_, {{"l", array({text("x"), text("y")})}});
  pull_away(a_, text("x"));
  insert(b_, {{"l", array({text("x"), text("z")})}});
  pull(c_, a_);
  remove(c_);
  all_show({{"l", array({text("x"), text("z")})}});
  settle_all();
  all_show({{"l", array({text("x"), text("z")})}});
}

TEST_F(RemovalsWin, OfADocumentThatComesBack) {
  start({text("x"), text("y")});
  pull_away(a_, text("x"));
  yield(a_);
  assign(b_, {text("y")});
  add(b_, text("x"));
  all_hold_for_good({text("y")});
}

TEST_F(RemovalsWin, NotAgainstAnAddThatSawItInADocumentThatComesBack) {
  insert(a_, {{"l", array({text("x")})}});
  pull_away(a_, text("x"));
  pull(c_, a_);
  yield(a_);
  insert(b_, {{"l", array({text("z")})}});
  pull(a_, b_);
  add(a_, text("x"));
  set(c_, "m", i32(1));
  all_show({{"l", array({text("z"), text("x")})}, {"m", i32(1)}});
  settle_all();
  all_show({{"l", array({text("z"), text("x")})}, {"m", i32(1)}});
}

TEST_F(RemovalsWin, NotAgainstAnArrayGivenByWhoSawItInADocumentThatComesBack) {
  insert(a_, {{"l", array({text("x")})}});
  pull_away(a_, text("x"));
  pull(c_, a_);
  yield(a_);
  insert(b_, {{"l", array({text("z")})}});
  pull(a_, b_);
  set(a_, "l", array({text("x")}));
  set(c_, "m", i32(1));
  all_show({{"l", array({text("x")})}, {"m", i32(1)}});
}

TEST_F(RemovalsWin, NotAgainstWhatIsWrittenIntoAnElement) {
  start({doc({{"q", i32(1)}}), text("y")});
  set_inside(a_, "l", 0, "q", i32(2));
  add(b_, text("z"));
  EXPECT_EQ(remembered(a_), 0u);
  all_hold({doc({{"q", i32(2)}}), text("y"), text("z")});
}

TEST_F(RemovalsWin, AgainstAnElementThatWasGivenTheValue) {
  start({text("x"), text("w")});
  give_element(b_, "l", 1, text("x"));
  pull_away(a_, text("x"));
  all_hold_for_good({});
  all_lost_adds({text("x")});
}

TEST_F(RemovalsWin, UntilWhatLostIsGivenAnotherValue) {
  start({text("x"), text("y")});
  assign(b_, {text("y")});
  add(b_, text("x"));
  pull_away(a_, text("x"));
  give_element(b_, "l", 1, text("z"));
  all_hold_for_good({text("y"), text("z")});
}

TEST_F(RemovalsWin, WhateverTheOrderOfFields) {
  start({doc({{"p", i32(1)}, {"q", i32(2)}})});
  pull_away(a_, doc({{"p", i32(1)}, {"q", i32(2)}}));
  assign(b_, {});
  add(b_, doc({{"q", i32(2)}, {"p", i32(1)}}));
  all_hold_for_good({});
}

TEST_F(RemovalsWin, AndAreRememberedUntilEverybodyHasThem) {
  start({text("x"), text("y")});
  pull_away(a_, text("x"));
  EXPECT_EQ(remembered(a_), 1u);
  const std::string row = a_.rows.at(id_);
  const Result<DocumentState> again = load_row(row);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(strip(*again), row);
  settle_all();
  EXPECT_EQ(remembered(a_), 0u);
}

TEST_F(RemovalsWin, AreNotWhatOtherSetsDo) {
  Settings settings = removals_win();
  settings.replicate.front().fields.front().removals_win = false;
  const Policy adds(settings);
  for (WorldSite* site : all_) site->policy = &adds;
  start({text("x"), text("y")});
  pull_away(a_, text("x"));
  assign(b_, {text("y")});
  add(b_, text("x"));
  all_hold_for_good({text("y"), text("x")});
  all_lost({});
}

}  // namespace
}  // namespace outrigger::merge
