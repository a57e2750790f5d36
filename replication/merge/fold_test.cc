#include <cstdlib>
#include <random>

#include "replication/merge/worlds/merge_fixture.h"

// A document that three sites write to without end: never is all of its row stable.
namespace outrigger::merge {
namespace {

// Each site writes once in a round, and hears of the writes of the round before. OUTRIGGER_ROUNDS:
// 86,400 are a day of one a second.
int rounds() {
  const char* text = std::getenv("OUTRIGGER_ROUNDS");
  return text == nullptr ? 400 : std::atoi(text);
}

class FoldTest : public MergeTest {
 protected:
  void pass_on() {
    exchange_once();
    for (WorldSite* to : all_) {
      for (const Report& each : told_) to->stability->hear(each);
    }
    told_.clear();
    for (WorldSite* site : all_) told_.push_back(site->report());
    for (WorldSite* site : all_) site->collect(true);
  }
  size_t row_bytes() const {
    size_t most = 0;
    for (const WorldSite* site : all_) {
      const auto row = site->rows.find(id_);
      if (row != site->rows.end()) most = std::max(most, row->second.size());
    }
    return most;
  }

  // write(site, round) at all of them, and beside it what no row rests from. What it grows to in
  // the first part of the time it never passes.
  template <typename Write>
  void row_stays_small(const Write& write) {
    const int count = rounds();
    size_t at_first = 0;
    size_t later = 0;
    for (int round = 0; round < count; ++round) {
      pass_on();
      for (WorldSite* site : all_) {
        if (site->store.contains(id_)) set(*site, "beat", i32(0));
        write(*site, round);
      }
      size_t& most = round < count / 4 ? at_first : later;
      most = std::max(most, row_bytes());
    }
    EXPECT_LE(later, at_first + 32) << "bytes of its row";
    for (WorldSite* site : all_) EXPECT_FALSE(site->rows.empty()) << "it was to be written to";
    all_equal();
  }
  void all_equal() {
    exchange();
    for (const WorldSite* site : all_) {
      EXPECT_TRUE(bson::equal_unordered(stored(*site), stored(a_)))
          << bson::to_json(stored(*site)) << " and " << bson::to_json(stored(a_));
    }
  }

