#include "replication/outbox/rocks/row_origins.h"

#include <gtest/gtest.h>

#include "replication/merge/row.h"
#include "replication/outbox/rocks/rocks_outbox_testing.h"

namespace outrigger::outbox {
namespace {

class RowOriginsTest : public testing::Test, protected OutboxFixture {
 protected:
  void SetUp() override { open(); }
  // Born in that epoch of ours, as all documents of it in these tests.
  static std::string row(uint64_t epoch) { return merge::birth_row(Dot{9, {{1}, epoch}}, false); }
  void put(uint64_t epoch) {
    ASSERT_TRUE(outbox_->write(
        std::move(Batch().put_row("t.a", "id" + std::to_string(epoch), row(epoch)))));
  }
  void holds(uint64_t epoch) {
    const auto found = outbox_->row("t.a", "id" + std::to_string(epoch));
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(*found, row(epoch));
  }
};

TEST_F(RowOriginsTest, RowsComeBackWithTheirOriginsAlsoAfterACrash) {
  for (uint64_t epoch = 1; epoch <= 300; ++epoch) put(epoch);
  for (int round = 0; round < 2; ++round) {
    for (uint64_t epoch = 1; epoch <= 300; ++epoch) holds(epoch);
    crash();
    open();
  }
}

TEST_F(RowOriginsTest, NumbersGoOnAfterAnotherStart) {
  put(1);
  close_and_open();
  put(2);
  crash();
  open();
  holds(1);
  holds(2);
}

TEST_F(RowOriginsTest, AScanSeesWholeRows) {
  put(1);
  put(2);
  std::vector<std::string> seen;
  const auto next = outbox_->scan_rows(
      "", 10, [&](auto, auto, std::string_view bytes) { seen.emplace_back(bytes); });
  ASSERT_TRUE(next);
  EXPECT_EQ(seen, (std::vector<std::string>{row(1), row(2)}));
}

TEST_F(RowOriginsTest, ARowTakesAByteForAnOrigin) {
  const std::string kept = kept_row(row(1), [](std::string_view) { return 7; });
  EXPECT_EQ(kept.size(), row(1).size() - 23);
}

TEST_F(RowOriginsTest, WhatIsNoRowStaysAsItIs) {
  for (const std::string& bytes : {std::string(), std::string("row"), std::string("\x21"),
                                   row(1).substr(0, 20), std::string("\x20\0\x7f", 3)}) {
    const std::string kept = kept_row(bytes, [](std::string_view) -> uint32_t { throw 1; });
    EXPECT_EQ(kept, bytes);
    EXPECT_EQ(row_of_kept(bytes, [](uint64_t) { return std::nullopt; }), bytes);
  }
}

TEST_F(RowOriginsTest, AnUnknownNumberIsDamage) {
  const std::string kept = kept_row(row(1), [](std::string_view) { return 7; });
  EXPECT_EQ(row_of_kept(kept, [](uint64_t) { return std::nullopt; }), std::nullopt);
  for (size_t size = 2; size < kept.size(); ++size) {
    (void)row_of_kept(kept.substr(0, size), [](uint64_t) { return std::nullopt; });
  }
}

}  // namespace
}  // namespace outrigger::outbox
