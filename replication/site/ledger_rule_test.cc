// Each entry of the ledger says which word of the settings decided, as it was when it was written.
#include <gtest/gtest.h>

#include "config/policy.h"
#include "replication/outbox/memory/memory_outbox.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

class LedgerRuleTest : public ::testing::Test {
 protected:
  LedgerRuleTest() { settings_.replicate.emplace_back().namespace_glob = "*"; }
  void field(const std::string& name, PathType type) {
    settings_.replicate.back().fields.push_back({{name}, type});
  }
  void start() {
    policy_.emplace(settings_);
    for (TestSite* site : {&oslo_, &paris_}) {
      site->kill();
      site->replica_options.policy = &*policy_;
      site->open();
      ASSERT_TRUE(site->recover().has_value());
      site->clock.advance_ms(3'600'000);  // beyond the stamps of the run before
    }
    paris_.insert(1, {});
    exchange(oslo_, paris_);
  }
  void write_apart(const std::string& field, int32_t at_oslo, int32_t at_paris) {
    oslo_.set(1, field, at_oslo);
    advance();
    paris_.set(1, field, at_paris);
    exchange(oslo_, paris_);
  }
  void advance() {
    for (TestSite* site : {&oslo_, &paris_}) site->clock.advance_ms(5);
  }
  // With the document as it was: what a removal that may lose needs.
  void remove(TestSite& site) {
    DocumentChange change = TestSite::removing(1);
    change.removal = settings_.replicate.back().deletes == DeletePolicy::kUpdateWins
                         ? Removal::kUpdateWins
                         : Removal::kPlain;
    change.document = bson::Writer().int32("_id", 1).finish();
    auto pending = site.begin(std::move(change));
    site.store(*pending);
    site.settle(std::move(pending));
    site.flush();
  }
  // That of the newest entry, which is the same at both sites.
  std::string rule() const {
    const std::string rule = oslo_.ledger().at(0).rule;
    EXPECT_EQ(paris_.ledger().at(0).rule, rule);
    return rule;
  }

  Settings settings_;
  std::optional<Policy> policy_;
  const std::vector<std::string> names_{"oslo", "paris"};
  TestSite oslo_{"oslo", names_, memory_outbox()};
  TestSite paris_{"paris", names_, memory_outbox()};
};

TEST_F(LedgerRuleTest, IsThatOfThePathOrNone) {
  field("l", PathType::kLww);
  field("a", PathType::kAtomic);
  field("c", PathType::kCounter);
  start();
  for (const auto& [name, word] :
       {std::pair("l", "lww"), {"a", "atomic"}, {"c", "counter"}, {"other", "by operation"}}) {
    write_apart(name, 1, 2);
    EXPECT_EQ(rule(), word);
  }
}

TEST_F(LedgerRuleTest, IsWhatAWriteBroughtAlongWhereValuesStandSideBySide) {
  field("m", PathType::kMax);
  settings_.replicate.back().fields.push_back({{"p"}, PathType::kPrefer, {"open", "paid"}});
  start();
  write_apart("m", 9, 2);
  EXPECT_EQ(rule(), "max");
  write_apart("p", 1, 2);
  EXPECT_EQ(rule(), "prefer") << "the word alone, so that it is found";
}

TEST_F(LedgerRuleTest, OfWholeDocumentsNamesTheSettingAndWhatItIs) {
  start();
  remove(oslo_);
  advance();
  paris_.set(1, "v", 1);
  exchange(oslo_, paris_);
  EXPECT_EQ(rule(), "deletes: delete_wins");
  oslo_.insert(2, {{"v", number(1)}});
  advance();
  paris_.insert(2, {{"v", number(2)}});
  exchange(oslo_, paris_);
  EXPECT_EQ(rule(), "inserts: later");
}

TEST_F(LedgerRuleTest, OfADeleteThatLostIsUpdateWins) {
  settings_.replicate.back().deletes = DeletePolicy::kUpdateWins;
  start();
  remove(oslo_);
  advance();
  paris_.set(1, "v", 1);
  exchange(oslo_, paris_);
  EXPECT_EQ(rule(), "deletes: update_wins");
}

TEST_F(LedgerRuleTest, StaysAsItWasWhenTheRulesChange) {
  field("v", PathType::kLww);
  start();
  write_apart("v", 1, 2);
  settings_.replicate.back().fields.front().type = PathType::kAtomic;
  policy_->change_to(settings_);
  EXPECT_EQ(rule(), "lww");
  paris_.restart();
  EXPECT_EQ(rule(), "lww");
  write_apart("v", 3, 4);
  EXPECT_EQ(rule(), "atomic");
  const ConflictCounts counted = oslo_.status().conflicts;
  EXPECT_EQ(counted.at({"set_set", kTestNs, "lww"}), 1u);
  EXPECT_EQ(counted.at({"set_set", kTestNs, "atomic"}), 1u);
}

TEST_F(LedgerRuleTest, ASiteThatIsNoMemberIsNamedByItsId) {
  start();
  write_apart("v", 1, 2);
  const auto name_of = oslo_.replica->site_names();
  const LedgerEntry entry = oslo_.ledger().at(0);
  EXPECT_EQ(name_of(entry.loser.origin.site), "oslo");
  EXPECT_EQ(name_of(entry.winner.origin.site), "paris");
  SiteId left{};
  left.fill(0xab);
  EXPECT_EQ(name_of(left), "abababababababababababababababab");
}

TEST(LedgerEntries, OfBeforeRulesWereKeptAreRead) {
  LedgerEntry entry;
  entry.ns = "t.a";
  entry.id = number(1);
  entry.kind = "set_set";
  entry.value = number(7);
  const auto read = decode_ledger(encode_ledger(entry));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->rule, "");
  entry.rule = "max";
  EXPECT_EQ(decode_ledger(encode_ledger(entry))->rule, "max");
}

}  // namespace
}  // namespace outrigger
