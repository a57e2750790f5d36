// How much of the ledger is kept, what is dropped and what never, and its pages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/policy.h"
#include "replication/outbox/ledger.h"
#include "replication/outbox/memory/memory_outbox.h"
#include "replication/site/site_parts.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kBytesMax = 64 * 1024;

class LedgerBoundTest : public ::testing::Test {
 protected:
  LedgerBoundTest() {
    paris_.kill();
    paris_.replica_options.ledger_bytes_max = kBytesMax;
    paris_.replica_options.warn = [this](const std::string& line) { warnings_.push_back(line); };
    paris_.replica_options.alarm = [this](const std::string& line) { alarms_.push_back(line); };
    paris_.open();
    EXPECT_TRUE(paris_.recover().has_value());
    paris_.insert(1, {});
    exchange(oslo_, paris_);
  }
  // Two sites set one field without seeing each other; the value of the first is lost.
  void conflict(size_t bytes) {
    std::string value = std::to_string(conflicts_++);
    value.resize(bytes, 'x');
    oslo_.set(1, "a", value);
    paris_.clock.advance_ms(5);
    oslo_.clock.advance_ms(5);
    paris_.set(1, "a", "later" + std::to_string(conflicts_));
    exchange(oslo_, paris_);
  }
  // A document that the store of paris does not take.
  void set_aside(int id, size_t bytes) {
    paris_.mongod.reject(kTestNs, bson::make_int32(id));
    oslo_.insert(id, {{"v", bson::make_string(std::string(bytes, 'y'))}});
    exchange(oslo_, paris_);
  }
  std::vector<std::string> kinds(const std::string& kind) const {
    std::vector<std::string> found;
    for (const LedgerEntry& entry : paris_.ledger()) {
      if (entry.kind == kind) found.push_back(bson::to_json(entry.id.view()));
    }
    return found;
  }

  std::optional<Policy> policy_;
  const std::vector<std::string> names_{"oslo", "paris"};
  TestSite oslo_{"oslo", names_, memory_outbox()};
  TestSite paris_{"paris", names_, memory_outbox()};
  std::vector<std::string> warnings_;
  std::vector<std::string> alarms_;
  int conflicts_ = 0;
};

TEST_F(LedgerBoundTest, TheOldestGoAndAreCounted) {
  for (int i = 0; i < 60; ++i) conflict(2000);
  EXPECT_EQ(paris_.status().ledger_dropped, 0u);
  EXPECT_GT(paris_.status().ledger_bytes, kBytesMax);
  paris_.collect();
  const ReplicaStatus status = paris_.status();
  EXPECT_LE(status.ledger_bytes, kBytesMax);
  EXPECT_GT(status.ledger_bytes, kBytesMax / 2);
  EXPECT_EQ(status.ledger_entries + status.ledger_dropped, 60u);
  const auto kept = paris_.ledger();
  ASSERT_THAT(kept, SizeIs(status.ledger_entries));
  // The newest: while the stamps run ahead of the clock, ids decide which of the two is lost.
  EXPECT_THAT(bson::to_json(kept.front().value.view()),
              AnyOf(HasSubstr("59x"), HasSubstr("later60")));
  EXPECT_EQ(status.ledger_oldest_ms, kept.back().time_ms);
  ASSERT_THAT(warnings_, SizeIs(1));
  EXPECT_THAT(warnings_.front(), HasSubstr("ledger.max_bytes: its " +
                                           std::to_string(status.ledger_dropped) + " oldest"));
  paris_.restart();
  EXPECT_EQ(paris_.status().ledger_dropped, status.ledger_dropped);
  EXPECT_EQ(paris_.status().ledger_bytes, status.ledger_bytes);
}

TEST_F(LedgerBoundTest, WhatLosesInAnElementIsOpenWhereTheRuleOfItsArraySaysSo) {
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  rule.fields = {{{"items"}, PathType::kList}};
  rule.fields.front().escalate = {.always = true};
  policy_.emplace(settings);
  paris_.kill();
  paris_.replica_options.policy = &*policy_;
  paris_.open();
  ASSERT_TRUE(paris_.recover().has_value());
  const auto items = [](int32_t qty) {
    const std::string item = bson::Writer().int32("qty", qty).finish();
    const std::string array = bson::Writer().document("0", bson::Document(item)).finish();
    return bson::OwnedValue(bson::Type::kArray, array);
  };
  const auto edit = [&](TestSite& site, int32_t qty) {
    DocumentChange change = TestSite::setting(2, "items", items(qty));
    PathChange& part = change.changes.front();
    part.kind = Operation::kEdit;
    part.edit = ArrayEdit::kInPlace;
    part.base_known = true;
    part.base = items(1);
    part.parts = {{0, {"qty"}, std::nullopt}};
    auto pending = site.begin(std::move(change));
    site.store(*pending);
    site.settle(std::move(pending));
    site.flush();
  };
  paris_.insert(2, {{"items", items(1)}});
  exchange(oslo_, paris_);
  edit(oslo_, 7);
  paris_.clock.advance_ms(5);
  oslo_.clock.advance_ms(5);
  edit(paris_, 8);
  exchange(oslo_, paris_);
  const auto ledger = paris_.ledger();
  ASSERT_THAT(ledger, SizeIs(1));
  EXPECT_TRUE(is_into_element(ledger.front().path)) << path_text(ledger.front().path);
  EXPECT_TRUE(ledger.front().open);
}

