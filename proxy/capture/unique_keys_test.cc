#include "proxy/capture/unique_keys.h"

#include "proxy/capture/capture_testing.h"
#include "proxy/capture/reads.h"
#include "proxy/capture/run_plan.h"

namespace outrigger {
namespace {

using testing::by_id;
using testing::doc;
using testing::key_of;
using testing::op;
using testing::run_of;
using testing::send;
using testing::update_statement;

const UniqueFields kFields{{"at", "home"}, {"items", "lot"}, {"items", "sku"}, {"mail"}};

using Items = std::vector<std::pair<int32_t, int32_t>>;  // sku, lot; negative: none

// {_id: 1, mail: mail, at: {home: home, x: x}, items: [...]}
std::string account(int32_t mail, const Items& items = {}, int32_t home = 1, int32_t x = 1) {
  return doc([&](bson::Writer& w) {
    w.int32("_id", 1).int32("mail", mail);
    w.open_document("at").int32("home", home).int32("x", x).close();
    w.open_array("items");
    size_t at = 0;
    for (const auto& [sku, lot] : items) {
      w.open_document(bson::index_name(at++));
      if (sku >= 0) w.int32("sku", sku);
      if (lot >= 0) w.int32("lot", lot);
      w.int32("qty", x).close();
    }
    w.close();
  });
}

// What the update says of itself, where the document was `before` and is `after`.
Keys keys(const std::string& update, const std::string& before, const std::string& after,
          const UniqueFields* fields = &kFields) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), update)});
  outrigger::Run run = run_of(sent->command);
  run.unique_fields = fields;
  Images was;
  if (!before.empty()) was.emplace(key_of(1), before);
  return keys_after(run, run.items.front(), was,
                    after.empty() ? std::nullopt : std::optional(bson::Document(after)));
}

TEST(UniqueKeys, AnUpdateElsewhereIsKnownByItsPaths) {
  EXPECT_EQ(keys(op("$set", "name", 1), "", ""), Keys::kPasses);
  EXPECT_EQ(keys(op("$inc", "at.x", 1), "", ""), Keys::kKeeps) << "there is an `at` then";
  EXPECT_EQ(keys(op("$push", "mails", 1), "", ""), Keys::kPasses);
  EXPECT_EQ(keys(op("$set", "mail", 1), "", ""), Keys::kClaims) << "nobody looked";
}

TEST(UniqueKeys, WithoutSuchIndexesThereIsNothingToSay) {
  const UniqueFields none;
  EXPECT_EQ(keys(op("$set", "mail", 1), "", "", &none), Keys::kNone);
  EXPECT_EQ(keys(op("$set", "name", 1), "", "", nullptr), Keys::kClaims) << "nobody knows";
}

TEST(UniqueKeys, ALiteralOneKeepsWhatItGivesAgain) {
  EXPECT_EQ(keys(op("$set", "mail", 5), account(5), ""), Keys::kKeeps);
  EXPECT_EQ(keys(op("$set", "mail", 6), account(5), ""), Keys::kClaims);
  EXPECT_EQ(keys(op("$set", "mail.x", 6), account(5), ""), Keys::kClaims);
  EXPECT_EQ(keys(op("$unset", "mail", 1), account(5), ""), Keys::kClaims);
  EXPECT_EQ(keys(op("$unset", "mail", 1), by_id(1), ""), Keys::kKeeps);
  EXPECT_EQ(keys(op("$unset", "at", 1), by_id(1), ""), Keys::kKeeps);
  EXPECT_EQ(keys(op("$inc", "mail", 1), account(5), ""), Keys::kClaims);
  EXPECT_EQ(keys(op("$set", "at", 6), account(5), ""), Keys::kClaims);
  const auto moved = [](int32_t home) {
    return doc([&](bson::Writer& w) {
      w.open_document("$set").open_document("at").int32("home", home).int32("y", 9).close().close();
    });
  };
  EXPECT_EQ(keys(moved(1), account(5), ""), Keys::kKeeps) << "what stands beside it is no key";
  EXPECT_EQ(keys(moved(2), account(5), ""), Keys::kClaims);
}

