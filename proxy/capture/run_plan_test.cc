// How statements become runs, before and after their filter was asked.
#include "proxy/capture/run_plan.h"

#include <gtest/gtest.h>

#include <set>

#include "proxy/capture/capture_testing.h"

namespace outrigger::testing {
namespace {

using bson::Document;
using bson::Writer;

constexpr int64_t kWallMs = 1'700'000'000'000;

SystemRandom system_random;
FreshIds fresh_ids(system_random);
const Birth kBirth{kWallMs, fresh_ids};

const IsRemembered kNothingRemembered = [](const Statement&) { return false; };

std::string by_name(std::string_view name) {
  return doc([&](Writer& w) { w.string("name", name); });
}

// A command under way, on a collection without a collation of its own.
struct Asked {
  explicit Asked(
      CommandKind kind, const std::vector<std::string>& statements,
      const Fill& extra = [](Writer&) {})
      : sent(send(kind, statements, extra)) {}
  [[nodiscard]] outrigger::Run gather(size_t first = 0) const {
    return gather_run(request, first, kBirth, kNothingRemembered);
  }
  [[nodiscard]] const Statement& statement() const { return sent->command.statements.front(); }

  std::unique_ptr<Sent> sent;
  WriteRequest request{sent->command, sent->parsed, sent->message, true, std::nullopt, {}};
};

std::string filter_of(const outrigger::Run& run) {
  return bson::to_json(Document(run.items.front().filter));
}

TEST(RunPlan, StatementsThatNameTheirDocumentsGoTogetherAsTheyCame) {
  const Asked asked(CommandKind::kInsert, {by_id(1), by_id(2)},
                    [](Writer& w) { w.open_document("writeConcern").boolean("j", true).close(); });
  const outrigger::Run run = asked.gather();
  EXPECT_EQ(run.items.size(), 2u);
  EXPECT_TRUE(run.verbatim);
}

TEST(RunPlan, WhereTheJournalIsWaitedForUnaskedACommandIsBuiltAnew) {
  const Asked asked(CommandKind::kInsert, {by_id(1)});
  outrigger::Run run = asked.gather();
  EXPECT_TRUE(goes_as_it_came(run));
  run.concern = RunConcern::kJournaled;
  EXPECT_FALSE(goes_as_it_came(run));
}

TEST(RunPlan, NoDocumentIsInARunTwice) {
  const Asked asked(CommandKind::kUpdate, {update_statement(by_id(1), op("$set", "a", 1)),
                                           update_statement(by_id(2), op("$set", "a", 1)),
                                           update_statement(by_id(1), op("$set", "a", 2))});
  EXPECT_EQ(asked.gather().items.size(), 2u);
  EXPECT_EQ(asked.gather(2).items.size(), 1u);
}

TEST(RunPlan, WhatMayInsertGoesWithItsLike) {
  const auto upsert = [](int32_t id) {
    return update_statement(by_id(id), op("$set", "a", 1), true);
  };
  const Asked asked(CommandKind::kUpdate, {upsert(1), upsert(2), upsert(1), upsert(3),
                                           update_statement(by_id(4), op("$set", "a", 1)),
                                           update_statement(by_id(5), op("$set", "a", 1))});
  EXPECT_EQ(asked.gather().items.size(), 2u);
  EXPECT_EQ(asked.gather(2).items.size(), 2u);
  EXPECT_EQ(asked.gather(4).items.size(), 2u);
}

TEST(RunPlan, ARunEndsBeforeWhatIsRemembered) {
  const Asked asked(CommandKind::kInsert, {by_id(1), by_id(2), by_id(3)});
  const IsRemembered third = [](const Statement& statement) { return statement.index == 2; };
  EXPECT_EQ(gather_run(asked.request, 0, kBirth, third).items.size(), 2u);
}

TEST(RunPlan, AFilterThatNamesNoDocumentMustBeAsked) {
  const Asked asked(CommandKind::kUpdate, {update_statement(by_name("a"), op("$set", "a", 1))});
  EXPECT_TRUE(asked.gather().items.empty());
}

TEST(RunPlan, AStringNamesItsDocumentOnlyWhereStringsAreComparedByTheirBytes) {
  const std::string q = doc([](Writer& w) { w.string("_id", "a"); });
  Asked asked(CommandKind::kUpdate, {update_statement(q, op("$set", "a", 1))});
  EXPECT_EQ(asked.gather().items.size(), 1u);
  asked.request.collection.simple_collation = false;
  EXPECT_TRUE(asked.gather().items.empty());
}

TEST(RunPlan, ADocumentWithoutAnIdGetsOneHere) {
  const std::string without = doc([](Writer& w) { w.int32("a", 1); });
  const Asked asked(CommandKind::kInsert, {without});
  const outrigger::Run run = asked.gather();
  EXPECT_EQ(run.items.front().id.view().type, bson::Type::kObjectId);
  EXPECT_EQ(Document(run.items.front().document).first()->name, "_id");
}

TEST(RunPlan, AFoundDocumentIsNamedAndItsFilterSaidAgain) {
  const Asked asked(CommandKind::kUpdate, {update_statement(by_name("a"), op("$set", "a", 1))});
  const outrigger::Run run = narrowed_run(asked.request, asked.statement(), bson::make_int32(7));
  EXPECT_EQ(filter_of(run), R"({"_id": {"$eq": 7}, "name": "a"})");
  EXPECT_TRUE(run.items.front().narrows_further);
}

TEST(RunPlan, FoundDocumentsGoTogetherUnlessTheirImagesAreNeeded) {
  const std::vector<bson::OwnedValue> ids = {bson::make_int32(1), bson::make_int32(2)};
  const Asked set(CommandKind::kUpdate, {update_statement(by_name("a"), op("$set", "a", 1))});
  EXPECT_EQ(gather_found(set.request, set.statement(), ids, 0).items.size(), 2u);
  const std::string pipeline = doc([](Writer& w) {
    w.document("q", Document(by_name("a"))).open_array("u").open_document("0");
    w.open_document("$set").int32("a", 1).close().close().close();
  });
  const Asked diff(CommandKind::kUpdate, {pipeline});
  EXPECT_EQ(gather_found(diff.request, diff.statement(), ids, 0).items.size(), 1u);
}

TEST(RunPlan, AnUpsertInsertsUnderAnIdThatIsNew) {
  const Asked asked(CommandKind::kUpdate,
                    {update_statement(by_name("a"), op("$set", "a", 1), true)});
  const outrigger::Run run = inserting_run(asked.request, asked.statement(), kBirth);
  const RunItem& item = run.items.front();
  EXPECT_EQ(item.id.view().type, bson::Type::kObjectId);
  EXPECT_EQ(item.there, std::optional<bool>(false));
  EXPECT_TRUE(Document(item.filter).has("_id"));
  EXPECT_TRUE(may_make_collection(run));
  EXPECT_TRUE(upsert_as_it_is(asked.request, asked.statement(), kBirth).items[0].filter.empty());
}

TEST(RunPlan, AnUpsertInsertsTheIdItsFilterOrUpdateNames) {
  const Asked by_filter(CommandKind::kUpdate,
                        {update_statement(by_id(5), op("$set", "a", 1), true)});
  const outrigger::Run filter = inserting_run(by_filter.request, by_filter.statement(), kBirth);
  EXPECT_EQ(filter.items.front().id, bson::make_int32(5));
  EXPECT_TRUE(filter.items.front().filter.empty());
  const Asked by_update(CommandKind::kUpdate, {update_statement(by_name("a"), by_id(6), true)});
  const outrigger::Run update = inserting_run(by_update.request, by_update.statement(), kBirth);
  EXPECT_EQ(update.items.front().id, bson::make_int32(6));
}

TEST(RunPlan, AProbeCanMatchNothingAndStaysTheAppsStatement) {
  const Asked asked(CommandKind::kUpdate,
                    {update_statement(by_name("a"), op("$set", "a", 1), true)});
  const outrigger::Run run = probing_run(asked.request, asked.statement(), kBirth);
  EXPECT_TRUE(run.probe);
  EXPECT_EQ(run.items.front().id.view().type, bson::Type::kObjectId);
  EXPECT_FALSE(run.items.front().upsert);
}

TEST(RunPlan, IdsMadeHereBeginWithTheTimeAndAreNeverAlike) {
  EXPECT_EQ(fresh_ids.next(0x65000000LL * 1000).substr(0, 4), std::string("\x65\0\0\0", 4));
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) seen.insert(kBirth.id());
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_EQ(seen.begin()->size(), 12u);
}

TEST(WriteRequests, MongodIsNeverGivenNoTimeWhichWouldBeAllOfIt) {
  Asked asked(CommandKind::kInsert, {by_id(1)});
  EXPECT_EQ(asked.request.time_left_ms(5), std::nullopt);
  EXPECT_FALSE(asked.request.is_out_of_time(5));
  asked.request.deadline_us = 10'000;
  EXPECT_EQ(asked.request.time_left_ms(4'000), 6);
  EXPECT_EQ(asked.request.time_left_ms(9'999), 1);
  EXPECT_EQ(asked.request.time_left_ms(20'000), 1);
  EXPECT_TRUE(asked.request.is_out_of_time(10'000));
}

TEST(RunPlan, WhatAReplacementMakesOfItsDocumentNeedsNoImageWhereItsIdIsKnown) {
  const auto plan = [](const Fill& id, const std::string& replacement, bool upsert = false) {
    const Asked asked(CommandKind::kUpdate, {update_statement(doc(id), replacement, upsert)});
    const outrigger::Run run = asked.gather();
    const RunItem& item = run.items.front();
    EXPECT_EQ(item.needs_after, item.becomes.empty());
    return item.becomes.empty() ? std::string() : bson::to_json(Document(item.becomes));
  };
  const Fill number = [](Writer& w) { w.int32("_id", 5); };
  const Fill name = [](Writer& w) { w.object_id("_id", std::string(12, 'i')); };
  const std::string plain = doc([](Writer& w) { w.int32("n", 1); });
  const std::string named = doc([](Writer& w) { w.int32("n", 1).int32("_id", 5); });
  const std::string timed = doc([](Writer& w) { w.int32("_id", 5).timestamp("t", 0, 0); });
  EXPECT_EQ(plan(number, plain), "");  // stored it may be 5.0
  EXPECT_EQ(plan(number, named), R"({"_id": 5, "n": 1})");
  EXPECT_EQ(plan(number, named, true), "");
  EXPECT_NE(plan(name, plain, true), "");
  EXPECT_EQ(plan(number, timed), "");
  EXPECT_NE(plan(name, plain), "");
}

}  // namespace
}  // namespace outrigger::testing
