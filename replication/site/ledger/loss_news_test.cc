// What people decide about a value that lost is decided at every site, and a document that a delete
// took is known whole where it was deleted.
#include "replication/site/ledger/loss_news.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/outbox/memory/memory_outbox.h"
#include "replication/site/state/meta_keys.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::SizeIs;

class LossNewsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    oslo_.insert(1, {{"room", number(5)}});
    all_exchange();
  }
  void all_exchange() {
    for (int i = 0; i < 2; ++i) {
      exchange(oslo_, paris_);
      exchange(paris_, rome_);
      exchange(oslo_, rome_);
    }
  }
  void sets(TestSite& site, int value) {
    for (TestSite* each : all_) each->clock.advance_ms(5);
    site.set(1, "v", value);
  }
  // The entry of a value that lost; whatever it lost to.
  static LedgerEntry entry_of(const TestSite& site, int value) {
    std::vector<LedgerEntry> found;
    for (const LedgerEntry& each : site.ledger()) {
      if (each.value == bson::make_int32(value)) found.push_back(each);
    }
    EXPECT_THAT(found, SizeIs(1)) << value;
    return found.empty() ? LedgerEntry() : found.front();
  }
  static void decide(TestSite& site, const LedgerEntry& entry, LedgerMark mark,
                     const std::optional<Replaced>& replaced = {}) {
    for (int i = 0; i < 3; ++i) site.clock.advance_ms(5);
    ASSERT_TRUE(site.replica->mark_conflict(ledger_key(entry), mark, replaced).has_value());
    site.flush();
  }
  static std::string state_of(const TestSite& site, int value) {
    return state_text(entry_of(site, value));
  }
  static std::vector<LedgerEntry> whole_ones(const TestSite& site) {
    std::vector<LedgerEntry> found;
    for (LedgerEntry& each : site.ledger()) {
      if (each.kind == "delete_update" && each.path.empty()) found.push_back(std::move(each));
    }
    return found;
  }
  // oslo deletes what paris updates.
  void delete_beside_update() {
    oslo_.remove(1);
    sets(paris_, 7);
    exchange(oslo_, paris_);
  }

  const std::vector<std::string> names_{"oslo", "paris", "rome"};
  TestSite oslo_{"oslo", names_, memory_outbox()};
  TestSite paris_{"paris", names_, memory_outbox()};
  TestSite rome_{"rome", names_, memory_outbox()};
  const std::vector<TestSite*> all_{&oslo_, &paris_, &rome_};
};

TEST_F(LossNewsTest, WhatIsDecidedAtOneSiteIsDecidedAtAll) {
  sets(oslo_, 1);
  sets(paris_, 2);
  all_exchange();
  const Replaced before{bson::make_int32(2)};
  decide(oslo_, entry_of(oslo_, 1), LedgerMark::kResolved, before);
  EXPECT_EQ(state_of(paris_, 1), "auto");
  all_exchange();
  for (const TestSite* site : all_) {
    EXPECT_EQ(state_of(*site, 1), "resolved");
    EXPECT_EQ(entry_of(*site, 1).replaced, before);
    EXPECT_EQ(entry_of(*site, 1), entry_of(oslo_, 1));
  }
  decide(rome_, entry_of(rome_, 1), LedgerMark::kReverted);
  all_exchange();
  for (TestSite* site : all_) {
    site->restart();
    EXPECT_EQ(state_of(*site, 1), "reverted");
  }
}

TEST_F(LossNewsTest, OfTwoDecisionsTheLaterStandsEverywhere) {
  sets(oslo_, 1);
  sets(paris_, 2);
  all_exchange();
  decide(oslo_, entry_of(oslo_, 1), LedgerMark::kResolved);
  for (TestSite* site : all_) site->clock.advance_ms(100);
  decide(paris_, entry_of(paris_, 1), LedgerMark::kReverted);
  exchange(paris_, rome_);
  exchange(oslo_, rome_);
  EXPECT_EQ(state_of(rome_, 1), "reverted");
  all_exchange();
  for (const TestSite* site : all_) EXPECT_EQ(state_of(*site, 1), "reverted");
}

TEST_F(LossNewsTest, WhoHearsOfTheWritesAndOfTheDecisionAtOnceHasItDecided) {
  sets(oslo_, 1);
  sets(paris_, 2);
  exchange(oslo_, paris_);
  decide(paris_, entry_of(paris_, 1), LedgerMark::kResolved);
  exchange(paris_, rome_);
  EXPECT_EQ(state_of(rome_, 1), "resolved");
}

TEST_F(LossNewsTest, ItIsDecidedWhateverTheValueLostTo) {
  sets(oslo_, 1);
  sets(paris_, 2);
  sets(rome_, 3);
  exchange(oslo_, paris_);  // there 1 loses to 2
  exchange(paris_, rome_);  // and here to what stands, 3
  exchange(oslo_, rome_);
  const LedgerEntry at_oslo = entry_of(oslo_, 1);
  ASSERT_NE(ledger_key(at_oslo), ledger_key(entry_of(rome_, 1)));
  decide(oslo_, at_oslo, LedgerMark::kResolved);
  all_exchange();
  for (const TestSite* site : all_) EXPECT_EQ(state_of(*site, 1), "resolved");
  EXPECT_EQ(state_of(oslo_, 2), "auto");
}