TEST_F(LedgerBoundTest, NamespacesAreCountedUpToABound) {
  for (int i = 0; i < 150; ++i) {
    const std::string ns = "t.c" + std::to_string(i);
    ConflictCounts counts;
    counts[{"set_set", ns, "lww"}] = 2;
    paris_.replica->parts().ledger.count(counts);
  }
  const ConflictCounts counted = paris_.status().conflicts;
  EXPECT_THAT(counted, SizeIs(101));
  EXPECT_EQ(counted.at({"set_set", "t.c0", "lww"}), 2u);
  EXPECT_EQ(counted.at({"set_set", "(others)", "lww"}), 100u);
  EXPECT_EQ(paris_.counted("set_set"), 300u);
}

TEST_F(LedgerBoundTest, WhatIsOpenIsKeptHoweverOldItIs) {
  set_aside(7, 3000);
  for (int i = 0; i < 20; ++i) conflict(2000);
  set_aside(8, 3000);
  for (int i = 0; i < 200; ++i) {
    conflict(2000);
    if (i % 10 == 0) paris_.collect();
  }
  paris_.collect();
  EXPECT_THAT(kinds(kNotApplied), ElementsAre("8", "7"));
  EXPECT_GT(paris_.status().ledger_dropped, 150u);
  EXPECT_LE(paris_.status().ledger_bytes, kBytesMax);
  EXPECT_EQ(paris_.status().not_applied, 2u);
  EXPECT_THAT(paris_.status().alarms, IsEmpty());
}