TEST(UniqueKeys, AReplacementKeepsEqualValues) {
  const std::string replaced = account(5, {{1, 2}}, 1, 7);
  EXPECT_EQ(keys(replaced, account(5, {{1, 2}}), replaced), Keys::kKeeps);
  EXPECT_EQ(keys(replaced, account(6, {{1, 2}}), replaced), Keys::kClaims);
  EXPECT_EQ(keys(replaced, account(5, {{1, 3}}), replaced), Keys::kClaims);
  EXPECT_EQ(keys(replaced, account(5, {{1, 2}}, 2), replaced), Keys::kClaims);
}

TEST(UniqueKeys, WhatIsEditedInAnElementKeepsThoseOfTheArray) {
  const auto edit = [](const Items& before, const Items& after) {
    return keys(op("$inc", "items.0.qty", 1), account(5, before), account(5, after, 1, 2));
  };
  EXPECT_EQ(edit({{1, 2}, {3, 4}}, {{1, 2}, {3, 4}}), Keys::kKeeps);
  EXPECT_EQ(edit({{1, 2}, {2, 1}}, {{1, 1}, {2, 2}}), Keys::kClaims) << "keys are pairs";
  EXPECT_EQ(edit({{1, 2}}, {{1, 2}, {1, 2}}), Keys::kClaims);
  EXPECT_EQ(edit({{-1, 2}}, {{-1, 2}}), Keys::kKeeps);
  EXPECT_EQ(edit({{1, 2}}, {{1, -1}}), Keys::kClaims);
}

TEST(UniqueKeys, WhatStandsAtAPositionCanBeAKey) {
  const auto pair = [](int32_t a, int32_t b) {
    return doc([&](bson::Writer& w) { w.open_array("p").int32("0", a).int32("1", b).close(); });
  };
  const std::string one = pair(1, 2);
  const std::string two = pair(2, 1);
  EXPECT_FALSE(same_keys(bson::Document(one), bson::Document(two), {{"p", "0"}}));
  EXPECT_TRUE(same_keys(bson::Document(one), bson::Document(one), {{"p", "0"}}));
}

// What is asked for before the run.
std::string asked(const std::string& update) {
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), update)});
  WriteRequest request{sent->command, sent->parsed, sent->message, true, std::nullopt, {}};
  request.collection.unique_fields = kFields;
  SystemRandom random;
  FreshIds ids(random);
  const outrigger::Run run =
      gather_run(request, 0, Birth{0, ids}, [](const Statement&) { return false; });
  EXPECT_EQ(run.items.size(), 1u);
  EXPECT_FALSE(run.items.front().needs_before) << "it can do without";
  const auto needing = items_needing(run, Taken::kBefore);
  if (needing.empty()) return "nothing";
  const std::string find = build_images_find(sent->command, needing, Taken::kBefore);
  const auto projection = bson::Document(find).find("projection");
  return projection ? bson::to_json(*projection) : "all";
}

TEST(UniqueKeys, TheDocumentIsAskedForOnlyWhereItTells) {
  EXPECT_EQ(asked(op("$set", "name", 1)), "nothing");
  EXPECT_EQ(asked(op("$inc", "at.x", 1)), "nothing");
  EXPECT_NE(asked(op("$set", "mail", 1)).find("mail"), std::string::npos);
  EXPECT_EQ(asked(op("$set", "mail", 1)).find("items"), std::string::npos);
  EXPECT_NE(asked(account(1)).find("items"), std::string::npos);
  EXPECT_EQ(asked(op("$min", "mail", 1)), "all");
}

TEST(UniqueKeys, TheOutcomeOfARunSaysIt) {
  const std::string replaced = account(5, {}, 1, 7);
  const auto sent = send(CommandKind::kUpdate, {update_statement(by_id(1), replaced)});
  const std::string reply =
      doc([](bson::Writer& w) { w.int32("n", 1).int32("nModified", 1).real("ok", 1); });
  const auto keys_for = [&](const Images& before) {
    outrigger::Run run = run_of(sent->command);
    run.unique_fields = &kFields;
    run.items.front().becomes = replaced;
    const RunReply said = read_run_reply(CommandKind::kUpdate, bson::Document(reply));
    const auto changes = changes_of_run(run, said, before, {}, true);
    EXPECT_EQ(changes.size(), 1u);
    return changes.front().keys;
  };
  EXPECT_EQ(keys_for({{key_of(1), account(5)}}), Keys::kKeeps);
  EXPECT_EQ(keys_for({{key_of(1), account(6)}}), Keys::kClaims);
  EXPECT_EQ(keys_for({}), Keys::kClaims);
}

}  // namespace
}  // namespace outrigger
