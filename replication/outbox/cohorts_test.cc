#include "replication/outbox/cohorts.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "replication/outbox/batch.h"
#include "replication/outbox/rocks/rocks_outbox_testing.h"

namespace outrigger::outbox {
namespace {

const Origin kOslo{{1}, 7};
const Origin kRome{{2}, 7};

std::string cohort(const std::vector<std::string>& ids, std::string_view row = "born") {
  CohortWriter writer(row);
  for (const std::string& id : ids) writer.add(id);
  return writer.take();
}

std::function<Hlc(const Origin&)> of_oslo(Hlc through) {
  return [=](const Origin& origin) { return origin == kOslo ? through : 0; };
}

class CohortsTest : public ::testing::Test, protected OutboxFixture {
 protected:
  void SetUp() override { open(); }
  void put(Hlc hlc, const std::vector<std::string>& ids, const Origin& origin = kOslo) {
    ASSERT_TRUE(outbox_->write(std::move(Batch().put_cohort({hlc, origin}, "t.a", cohort(ids)))));
  }
  void put_row(const std::string& id, const std::string& row) {
    ASSERT_TRUE(outbox_->write(std::move(Batch().put_row("t.a", id, row))));
  }
  void remove_row(const std::string& id) {
    ASSERT_TRUE(outbox_->write(std::move(Batch().remove_row("t.a", id))));
  }
  std::string row(const std::string& id) {
    const auto found = outbox_->row("t.a", id);
    EXPECT_TRUE(found);
    return found && *found ? **found : "none";
  }
  size_t drop(Hlc through) {
    const auto dropped = outbox_->drop_cohorts(
        of_oslo(through),
        [&](const Dot& dot, std::string_view) { return kept_.contains(dot.hlc); });
    EXPECT_TRUE(dropped);
    return dropped.value_or(0);
  }
  std::set<Hlc> kept_;  // whatever is dropped
  // Rows that were put one by one.
  size_t single_rows() {
    size_t count = 0;
    EXPECT_TRUE(outbox_->scan_rows(
        "", 1000, [&](std::string_view, std::string_view, std::string_view) { ++count; }));
    return count;
  }
};

TEST_F(CohortsTest, AreTheRowsOfTheirDocuments) {
  put(5, {"x", "y"});
  EXPECT_EQ(row("x"), "born");
  EXPECT_EQ(row("y"), "born");
  EXPECT_EQ(row("z"), "none");
  EXPECT_EQ(outbox_->cohort_rows(), 2u);
  EXPECT_EQ(single_rows(), 0u);
  close_and_open();
  EXPECT_EQ(row("x"), "born");
  EXPECT_EQ(outbox_->cohort_rows(), 2u);
}

TEST_F(CohortsTest, GoTogetherByOriginAndStamp) {
  put(5, {"a", "b"});
  put(6, {"c"});
  put(7, {"d"});
  put(1, {"e"}, kRome);
  EXPECT_EQ(drop(6), 3u);
  EXPECT_EQ(row("a") + row("c") + row("d") + row("e"), "nonenonebornborn");
  EXPECT_EQ(drop(6), 0u);
  close_and_open();
  EXPECT_EQ(row("a") + row("c") + row("d") + row("e"), "nonenonebornborn");
}

TEST_F(CohortsTest, ARowOfItsOwnStandsInstead) {
  put(5, {"x", "y"});
  put_row("x", "changed");
  EXPECT_EQ(row("x"), "changed");
  EXPECT_EQ(outbox_->cohort_rows(), 1u);
  crash();
  open();
  EXPECT_EQ(row("x"), "changed");
  EXPECT_EQ(drop(5), 1u);
  EXPECT_EQ(row("x"), "changed");
  EXPECT_EQ(row("y"), "none");
}

TEST_F(CohortsTest, WhatLeftDoesNotComeBackWhenItsRowGoes) {
  put(5, {"x", "y"});
  put_row("x", "changed");
  remove_row("x");
  EXPECT_EQ(row("x"), "none");
  crash();
  open();
  EXPECT_EQ(row("x"), "none");
  EXPECT_EQ(row("y"), "born");
}

TEST_F(CohortsTest, WhoIsBornAgainIsInTheLaterOne) {
  put(5, {"x", "y"});
  put(3, {"z"}, kRome);
  remove_row("x");
  remove_row("z");
  put(6, {"z", "x"});
  put(9, {"w"}, kRome);
  crash();
  open();
  EXPECT_EQ(drop(5), 1u);
  EXPECT_EQ(row("x") + row("y") + row("z") + row("w"), "bornnonebornborn");
  EXPECT_EQ(drop(6), 2u);
  EXPECT_EQ(row("x") + row("z"), "nonenone");
}

TEST_F(CohortsTest, LeaveNothingWhenAllHaveLeftInOneBatch) {
  put(5, {"x", "y", "z"});
  Batch all;
  all.remove_row("t.a", "x").remove_row("t.a", "y").remove_row("t.a", "z");
  ASSERT_TRUE(outbox_->write(std::move(all)));
  EXPECT_EQ(outbox_->cohort_rows(), 0u);
  crash();
  open();
  EXPECT_EQ(outbox_->cohort_rows(), 0u);
  put(5, {"x"});  // its notes are gone with it
  crash();
  open();
  EXPECT_EQ(row("x"), "born");
}

TEST_F(CohortsTest, WithoutRoomEachHasARow) {
  close();
  options_.cohort_bytes = 500;
  open();
  put(5, {"a"});
  put(6, {"b"});
  put(7, {"c", "d"});
  EXPECT_EQ(row("a") + row("c") + row("d"), "bornbornborn");
  EXPECT_EQ(outbox_->cohort_rows(), 2u);
  EXPECT_EQ(single_rows(), 2u);
  EXPECT_EQ(drop(6), 2u);
  put(8, {"e"});
  EXPECT_EQ(outbox_->cohort_rows(), 1u);
}

TEST_F(CohortsTest, NoRowIsOverlookedOnceThereWasNone) {
  EXPECT_EQ(single_rows(), 0u);  // from here on it is known that there is none
  EXPECT_EQ(row("x"), "none");
  put_row("x", "changed");
  EXPECT_EQ(row("x"), "changed");
  remove_row("x");
  EXPECT_EQ(single_rows(), 0u);
  EXPECT_EQ(row("x"), "none");
  put_row("y", "changed");
  EXPECT_EQ(row("y"), "changed");
}

RC_GTEST_PROP(CohortsModel, FindWhomAPlainMapFinds, ()) {
  Cohorts cohorts(size_t{1} << 30);
  std::map<std::string, Hlc> model;  // by _id
  Hlc stamp = 0;
  const auto id_of = [] { return std::to_string(*rc::gen::inRange(0, 60)); };
  for (int steps = *rc::gen::inRange(1, 80); steps > 0; --steps) {
    const int what = *rc::gen::inRange(0, 10);
    if (what < 5) {
      std::set<std::string> ids;
      for (int n = *rc::gen::inRange(1, 20); n > 0; --n) {
        if (const std::string id = id_of(); model.count(id) == 0) ids.insert(id);
      }
      if (ids.empty()) continue;
      ++stamp;
      for (const std::string& id : ids) model[id] = stamp;
      RC_ASSERT(cohorts.add(cohort_key({stamp, kOslo}, "t.a"),
                            cohort({ids.begin(), ids.end()}, std::to_string(stamp))));
    } else if (what < 9) {
      const std::string id = id_of();
      RC_ASSERT(cohorts.leave(row_key("t.a", id)).has_value() == (model.erase(id) > 0));
    } else {
      const Hlc through = *rc::gen::inRange<Hlc>(0, stamp + 1);
      const bool keeps = *rc::gen::inRange(0, 4) == 0;
      const auto is_kept = [&](const Dot& birth, std::string_view) {
        return keeps && birth.hlc % 2 == 0;
      };
      (void)cohorts.drop(of_oslo(through), is_kept);
      std::erase_if(model, [&](const auto& each) {
        return each.second <= through && !is_kept({each.second, kOslo}, "");
      });
    }
    RC_ASSERT(cohorts.documents() == model.size());
    for (int id = 0; id < 60; ++id) {
      const auto row = cohorts.row("t.a", std::to_string(id));
      const auto expected = model.find(std::to_string(id));
      RC_ASSERT(row.has_value() == (expected != model.end()));
      if (row) RC_ASSERT(*row == std::to_string(expected->second));
    }
  }
}

TEST(CohortBytes, AreReadOnlyWhole) {
  const std::string whole = cohort({"one", "two"});
  for (size_t size = 0; size < whole.size(); ++size) {
    Cohorts cohorts(1000);
    const bool ends_between = size == 4 + 4 + 4 + 3;
    EXPECT_EQ(cohorts.add(cohort_key({5, kOslo}, "t.a"), whole.substr(0, size)), ends_between);
  }
}

}  // namespace
}  // namespace outrigger::outbox
