#include "proxy/capture/doubt.h"

#include <gtest/gtest.h>

#include "proxy/capture/capture_testing.h"
#include "proxy/capture/reply.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;
using testing::by_id;
using testing::doc;
using testing::key_of;
using testing::op;
using testing::run_of;
using testing::send;
using testing::update_statement;
using Indices = std::vector<size_t>;

std::string failure(int32_t code) {
  return doc([&](Writer& w) { w.real("ok", 0).string("errmsg", "no").int32("code", code); });
}

std::string with_error(int32_t index, int32_t code, int32_t n) {
  return doc([&](Writer& w) {
    w.int32("n", n).open_array("writeErrors").open_document("0");
    w.int32("index", index).int32("code", code).close().close().int32("nModified", n);
    w.real("ok", 1);
  });
}

std::string counted(int32_t n) {
  return doc([&](Writer& w) { w.int32("n", n).int32("nModified", n).real("ok", 1); });
}

Indices doubtful(const Run& run, const std::string& reply, const Images& before = {},
                 const Images& after = {}) {
  const RunReply said = read_run_reply(run.command->kind, Document(reply));
  return doubtful_items(run, said, before, after);
}

struct Increments {
  std::unique_ptr<testing::Sent> sent;
  Run run;
};

Increments increments(int32_t documents, bool ordered = true) {
  std::vector<std::string> statements;
  for (int32_t i = 1; i <= documents; ++i) {
    statements.push_back(update_statement(by_id(i), op("$inc", "n", 1)));
  }
  Increments out{
      send(CommandKind::kUpdate, statements, [&](Writer& w) { w.boolean("ordered", ordered); }),
      {}};
  out.run = run_of(out.sent->command);
  return out;
}

TEST(Doubt, AnAnswerTooLargeForItselfIsNoWordOnTheWritesOfSeveral) {
  EXPECT_EQ(doubtful(increments(2).run, failure(10334)), (Indices{0, 1}));
  EXPECT_EQ(doubtful(increments(1).run, failure(10334)), Indices{});
}

TEST(Doubt, ARefusalIsCertainAnInterruptionIsNot) {
  const Increments three = increments(3);
  EXPECT_EQ(doubtful(three.run, failure(13)), Indices());
  EXPECT_EQ(doubtful(three.run, failure(371)), Indices());
  EXPECT_EQ(doubtful(three.run, failure(50)), (Indices{0, 1, 2}));
  EXPECT_EQ(doubtful(three.run, failure(11601)), (Indices{0, 1, 2}));
  EXPECT_EQ(doubtful(three.run, failure(54'321)), (Indices{0, 1, 2}));
  EXPECT_EQ(doubtful(three.run, doc([](Writer& w) { w.real("ok", 0); })), (Indices{0, 1, 2}));
}

TEST(Doubt, OfSeveralStatementsOnlyThatOfTheErrorIsInDoubt) {
  const Increments ordered = increments(3);
  EXPECT_EQ(doubtful(ordered.run, with_error(1, 121, 1)), Indices());
  EXPECT_EQ(doubtful(ordered.run, with_error(1, 54'321, 1)), Indices{1});
  const Increments unordered = increments(3, false);
  EXPECT_EQ(doubtful(unordered.run, with_error(1, 54'321, 2)), Indices{1});
}

TEST(Doubt, AMissingImageOfAMatchedDocumentIsDoubt) {
  Increments one = increments(1);
  one.run.items[0].needs_before = true;
  EXPECT_EQ(doubtful(one.run, counted(1)), Indices{0});
  EXPECT_EQ(doubtful(one.run, counted(0)), Indices());
  EXPECT_EQ(doubtful(one.run, counted(1), {{key_of(1), by_id(1)}}), Indices());
}

TEST(Doubt, WhatDidNotMatchHasNoImageAndNoDoubt) {
  Increments two = increments(2);
  for (RunItem& item : two.run.items) item.needs_before = true;
  const Images there = {{key_of(2), by_id(2)}};
  EXPECT_EQ(doubtful(two.run, counted(1), there, there), Indices());
  EXPECT_EQ(doubtful(two.run, counted(1), {}, there), Indices{1});
}

std::unique_ptr<testing::Sent> modify(bool projects) {
  return testing::find_and_modify([&](Writer& w) {
    w.document("query", Document(by_id(1))).document("update", Document(op("$inc", "n", 1)));
    if (projects) w.open_document("fields").int32("docs.$", 1).close();
  });
}

TEST(Doubt, AProjectionFailsBehindTheWrite) {
  const auto projecting = modify(true);
  const auto behind = run_of(projecting->command);
  EXPECT_EQ(doubtful(behind, failure(2)), Indices{0});
  EXPECT_EQ(doubtful(behind, failure(51'246)), Indices{0});
  EXPECT_EQ(doubtful(behind, failure(11'000)), Indices());
  const auto plain = modify(false);
  const auto run = run_of(plain->command);
  EXPECT_EQ(doubtful(run, failure(2)), Indices());
  EXPECT_EQ(doubtful(run, failure(51'246)), Indices{0});
}

TEST(Doubt, ADoubtfulUpsertIsNotTriedInAnotherForm) {
  const Increments one = increments(1);
  ReplyBuilder sure(one.sent->command);
  const std::string duplicate = with_error(0, 11'000, 0);
  sure.add(one.run, read_run_reply(CommandKind::kUpdate, Document(duplicate)));
  EXPECT_TRUE(sure.is_refused_surely());
  ReplyBuilder unsure(one.sent->command);
  const std::string interrupted = failure(50);
  unsure.add(one.run, read_run_reply(CommandKind::kUpdate, Document(interrupted)));
  EXPECT_FALSE(unsure.is_refused_surely());
  EXPECT_FALSE(ReplyBuilder(one.sent->command).is_refused_surely());
}

TEST(Doubt, TheGuardIsMetByAllStatementsOrByNone) {
  const auto met = [](const std::string& reply) {
    return met_another_collection(read_run_reply(CommandKind::kUpdate, Document(reply)));
  };
  EXPECT_TRUE(met(with_error(0, 361, 0)));
  EXPECT_FALSE(met(with_error(0, 361, 1)));
  EXPECT_FALSE(met(with_error(0, 11'000, 0)));
  EXPECT_FALSE(met(counted(0)));
}

}  // namespace
}  // namespace outrigger
