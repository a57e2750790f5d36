#include "replication/merge/yields.h"

#include "replication/merge/row.h"
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

class Yields : public MergeTest {
 protected:
  void make_known(const Fields& fields = {{"a", i32(1)}, {"b", i32(2)}, {"n", i32(5)}}) {
    insert(a_, fields);
    exchange();
  }
};

TEST_F(Yields, AnUpdateItHadNotSeenKeepsTheWholeDocumentEverywhere) {
  make_known();
  yield(a_);
  EXPECT_FALSE(a_.store.contains("d"));
  set(b_, "a", i32(9));
  all_show({{"a", i32(9)}, {"b", i32(2)}, {"n", i32(5)}});
  all_lost({"7 unset"});
  forget();
  all_show({{"a", i32(9)}, {"b", i32(2)}, {"n", i32(5)}});
}

TEST_F(Yields, AnEarlierUpdateDoesToo) {
  make_known();
  set(b_, "a", i32(9));
  yield(a_);
  all_show({{"a", i32(9)}, {"b", i32(2)}, {"n", i32(5)}});
  all_lost({"7 unset"});
}

TEST_F(Yields, NobodyIsToldOfADocumentThatOutlivedItsTime) {
  make_known();
  yield(a_, Removal::kExpiry);
  set(b_, "a", i32(9));
  all_show({{"a", i32(9)}, {"b", i32(2)}, {"n", i32(5)}});
  all_lost({});
}

TEST_F(Yields, WhatEverybodyHadSeenGoesAndIsForgotten) {
  make_known();
  set(b_, "a", i32(9));
  exchange();
  yield(a_);
  all_gone();
  all_lost({});
  forget();
}

TEST_F(Yields, TwoOfThemAreOne) {
  make_known();
  yield(a_);
  yield(b_, Removal::kExpiry);
  all_gone();
  all_lost({});
  forget();
}

TEST_F(Yields, AnUpdateStandsAgainstBothOfTwo) {
  make_known();
  yield(a_);
  yield(b_);
  set(c_, "a", i32(9));
  all_show({{"a", i32(9)}, {"b", i32(2)}, {"n", i32(5)}});
  all_lost({"7 unset", "7 unset"});
}

// Of two births one is gone where the other is written to, and comes back.
class YieldsOfTwo : public Yields {
 protected:
  void remove_one_of_two(const Fields& fields, const Fields& others) {
    insert(a_, fields);
    inc(a_, "n", 8);
    remove_the_other(others);
  }
  // c has what there is, and does not hear of its end.
  void remove_the_other(const Fields& others) {
    pull(c_, a_);
    yield(a_);
    insert(b_, others);
    pull(a_, b_);
  }
};

TEST_F(YieldsOfTwo, AnIncrementThatWasSeenAndTakenAwayDoesNotComeBack) {
  remove_one_of_two({{"n", i32(5)}}, {{"n", i32(1)}});
  unset(a_, "n");
  set(c_, "a", i32(9));
  all_show({{"a", i32(9)}});
}

TEST_F(YieldsOfTwo, NorOneInWhosePlaceAValueWasGiven) {
  remove_one_of_two({{"n", i32(5)}}, {});
  set(a_, "n", i32(100));
  inc(c_, "n", 1);
  all_show({{"n", i32(101)}});
}

TEST_F(YieldsOfTwo, NorOneOfADocumentThatWasReplaced) {
  remove_one_of_two({{"n", i32(5)}}, {{"n", i32(1)}});
  replace(a_, {{"n", i32(100)}});
  inc(c_, "n", 1);
  all_show({{"n", i32(101)}});
}

TEST_F(YieldsOfTwo, NorAnElementInWhosePlaceAnArrayWasGiven) {
  insert(a_, {{"l", array({i32(1)})}});
  push(a_, "l", i32(2));
  remove_the_other({{"l", array({i32(5)})}});
  set(a_, "l", array({i32(7)}));
  set(c_, "m", i32(1));
  all_show({{"l", array({i32(7)})}, {"m", i32(1)}});
  settle_all();
  all_show({{"l", array({i32(7)})}, {"m", i32(1)}});
}

TEST_F(YieldsOfTwo, NorOneOfAnArrayThatWasTakenAway) {
  insert(a_, {{"c", doc({{"l", array({i32(1)})}})}});
  push(a_, "c.l", i32(2));
  remove_the_other({});
  set(a_, "c", doc({{"x", i32(7)}}));
  push(c_, "c.l", i32(3));
  all_show({{"c", doc({{"x", i32(7)}, {"l", array({i32(3)})}})}});
}

TEST_F(YieldsOfTwo, NorAValueThatAnotherOneContendedWith) {
  Settings settings;
  settings.replicate.emplace_back().namespace_glob = "*";
  settings.replicate.front().fields = {{{"v"}, PathType::kMax}};
  const Policy policy(settings);
  for (WorldSite* site : all_) site->policy = &policy;
  insert(a_, {{"v", i32(0)}});
  set(a_, "v", i32(9));
  remove_the_other({{"v", i32(1)}});
  set(a_, "v", i32(2));
  set(c_, "m", i32(1));
  all_show({{"v", i32(2)}, {"m", i32(1)}});
  settle_all();
  all_show({{"v", i32(2)}, {"m", i32(1)}});
}

TEST_F(Yields, OneThatDoesNotYieldTakesTheUpdateAlong) {
  make_known();
  yield(a_);
  remove(b_);
  set(c_, "a", i32(9));
  all_gone();
  EXPECT_FALSE(lost(c_).empty());
  forget();
}

