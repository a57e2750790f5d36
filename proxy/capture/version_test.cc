// Writes to the field by which an app counts versions of its documents.
#include <gtest/gtest.h>

#include "proxy/capture/capture_testing.h"
#include "proxy/capture/run_plan.h"

namespace outrigger::testing {
namespace {

using bson::Document;
using bson::Writer;

std::string replied(int32_t n) {
  return doc([&](Writer& w) { w.int32("n", n).int32("nModified", n).real("ok", 1.0); });
}

std::string with_state(int32_t state) {
  return doc([&](Writer& w) { w.int32("_id", 1).int32("state", state); });
}

ReplicateRule counting_states() {
  ReplicateRule rule;
  rule.version_field = {"state"};
  return rule;
}

std::vector<DocumentChange> told_of(const outrigger::Run& run, int32_t before,
                                    const std::string& reply) {
  const Images was = {{key_of(1), with_state(before)}};
  const Images after = {{key_of(1), with_state(8)}};
  return changes_of_run(run, read_run_reply(CommandKind::kUpdate, Document(reply)), was, after,
                        true);
}

TEST(Versions, AreTheDocumentAfterwardsAndPreparedAsSuch) {
  const auto sent =
      send(CommandKind::kUpdate, {update_statement(by_id(1), op("$inc", "state", 1))});
  const ReplicateRule rule = counting_states();
  outrigger::Run run = run_of(sent->command);
  run.rules = MergeRules(rule);
  follow_rules(*run.items[0].shape, run.rules);
  const auto told = told_of(run, 7, replied(1));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].kind, DocumentChange::Kind::kReplace);
  EXPECT_EQ(told[0].document, with_state(8));
  EXPECT_TRUE(told[0].is_version);
  EXPECT_TRUE(build_prepare(run, {}).documents[0].told_whole);
}

TEST(Versions, OfARunWithoutAGuardAreToldTogetherAndThoseWithOneEachAlone) {
  const ReplicateRule rule = counting_states();
  const std::string any = doc([](Writer&) {});
  for (const bool is_guarded : {true, false}) {
    const auto sent =
        send(CommandKind::kUpdate,
             {update_statement(is_guarded ? with_state(7) : any, op("$inc", "state", 1))});
    WriteRequest request{sent->command, sent->parsed, sent->message, true, std::nullopt, {}};
    request.rules = MergeRules(rule);
    const auto& statement = sent->command.statements.front();
    const auto run =
        gather_found(request, statement, {bson::make_int32(1), bson::make_int32(2)}, 0);
    EXPECT_EQ(run.items.size(), is_guarded ? 1u : 2u);
  }
}

TEST(Versions, AnUpsertThatLeavesTheFieldAloneIsPreparedToBeToldByPath) {
  const auto sent =
      send(CommandKind::kUpdate, {update_statement(by_id(1), op("$inc", "seen", 1), true)});
  const ReplicateRule rule = counting_states();
  outrigger::Run run = run_of(sent->command);
  run.rules = MergeRules(rule);
  const PreparedDocument prepared = build_prepare(run, {}).documents[0];
  EXPECT_FALSE(prepared.told_whole);
  EXPECT_EQ(prepared.version_field, Path{"state"});
}

TEST(Versions, AChosenDocumentIsOneWhateverItChanges) {
  ReplicateRule rule = counting_states();
  rule.replaces = ReplacePolicy::kDiff;
  MergeRules rules(rule);
  rules.give_versions_whole();
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), with_state(8))});
  outrigger::Run run = run_of(sent->command);
  run.rules = rules;
  follow_rules(*run.items[0].shape, run.rules);
  const auto told = told_of(run, 8, replied(1));
  EXPECT_EQ(told.at(0).kind, DocumentChange::Kind::kReplace);
  EXPECT_TRUE(told.at(0).is_version);
}

TEST(Versions, APipelineThatChangesTheFieldGivesOneAndAnUpsertIsBornWhole) {
  const std::string pipeline = doc([](Writer& w) {
    w.document("q", Document(by_id(1))).open_array("u").open_document("0");
    w.open_document("$set").int32("state", 8).close().close().close().boolean("upsert", true);
  });
  const auto sent = send(CommandKind::kUpdate, {pipeline});
  const ReplicateRule rule = counting_states();
  outrigger::Run run = run_of(sent->command);
  run.rules = MergeRules(rule);
  EXPECT_EQ(told_of(run, 7, replied(1)).at(0).kind, DocumentChange::Kind::kReplace);
  EXPECT_TRUE(told_of(run, 8, replied(1)).empty());
  const std::string upserted = doc([](Writer& w) {
    w.int32("n", 1).int32("nModified", 0).open_array("upserted").open_document("0");
    w.int32("index", 0).int32("_id", 1).close().close().real("ok", 1.0);
  });
  EXPECT_EQ(told_of(run, 7, upserted).at(0).kind, DocumentChange::Kind::kInsert);
}

}  // namespace
}  // namespace outrigger::testing