TEST_F(LossNewsTest, AnotherValueThatLostThereIsNotDecided) {
  sets(oslo_, 1);
  oslo_.set(1, "w", 10);
  sets(paris_, 2);
  paris_.set(1, "w", 20);
  all_exchange();
  decide(oslo_, entry_of(oslo_, 1), LedgerMark::kResolved);
  all_exchange();
  for (const TestSite* site : all_) EXPECT_EQ(state_of(*site, 10), "auto");
}

TEST_F(LossNewsTest, ADocumentThatADeleteTookIsKnownWholeWhereItWasDeleted) {
  delete_beside_update();
  EXPECT_THAT(whole_ones(oslo_), SizeIs(0));
  ASSERT_THAT(whole_ones(paris_), SizeIs(1));
  paris_.collect();
  paris_.flush();
  all_exchange();
  for (const TestSite* site : all_) EXPECT_EQ(whole_ones(*site), whole_ones(paris_));
  // What is decided about a part is decided about that alone.
  decide(oslo_, entry_of(oslo_, 7), LedgerMark::kReverted);
  all_exchange();
  for (const TestSite* site : all_) EXPECT_STREQ(state_text(whole_ones(*site).front()), "auto");
  decide(rome_, whole_ones(rome_).front(), LedgerMark::kResolved);
  all_exchange();
  for (const TestSite* site : all_) {
    for (const LedgerEntry& each : site->ledger()) EXPECT_STREQ(state_text(each), "resolved");
  }
}

TEST_F(LossNewsTest, WhatIsDecidedBeforeItIsToldIsToldWithIt) {
  delete_beside_update();
  decide(paris_, whole_ones(paris_).front(), LedgerMark::kResolved);
  exchange(oslo_, paris_);
  paris_.collect();
  paris_.flush();
  all_exchange();
  for (const TestSite* site : all_) {
    ASSERT_THAT(whole_ones(*site), SizeIs(1));
    EXPECT_STREQ(state_text(whole_ones(*site).front()), "resolved");
  }
}

TEST_F(LossNewsTest, AnUndoingPutsBackWhatTheChoiceReplacedWhateverHadWonThere) {
  sets(oslo_, 1);
  sets(paris_, 2);
  all_exchange();
  decide(oslo_, entry_of(oslo_, 1), LedgerMark::kResolved);
  all_exchange();
  for (const TestSite* site : all_) {
    EXPECT_EQ(entry_of(*site, 1).replaced, Replaced{bson::make_int32(2)});
  }
}

TEST_F(LossNewsTest, ItIsToldOnceAlsoByWhoWasKilledBefore) {
  delete_beside_update();
  paris_.restart();
  for (int i = 0; i < 3; ++i) {
    paris_.collect();
    paris_.flush();
    all_exchange();
    EXPECT_THAT(whole_ones(oslo_), SizeIs(1));
    paris_.restart();
  }
  EXPECT_THAT(*paris_.outbox->scan_meta(meta_keys::kOwedLoss), SizeIs(0));
  EXPECT_THAT(whole_ones(paris_), SizeIs(1));
  EXPECT_FALSE(paris_.replica->parts().news.owes());
}

TEST(LedgerNews, IsReadBackAndDamageIsAnError) {
  LedgerEntry lost;
  lost.ns = "shop.carts";
  lost.id = bson::make_int32(1);
  lost.kind = loss_kind_text(merge::LossKind::kDeleteUpdate);
  lost.shape = Shape::kDocument;
  lost.value = bson::make_document(bson::Writer().int32("_id", 1).finish());
  lost.loser.hlc = 5;
  LedgerEntry element = lost;
  element.kind = loss_kind_text(merge::LossKind::kSetSet);
  element.path = {"items"};
  element.is_element = true;
  element.mark = LedgerMark::kReverted;
  element.replaced = Replaced{bson::make_string("x")};
  const LedgerNews news{decision_about(element), {lost, lost}};
  const std::string bytes = encode_news(news);
  const auto again = decode_news(bytes);
  ASSERT_TRUE(again.has_value()) << again.error().message();
  EXPECT_EQ(*again, news);
  for (size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(decode_news(std::string_view(bytes).substr(0, n)).has_value()) << n;
    std::string damaged = bytes;
    damaged[n] = static_cast<char>(damaged[n] ^ 0x81);
    static_cast<void>(decode_news(damaged));  // an answer or an error, whatever it is
  }
  lost.kind = kUnique;
  EXPECT_FALSE(decode_news(encode_news({{}, {lost}})).has_value()) << "none that a site may tell";
}

}  // namespace
}  // namespace outrigger