TEST_F(Yields, IncrementsAddUpOnWhatIsBack) {
  make_known();
  inc(a_, "n", 1);
  exchange();
  yield(a_);
  inc(b_, "n", 10);
  inc(c_, "n", 100);
  all_show({{"a", i32(1)}, {"b", i32(2)}, {"n", i32(116)}});
  inc(a_, "n", 1000);
  inc(b_, "n", 10000);
  all_show({{"a", i32(1)}, {"b", i32(2)}, {"n", i32(11116)}});
  forget();
  all_show({{"a", i32(1)}, {"b", i32(2)}, {"n", i32(11116)}});
}

TEST_F(Yields, WhatIsBackMayBeRemovedAgain) {
  make_known();
  yield(a_);
  set(b_, "a", i32(9));
  exchange();
  yield(c_);
  all_gone();
  forget();
}

TEST_F(Yields, ADocumentMadeAfterItIsANewOne) {
  make_known();
  yield(a_);
  insert(a_, {{"new", i32(1)}});
  set(b_, "a", i32(9));
  all_show({{"new", i32(1)}});
  forget();
  all_show({{"new", i32(1)}});
}

TEST_F(Yields, ADocumentMadeElsewhereStandsBesideWhatComesBack) {
  insert(a_, {{"a", i32(1)}});
  insert(b_, {{"b", i32(2)}});
  yield(a_);
  exchange();
  all_show({{"b", i32(2)}});
  set(c_, "c", i32(3));  // seen: what a removed stays gone
  all_show({{"b", i32(2)}, {"c", i32(3)}});
  forget();
  all_show({{"b", i32(2)}, {"c", i32(3)}});
}

TEST_F(Yields, WithoutTheDocumentItIsAPlainOne) {
  make_known();
  AppWrite write = make(Kind::kRemove);
  write.change.removal = Removal::kUpdateWins;
  run(a_, write);
  set(b_, "a", i32(9));
  all_gone();
}

// Of b's write nothing is left, and yet somebody meant the document to be there.
TEST_F(Yields, AnUpdateThatLostToWhatWasSeenKeepsTheDocument) {
  make_known();
  set(b_, "a", i32(8));
  set(a_, "a", i32(9));
  yield(a_);
  exchange();
  for (const WorldSite* site : all_) {
    ASSERT_TRUE(site->store.contains("d"));
    EXPECT_EQ(bson::Document(site->store.at("d")).find("a")->to_int64(), 9);
  }
  forget();
}

TEST_F(Yields, AnUpdateThatIsOverwrittenBeforeTheRemovalComesKeepsTheDocument) {
  make_known();
  set(b_, "a", i32(8));
  replace(a_, {{"a", i32(9)}});
  pull(c_, a_);
  pull(c_, b_);
  yield(a_);
  all_show({{"a", i32(9)}});
}

// Sites join births at different times, and judge alike what had been overwritten in one of them.
TEST_F(Yields, WhatAnotherBirthHadOverwrittenCountsWhetherBirthsAreJoinedOrNot) {
  insert(a_, {{"a", i32(1)}});
  pull(c_, a_);
  set(a_, "a", i32(2));
  insert(b_, {{"a", i32(3)}});
  pull(c_, b_);
  pull(a_, b_);
  a_.stability->hear(b_.report());
  a_.stability->hear(c_.report());
  pull(b_, a_);
  for (WorldSite* from : all_) a_.stability->hear(from->report());
  a_.collect(true);
  EXPECT_EQ(a_.load("d").incarnations.size(), 1u);
  EXPECT_EQ(b_.load("d").incarnations.size(), 2u);
  yield(c_);
  exchange();
  for (const WorldSite* site : all_) {
    EXPECT_EQ(site->store.contains("d"), a_.store.contains("d"));
  }
  EXPECT_TRUE(a_.store.contains("d"));
}

TEST_F(Yields, ItsRowIsReadBack) {
  make_known();
  yield(a_);
  const std::string row = a_.rows.at("d");
  auto state = load_row(row);
  ASSERT_TRUE(state) << state.error().message();
  EXPECT_EQ(strip(*state), row);
  ASSERT_EQ(state->gone.size(), 1u);
  EXPECT_EQ(state->gone.front().removals.size(), 1u);
  for (size_t size = 1; size < row.size(); ++size) {
    EXPECT_FALSE(load_row(row.substr(0, size))) << size;
  }
  for (size_t at = 0; at < row.size(); ++at) {
    for (const int flip : {1, 2, 16, 128}) {
      std::string forged = row;
      forged[at] = static_cast<char>(forged[at] ^ flip);
      const auto read = load_row(forged);  // or refused
      if (read) static_cast<void>(strip(*read));
    }
  }
}

TEST_F(Yields, AForgedRowIsRefused) {
  make_known();
  yield(a_);
  DocumentState state = *load_row(a_.rows.at("d"));
  DocumentState nothing = state;
  nothing.gone.front().removals.clear();
  nothing.gone.push_back(state.gone.front());
  EXPECT_FALSE(load_row(encode_row(nothing)));
  DocumentState shown = state;
  shown.gone.front().body.registers[{"x"}].content = Content::kShown;
  EXPECT_FALSE(load_row(encode_row(shown)));
  DocumentState unknown = state;
  unknown.gone.front().removals.front().why = static_cast<Removal>(7);
  EXPECT_FALSE(load_row(encode_row(unknown)));
  DocumentState unseen = state;
  unseen.gone.front().seen = {};
  EXPECT_FALSE(load_row(encode_row(unseen)));
}

}  // namespace
}  // namespace outrigger::merge