  std::vector<Report> told_;
};

TEST_F(FoldTest, ACounterThatAlwaysCounts) {
  insert(a_, {{"n", i32(0)}});
  exchange();
  row_stays_small([&](WorldSite& site, int) { inc(site, "n", 1); });
  all_show({{"n", i32(3 * rounds())}, {"beat", i32(0)}});
}

TEST_F(FoldTest, ACounterThatCountsNowAndThen) {
  insert(a_, {{"n", i32(0)}});
  exchange();
  row_stays_small([&](WorldSite& site, int round) {
    if (round % 4 == 0) inc(site, "n", 1);
  });
  all_show({{"n", i32(3 * rounds() / 4)}, {"beat", i32(0)}});
}

TEST_F(FoldTest, ACounterOfFractionsInAFieldThatNobodyEverSet) {
  insert(a_, {});
  exchange();
  row_stays_small([&](WorldSite& site, int round) {
    if (round % 4 == 0) inc(site, "of.n", bson::make_double(0.1));
  });
}

// Its sum is remembered, however far it goes.
TEST_F(FoldTest, ACounterBeyondItsBounds) {
  const Policy policy = bounded(Bounds{0, 10});
  for (WorldSite* site : all_) site->policy = &policy;
  insert(a_, {{"n", i32(5)}});
  exchange();
  const int taken = 3 * (rounds() / 4);
  row_stays_small([&](WorldSite& site, int round) {
    if (round % 4 == 0) inc(site, "n", -1);
  });
  all_show({{"n", i32(0)}, {"beat", i32(0)}});
  inc(b_, "n", taken);
  all_show({{"n", i32(5)}, {"beat", i32(0)}});
}

TEST_F(FoldTest, FieldsThatComeAndGo) {
  insert(a_, {});
  exchange();
  row_stays_small([&](WorldSite& site, int) {
    const std::string path = "online." + std::to_string(now_ms_);
    set(site, path, i32(1));
    unset(site, path);
  });
}

// Once, and never again: what is written below makes it anew each time.
TEST_F(FoldTest, FieldsThatComeAndGoInADocumentThatWasTakenAway) {
  insert(a_, {{"online", doc({{"x", i32(1)}})}});
  exchange();
  unset(a_, "online");
  row_stays_small([&](WorldSite& site, int) {
    const std::string path = "online." + std::to_string(now_ms_);
    set(site, path, i32(1));
    unset(site, path);
  });
}

TEST_F(FoldTest, ACounterInADocumentThatWasTakenAway) {
  insert(a_, {{"of", doc({{"n", i32(5)}})}});
  exchange();
  unset(a_, "of");
  row_stays_small([&](WorldSite& site, int round) {
    if (round % 4 == 0) inc(site, "of.n", 1);
  });
}

TEST_F(FoldTest, FieldsThatComeAndGoInADocumentThatBeatAValue) {
  insert(a_, {{"of", i32(0)}});
  exchange();
  set(b_, "of", doc({{"y", i32(1)}}));
  set(a_, "of", i32(7));
  set(b_, "of.x", i32(1));
  row_stays_small([&](WorldSite& site, int) {
    const Found now = find_path(stored(site), path_of("of"));
    if (now.what == Found::kValue && now.value.type != bson::Type::kDocument) return;
    const std::string path = "of." + std::to_string(now_ms_);
    set(site, path, i32(1));
    unset(site, path);
  });
}

TEST_F(FoldTest, FieldsThatComeAndGoInAnElement) {
  insert(a_, {{"l", array({doc({{"_id", i32(1)}, {"n", i32(0)}})})}});
  exchange();
  row_stays_small([&](WorldSite& site, int) {
    const std::string name = "u" + std::to_string(now_ms_);
    set_inside(site, "l", 0, name, i32(1));
    set_inside(site, "l", 0, name, std::nullopt);
  });
}

TEST_F(FoldTest, DocumentsInItThatComeAndGoWithCountersInThem) {
  insert(a_, {});
  exchange();
  row_stays_small([&](WorldSite& site, int round) {
    inc(site, "of.day" + std::to_string(round), 1);
    if (round > 0) unset(site, "of.day" + std::to_string(round - 1));
  });
}

// As its author is another one each time, none takes the place of another.
TEST_F(FoldTest, KeysOfUniqueIndexesAtSitesThatAreStartedAnew) {
  std::mt19937_64 random(1);
  attested_ = Keys::kClaims;
  insert(a_, {{"mail", text("a")}});
  exchange();
  row_stays_small([&](WorldSite& site, int round) {
    if (round % 10 != 0) return;
    site.restart(random);
    for (const Keys keys : {Keys::kKeeps, Keys::kPasses, Keys::kClaims}) {
      attested_ = keys;
      set(site, "mail", text(keys == Keys::kClaims ? "b" : "a"));
    }
    attested_ = Keys::kKeeps;
  });
}

TEST_F(FoldTest, ACounterInAnElement) {
  insert(a_, {{"l", array({doc({{"_id", i32(1)}, {"n", i32(0)}})})}});
  exchange();
  row_stays_small([&](WorldSite& site, int round) {
    if (round % 4 == 0) inc_inside(site, "l", 0, "n", 1);
  });
}

TEST_F(FoldTest, AQueue) {
  insert(a_, {{"l", array({})}});
  exchange();
  row_stays_small([&](WorldSite& site, int round) {
    push(site, "l", i32(round));
    if (items(site, "l").size() > 5) take(site, "l", items(site, "l").front());
  });
}

// Of few values, and of ever new ones.
TEST_F(FoldTest, ASetFromWhichWhatIsTakenStaysAway) {
  const Policy policy(removals_win());
  for (WorldSite* site : all_) site->policy = &policy;
  insert(a_, {{"l", array({})}});
  exchange();
  row_stays_small([&](WorldSite& site, int round) {
    for (const bson::OwnedValue& item : {i32(round % 3), i32(round)}) {
      const auto all = items(site, "l");
      const bool has = std::find(all.begin(), all.end(), item) != all.end();
      if (!has) add_to_set(site, "l", item);
      if (has || all.size() > 5) take(site, "l", all.front());
    }
  });
}

TEST_F(FoldTest, SetsThatComeAndGoUnderEverNewNames) {
  Settings settings = removals_win();
  settings.replicate.front().fields.front().pattern = {"of", "*"};
  const Policy policy(settings);
  for (WorldSite* site : all_) site->policy = &policy;
  insert(a_, {});
  exchange();
  row_stays_small([&](WorldSite& site, int round) {
    const std::string name = "of.u" + std::to_string(round);
    set(site, name, array({i32(1), i32(2)}));
    take(site, name, i32(1));
    unset(site, name);
  });
}

TEST_F(FoldTest, ADocumentThatComesAndGoes) {
  row_stays_small([&](WorldSite& site, int round) {
    if (site.store.contains(id_)) remove(site);
    upsert(site, {{"x", i32(round)}}, {{"n", i32(1)}});
  });
}

}  // namespace
}  // namespace outrigger::merge