TEST_F(LedgerBoundTest, OpenEntriesAloneMayBeMoreAndThatIsSaid) {
  for (int i = 10; i < 15; ++i) set_aside(i, 20'000);
  conflict(2000);
  paris_.collect();
  EXPECT_THAT(kinds(kNotApplied), SizeIs(5));
  EXPECT_THAT(kinds("set_set"), IsEmpty());
  EXPECT_GT(paris_.status().ledger_bytes, kBytesMax);
  ASSERT_THAT(paris_.status().alarms, SizeIs(1));
  EXPECT_THAT(paris_.status().alarms.front(), HasSubstr("all of it is open"));
  paris_.collect();
  EXPECT_THAT(alarms_, SizeIs(1)) << "once";
  for (int i = 10; i < 15; ++i) paris_.mongod.allow(kTestNs, bson::make_int32(i));
  paris_.restart();
  exchange(oslo_, paris_);
  paris_.collect();
  EXPECT_THAT(kinds(kNotApplied), IsEmpty());
  EXPECT_THAT(paris_.status().alarms, IsEmpty());
}

TEST_F(LedgerBoundTest, AnEntryThatComesLateWithAnOldStampIsTheOldest) {
  set_aside(7, 100);
  oslo_.set(1, "b", std::string(2000, 'o'));  // not sent yet
  paris_.clock.advance_ms(5);
  paris_.set(1, "b", "later");
  for (int i = 0; i < 60; ++i) {
    paris_.clock.advance_ms(5);
    oslo_.clock.advance_ms(5);
    paris_.insert(100 + i, {});
  }
  exchange(oslo_, paris_);
  EXPECT_THAT(kinds("set_set"), SizeIs(1));
  for (int i = 0; i < 60; ++i) conflict(2000);
  paris_.collect();
  for (const LedgerEntry& entry : paris_.ledger()) EXPECT_NE(entry.path, Path{"b"});
}

TEST_F(LedgerBoundTest, PagesFollowEachOtherAndEndByBytes) {
  for (int i = 0; i < 7; ++i) conflict(20);
  std::vector<std::string> all;
  for (const LedgerEntry& entry : paris_.ledger()) all.push_back(bson::to_json(entry.value.view()));
  ASSERT_THAT(all, SizeIs(7));
  std::vector<std::string> paged;
  std::optional<LedgerPlace> place = LedgerPlace();
  size_t pages = 0;
  while (place) {
    const auto page = paris_.replica->conflicts(3, *place);
    for (const LedgerEntry& entry : page->entries) {
      paged.push_back(bson::to_json(entry.value.view()));
    }
    place = page->next;
    EXPECT_EQ(page->next.has_value(), page->entries.size() == 3);
    EXPECT_EQ(parse_place(to_text(place.value_or(LedgerPlace()))), place.value_or(LedgerPlace()));
    ++pages;
  }
  EXPECT_EQ(paged, all);
  EXPECT_EQ(pages, 3u);
  for (int i = 0; i < 3; ++i) conflict(700'000);
  const auto page = paris_.replica->conflicts(100, {});
  EXPECT_THAT(page->entries, SizeIs(1));
  EXPECT_TRUE(page->next.has_value());
  EXPECT_EQ(parse_place("7"), std::nullopt);
  EXPECT_EQ(parse_place("7-x"), std::nullopt);
}

TEST(LedgerPages, EntriesOfOneStampAreCutApartToo) {
  auto outbox = std::make_shared<outbox::MemoryOutbox>();
  TestSite site("paris", {"paris"}, [outbox] { return outbox; });
  outbox::Batch batch;
  for (int i = 0; i < 5; ++i) {
    LedgerEntry entry;
    entry.id = bson::make_int32(i);
    entry.kind = "set_set";
    entry.loser.hlc = 5;
    batch.put_ledger(ledger_key(entry), encode_ledger(entry));
  }
  ASSERT_TRUE(outbox->write(std::move(batch)).has_value());
  std::vector<int> ids;
  std::optional<LedgerPlace> place = LedgerPlace();
  while (place) {
    const auto page = site.replica->conflicts(2, *place);
    for (const LedgerEntry& entry : page->entries) ids.push_back(entry.id.view().as_int32());
    place = page->next;
  }
  EXPECT_THAT(ids, ElementsAre(4, 3, 2, 1, 0));
}

class LedgerNamesTest : public ::testing::Test {
 protected:
  // Of one stamp, so many that a look reads several pieces of the log.
  LedgerNamesTest() {
    outbox::Batch batch;
    for (int i = 0; i < 2500; ++i) {
      const LedgerEntry entry = entry_of(i);
      batch.put_ledger(ledger_key(entry), encode_ledger(entry));
    }
    EXPECT_TRUE(outbox_->write(std::move(batch)).has_value());
  }
  static LedgerEntry entry_of(int id) {
    LedgerEntry entry;
    entry.id = bson::make_int32(id);
    entry.kind = "set_set";
    entry.loser.hlc = 0x123456789abc0001;
    entry.open = true;
    return entry;
  }
  static std::string name_of(int id) { return ledger_name(ledger_key(entry_of(id))); }

  std::shared_ptr<outbox::MemoryOutbox> outbox_ = std::make_shared<outbox::MemoryOutbox>();
  TestSite site_{"paris", {"paris"}, [this] { return outbox_; }};
};

TEST_F(LedgerNamesTest, AnEntryIsFoundByItsName) {
  EXPECT_THAT(name_of(0), testing::StartsWith("123456789abc0001-"));
  EXPECT_EQ(name_of(0).size(), 29u);
  for (const int id : {0, 1, 999, 1000, 2499}) {
    const auto found = site_.replica->conflict(name_of(id));
    ASSERT_TRUE(found.has_value()) << id;
    EXPECT_EQ(*found, entry_of(id));
  }
  const std::string another_stamp = "123456789abc0002" + name_of(0).substr(16);
  for (const std::string& name : {name_of(2500), another_stamp, std::string("nobody"),
                                  std::string(), std::string(29, 'x'), std::string(29, '0')}) {
    const auto found = site_.replica->conflict(name);
    ASSERT_FALSE(found.has_value()) << name;
    EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
  }
}

TEST_F(LedgerNamesTest, WhatWasDoneAboutItIsKeptWithIt) {
  const std::string key = ledger_key(entry_of(7));
  const auto noted = [&](LedgerMark mark, const std::optional<Replaced>& replaced) {
    EXPECT_TRUE(site_.replica->mark_conflict(key, mark, replaced).has_value());
    site_.restart();
    return site_.replica->conflict(name_of(7)).value();
  };
  EXPECT_STREQ(state_text(site_.replica->conflict(name_of(7)).value()), "open");
  const Replaced before{bson::make_string("Picnic")};
  LedgerEntry entry = noted(LedgerMark::kResolved, before);
  EXPECT_STREQ(state_text(entry), "resolved");
  EXPECT_FALSE(entry.open) << "closed";
  EXPECT_EQ(entry.replaced, before);
  entry = noted(LedgerMark::kReverted, std::nullopt);
  EXPECT_STREQ(state_text(entry), "reverted");
  EXPECT_EQ(entry.replaced, before) << "as it was noted";
  EXPECT_EQ(noted(LedgerMark::kResolved, Replaced{}).replaced, Replaced{});
  const uint64_t entries = site_.status().ledger_entries;
  // One that was dropped meanwhile does not come back.
  EXPECT_TRUE(site_.replica->mark_conflict(ledger_key(entry_of(3000)), LedgerMark::kResolved, {})
                  .has_value());
  EXPECT_EQ(site_.status().ledger_entries, entries);
}

}  // namespace
}  // namespace outrigger
