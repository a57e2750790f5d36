// Random worlds. A failure names its seed: OUTRIGGER_SEED=<seed> replays it alone;
// OUTRIGGER_WORLDS=<count> runs more.
#include "replication/merge/worlds/merge_world.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "replication/bson/number.h"
#include "replication/merge/worlds/history.h"
#include "replication/merge/worlds/history_losses.h"

namespace outrigger::merge {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Calls check(seed) for many seeds, or for the one to replay; stops at the first that fails.
template <typename Check>
void for_each_seed(uint64_t count, const Check& check) {
  const uint64_t only = from_environment("OUTRIGGER_SEED", UINT64_MAX);
  if (only != UINT64_MAX) return check(only);
  count = from_environment("OUTRIGGER_WORLDS", count);
  for (uint64_t seed = 0; seed < count && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("OUTRIGGER_SEED=" + std::to_string(seed));
    check(seed);
  }
  std::printf("%lu random worlds\n", count);
}

void expect_by_history(const MergeWorld& world) {
  for (const auto& [id, records] : History::by_document(world.log())) {
    const auto stored = world.documents().find(id);
    std::optional<bson::Document> document;
    if (stored != world.documents().end()) document = bson::Document(stored->second);
    const History history(records, id, world.has_sets());
    if (world.yields() && history.repeats_names()) continue;
    const std::string wrong = history.why_not(document);
    EXPECT_EQ(wrong, "") << "document " << id << ":\n" << (wrong.empty() ? "" : history.text());
  }
}

// At all sites. `removal_wins`: of those that lost to a removal by that rule.
size_t losses_of(const MergeWorld& world, LossKind kind, bool removal_wins = false) {
  size_t sum = 0;
  for (const auto* site : world.noted()) {
    for (const auto& [id, losses] : *site) {
      sum += static_cast<size_t>(std::count_if(losses.begin(), losses.end(), [&](const Loss& loss) {
        return loss.kind == kind && loss.removal_wins == removal_wins;
      }));
    }
  }
  return sum;
}

// At every site, of all that it can miss.
void expect_losses_noted(const MergeWorld& world) {
  for (const auto& [id, records] : History::by_document(world.log())) {
    const auto stored = world.documents().find(id);
    std::optional<bson::Document> document;
    if (stored != world.documents().end()) document = bson::Document(stored->second);
    const History history(records, id, world.has_sets());
    for (const auto* site : world.noted()) {
      const auto noted = site->find(id);
      const std::string missed = HistoryLosses(history).not_noted(
          document, noted == site->end() ? std::vector<Loss>() : noted->second);
      EXPECT_EQ(missed, "") << "document " << id << ":\n" << (missed.empty() ? "" : history.text());
    }
  }
}

TEST(MergeWorld, SitesAgreeAndHoldWhatTheHistorySaysAndStableDocumentsCostNothing) {
  uint64_t drops = 0;
  uint64_t records = 0;
  for_each_seed(3000, [&](uint64_t seed) {
    MergeWorld world(seed, {});
    EXPECT_EQ(world.run(), "");
    expect_by_history(world);
    expect_losses_noted(world);
    drops += world.drops();
    records += world.records;
  });
  std::printf("%lu records, %lu rows dropped\n", records, drops);
}

// Sums of doubles depend on the order, in their last digits.
bool are_close(const bson::Value& a, const bson::Value& b) {
  const bson::OwnedValue apart = bson::add(a, bson::negate(b).view()).value;
  return bson::compare_numbers(apart.view(), bson::make_double(1e-9).view()) < 0 &&
         bson::compare_numbers(apart.view(), bson::make_double(-1e-9).view()) > 0;
}

// Who forgets opens entries of counters anew: a sum may be the same number of another width.
bool are_same(const bson::Value& a, const bson::Value& b) {
  if (a.is_number() && b.is_number()) return bson::compare_numbers(a, b) == 0 || are_close(a, b);
  const bool documents = a.type == bson::Type::kDocument && b.type == bson::Type::kDocument;
  if (a == b || !documents) return a == b;
  size_t missing = 0;
  for (const bson::Element& field : b.as_document()) {
    missing += a.as_document().has(field.name) ? 0 : 1;
  }
  for (const bson::Element& field : a.as_document()) {
    const auto other = b.as_document().find(field.name);
    if (!other || !are_same(field.value, *other)) return false;
  }
  return missing == 0;
}

void expect_same_documents(const MergeWorld& remembering, const MergeWorld& forgetting) {
  const auto& others = forgetting.documents();
  for (const auto& [id, document] : remembering.documents()) {
    ASSERT_TRUE(others.contains(id));
    EXPECT_TRUE(are_same({bson::Type::kDocument, document}, {bson::Type::kDocument, others.at(id)}))
        << bson::to_json(bson::Document(document)) << "\n"
        << bson::to_json(bson::Document(others.at(id)));
  }
  EXPECT_EQ(remembering.documents().size(), others.size());
}

TEST(MergeWorld, ForgettingChangesNoDocument) {
  for_each_seed(500, [](uint64_t seed) {
    MergeWorld forgetting(seed, {});
    MergeWorld remembering(seed, {.collect = false});
    ASSERT_EQ(forgetting.run(), "");
    ASSERT_EQ(remembering.run(), "");
    expect_same_documents(remembering, forgetting);
    expect_losses_noted(remembering);
    expect_losses_noted(forgetting);
  });
}

TEST(MergeWorld, SitesAgreeOnWhatIsContestedWheneverTheyForget) {
  for_each_seed(2000, [](uint64_t seed) {
    MergeWorld forgetting(seed, {.contests = true});
    MergeWorld remembering(seed, {.collect = false, .contests = true});
    ASSERT_EQ(forgetting.run(), "");
    ASSERT_EQ(remembering.run(), "");
    expect_same_documents(remembering, forgetting);
    expect_losses_noted(remembering);
    expect_losses_noted(forgetting);
  });
}

TEST(MergeWorld, SitesAgreeOnVersionsWheneverTheyForget) {
  for_each_seed(400, [](uint64_t seed) {
    MergeWorld forgetting(seed, {.versions = true, .yields = seed % 2 == 0});
    MergeWorld remembering(seed, {.collect = false, .versions = true, .yields = seed % 2 == 0});
    ASSERT_EQ(forgetting.run(), "");
    ASSERT_EQ(remembering.run(), "");
    expect_same_documents(remembering, forgetting);
    expect_losses_noted(remembering);
    expect_losses_noted(forgetting);
  });
}

TEST(MergeWorld, SitesAgreeOnWhatComesBackWheneverTheyForget) {
  size_t withstood = 0;
  for_each_seed(3000, [&](uint64_t seed) {
    const bool contests = seed % 4 == 0;
    MergeWorld forgetting(seed, {.contests = contests, .yields = true});
    MergeWorld remembering(seed, {.collect = false, .contests = contests, .yields = true});
    ASSERT_EQ(forgetting.run(), "");
    ASSERT_EQ(remembering.run(), "");
    expect_same_documents(remembering, forgetting);
    expect_losses_noted(remembering);
    expect_losses_noted(forgetting);
    if (!contests) expect_by_history(forgetting);
    withstood += losses_of(forgetting, LossKind::kUpdateDelete);
  });
  std::printf("%zu removals lost to an update\n", withstood);
  EXPECT_GT(withstood, 0u);
}

TEST(MergeWorld, SitesAgreeOnSumsWithinBoundsWheneverTheyForget) {
  size_t beyond = 0;
  for_each_seed(500, [&](uint64_t seed) {
    MergeWorld forgetting(seed, {.bounds = true});
    MergeWorld remembering(seed, {.collect = false, .bounds = true});
    ASSERT_EQ(forgetting.run(), "");
    ASSERT_EQ(remembering.run(), "");
    expect_same_documents(remembering, forgetting);
    expect_losses_noted(remembering);
    expect_losses_noted(forgetting);
    expect_by_history(forgetting);
    beyond += forgetting.out_of_bounds();
  });
  std::printf("%zu documents in which a bound shows\n", beyond);
  EXPECT_GT(beyond, 0u);
}

TEST(MergeWorld, WhatWasTakenAwayStaysAwayWheneverSitesForget) {
  size_t kept_away = 0;
  for_each_seed(1500, [&](uint64_t seed) {
    const bool yields = seed % 4 == 0;
    MergeWorld forgetting(seed, {.sets = true, .yields = yields});
    MergeWorld remembering(seed, {.collect = false, .sets = true, .yields = yields});
    ASSERT_EQ(forgetting.run(), "");
    ASSERT_EQ(remembering.run(), "");
    expect_same_documents(remembering, forgetting);
    expect_losses_noted(remembering);
    expect_losses_noted(forgetting);
    expect_by_history(forgetting);
    kept_away += losses_of(forgetting, LossKind::kDeleteUpdate, true);
  });
  std::printf("%zu adds lost to a removal\n", kept_away);
  EXPECT_GT(kept_away, 0u);
}

TEST(MergeWorld, EveryIncrementCountsOnce) {
  for_each_seed(800, [](uint64_t seed) {
    MergeWorld world(seed, {.add_only = true});
    ASSERT_EQ(world.run(), "");
    for (const auto& [id, document] : world.documents()) {
      const auto n = bson::Document(document).find("n");
      ASSERT_TRUE(n.has_value());
      EXPECT_EQ(n->to_int64(), world.added(id));
    }
  });
}

TEST(MergeWorld, EveryIncrementInAnElementCountsOnce) {
  size_t counted = 0;
  for_each_seed(800, [&](uint64_t seed) {
    MergeWorld world(seed, {.add_only = true});
    ASSERT_EQ(world.run(), "");
    for (const auto& [id, document] : world.documents()) {
      const auto elements = bson::Document(document).find("e");
      ASSERT_TRUE(elements.has_value());
      for (const bson::Element& each : elements->as_document()) {
        const auto sum = world.counted().find(bson::to_json(*each.value.as_document().find("k")));
        const int64_t wanted = sum == world.counted().end() ? 0 : sum->second;
        EXPECT_EQ(each.value.as_document().find("q")->to_int64(), wanted);
        counted += wanted != 0 ? 1 : 0;
      }
    }
  });
  std::printf("%zu elements in which something was counted\n", counted);
  EXPECT_GT(counted, 0u);
}

TEST(MergeWorld, EveryElementIsThereOnceUnlessSomebodyWhoSawItTookItAway) {
  size_t filled = 0;
  for_each_seed(800, [&](uint64_t seed) {
    MergeWorld world(seed, {.add_only = true});
    ASSERT_EQ(world.run(), "");
    for (const auto& [id, document] : world.documents()) {
      const auto l = bson::Document(document).find("l");
      filled += l ? 1 : 0;
      EXPECT_EQ(l ? bson::to_json(*l) : "[]", list_by_history(world.log(), id));
    }
  });
  EXPECT_GT(filled, 0u);
}

}  // namespace
}  // namespace outrigger::merge
