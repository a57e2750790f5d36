// unique: keep, when something fails on the way: nothing is taken for noted that the log does not
// have, and nothing is done that no note tells of.
#include "replication/kept/kept_keys.h"
#include "replication/record/catalog.h"
#include "replication/testing/keep_fixture.h"

namespace outrigger {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class KeepFaultsTest : public KeepTest {
 protected:
  FaultyOutbox& log() { return *logs_[2]; }  // rome's

  // 1 of oslo and 2 of paris have two keys in common.
  void share_two_keys() {
    oslo().insert(1, {{"mail", mail("k")}, {"phone", mail("7")}});
    paris().clock.advance_ms(10);
    paris().insert(2, {{"mail", mail("k")}, {"phone", mail("7")}});
  }
  // Rome hears of it, and goes on whatever fails.
  void hand_to_rome(TestSite& from) {
    const Link link(from, rome());
    auto segments = read_segments(*from.replica, rome().replica->applied(), 1u << 20);
    ASSERT_TRUE(segments.has_value());
    (void)rome().replica->offer(std::move(*segments), run_of(from));
  }
  void offer_to_rome(TestSite& from) {
    hand_to_rome(from);
    for (int i = 0; i < 30; ++i) (void)rome().applier->step();
  }
  void take_away(const std::vector<int>& ids) {
    for (const int id : ids) oslo().remove(id);
    meet();
    look();
    look();
    expect_unique_again();
  }
  // What a power cut would leave in rome's log.
  bool is_noted_for_good() {
    outbox::MemoryOutbox left;
    left.take_over(log());
    left.lose_unsynced();
    return !left.scan_meta(meta_keys::kRelaxed)->empty();
  }
};

TEST_F(KeepFaultsTest, AWriteOfTheLogThatFailsAnywhereLosesNoEntry) {
  for (const bool restarts : {false, true}) {
    bool has_failed = true;
    for (size_t writes = 0; has_failed; ++writes) {
      share_two_keys();
      pull(oslo(), rome());
      log().fail_write_after(writes);
      offer_to_rome(paris());
      has_failed = !log().is_to_fail();
      log().heal();
      if (restarts) rome().restart();
      meet();
      look();
      expect_kept({2, 2}, {1, 2});
      ASSERT_FALSE(HasFailure()) << "after " << writes << " writes" << (restarts ? ", anew" : "");
      take_away({1, 2});
    }
  }
}

TEST_F(KeepFaultsTest, AReadThatFailsAnywhereLosesNoEntry) {
  bool has_failed = true;
  for (size_t calls = 0; has_failed; ++calls) {
    share_two_keys();
    pull(oslo(), rome());
    rome().mongod.fail_after(calls);
    offer_to_rome(paris());
    has_failed = !rome().mongod.is_to_fail();
    rome().mongod.fail_next(0);
    meet();
    look();
    expect_kept({2, 2}, {1, 2});
    ASSERT_FALSE(HasFailure()) << "after " << calls << " calls";
    take_away({1, 2});
  }
}

TEST_F(KeepFaultsTest, AWriteThatFailsWhileEntriesCloseLeavesNoneOpen) {
  bool has_failed = true;
  for (size_t writes = 0; has_failed; ++writes) {
    share_two_keys();
    meet();
    log().fail_write_after(writes);
    oslo().remove(1);
    offer_to_rome(oslo());
    has_failed = !log().is_to_fail();
    log().heal();
    meet();
    look();
    look();
    expect_unique_again();
    ASSERT_FALSE(HasFailure()) << "after " << writes << " writes";
    take_away({2});
  }
}

TEST_F(KeepFaultsTest, DuplicatesThatNobodyNotedAreAllFoundThoughAReadFails) {
  bool has_failed = true;
  for (size_t calls = 0; has_failed; ++calls) {
    share();
    meet();
    const auto spec = (**rome().mongod.key_index(kTestNs, "mail_1")).spec;
    ASSERT_TRUE(rome().mongod.set_guard(kTestNs, spec, KeyGuard::kNone)->ok());
    for (const int id : {5, 6, 7, 8}) rome().insert(id, {{"mail", mail(id < 7 ? "x" : "y")}});
    ASSERT_TRUE(rome().mongod.set_guard(kTestNs, spec, KeyGuard::kNew)->ok());
    oslo().remove(1);
    rome().mongod.fail_after(calls);
    offer_to_rome(oslo());
    look();
    has_failed = !rome().mongod.is_to_fail();
    rome().mongod.fail_next(0);
    wait_ms(60'000);
    look();
    meet();
    look();
    expect_kept({6, 8}, {2, 5, 6, 7, 8});
    ASSERT_FALSE(HasFailure()) << "after " << calls << " calls";
    wait_ms(7'200'000);
    take_away({2, 5, 6, 7, 8});
  }
}

TEST_F(KeepFaultsTest, NoIndexIsTouchedBeforeItsNoteIsOnDisk) {
  int touched = 0;
  rome().mongod.refuse_guards([&](KeyGuard guard) {
    touched += guard == KeyGuard::kNone ? 1 : 0;
    EXPECT_TRUE(guard != KeyGuard::kNone || is_noted_for_good());
    return 0;
  });
  for (size_t at = 0; at < 12; ++at) {
    for (const bool of_syncs : {false, true}) {
      share();
      pull(oslo(), rome());
      if (of_syncs) log().fail_sync_after(at);
      if (!of_syncs) log().fail_write_after(at);
      offer_to_rome(paris());
      log().heal();
      rome().commit->resume();
      meet();
      look();
      expect_kept({2}, {1, 2});
      ASSERT_FALSE(HasFailure()) << at << (of_syncs ? " syncs" : " writes");
      take_away({1, 2});
    }
  }
  EXPECT_GT(touched, 20);
}

// ---- an index that cannot be made anew

TEST_F(KeepFaultsTest, AnIndexThatCannotBeMadeAsRelaxedIsAtOnceWhatItWas) {
  rome().mongod.fail_to_make([](KeyGuard guard) { return guard == KeyGuard::kAll; });
  share();
  meet();
  EXPECT_EQ(guard(rome()), KeyGuard::kAll);
  EXPECT_EQ(rome().show(2), "none");
  ASSERT_FALSE(rome().status().alarms.empty());
  EXPECT_THAT(rome().status().alarms.front(), HasSubstr("mail_1 of shop.things cannot be relaxed"));
  rome().mongod.fail_to_make(nullptr);
  wait_ms(31'000);
  look();
  expect_kept({2}, {1, 2});
  EXPECT_THAT(rome().status().alarms, IsEmpty());
}

TEST_F(KeepFaultsTest, WhatItWasRefusesNobodyWhoSharesNoKeyByNow) {
  rome().mongod.fail_to_make([](KeyGuard guard) { return guard == KeyGuard::kAll; });
  share();
  meet();
  EXPECT_EQ(rome().show(2), "none");
  rome().remove(1);
  look();
  EXPECT_NE(rome().show(2), "none");
  EXPECT_EQ(guard(rome()), KeyGuard::kAll);
  look();
  EXPECT_THAT(rome().status().alarms, IsEmpty());
}

TEST_F(KeepFaultsTest, OneThatIsAwayHasAnAlarmAndIsMadeAsSoonAsItCan) {
  for (const bool is_waited_for : {true, false}) {
    rome().mongod.fail_to_make([](KeyGuard) { return false; });
    share();
    meet();
    const auto none = rome().mongod.key_index(kTestNs, "mail_1");
    EXPECT_TRUE(none && !*none);
    ASSERT_FALSE(rome().status().alarms.empty());
    EXPECT_THAT(rome().status().alarms.front(),
                HasSubstr("mail_1 of shop.things is away, and cannot be made"));
    if (!is_waited_for) paris().remove(2);
    meet();
    rome().mongod.fail_to_make(nullptr);
    wait_ms(61'000);
    look();
    EXPECT_NE(guard(rome()), KeyGuard::kNone);
    EXPECT_THAT(rome().status().alarms, IsEmpty());
    if (is_waited_for) expect_kept({2}, {1, 2});
    take_away({1, 2});
  }
}

TEST_F(KeepFaultsTest, WhatIsWrittenWhileAnIndexIsAwayHasItsEntryAsSoonAsItIsBack) {
  for (const bool restarts : {false, true}) {
    rome().mongod.fail_to_make([](KeyGuard) { return false; });
    share();
    meet();
    for (const int id : {5, 6}) rome().insert(id, {{"mail", mail("x")}});
    rome().mongod.fail_to_make(nullptr);
    if (restarts) rome().restart();
    wait_ms(61'000);
    look();
    meet();
    look();
    expect_kept({2, 6}, {1, 2, 5, 6});
    take_away({1, 2, 5, 6});
  }
}

TEST_F(KeepFaultsTest, NoIndexIsMadeThatAnAppIsJustDropping) {
  share();
  meet();
  LockRequest app;  // as a dropIndexes has it
  app.add(namespace_lock_key(kCatalogNs), LockMode::kShared);
  const bson::OwnedValue name = bson::make_string(kTestNs);
  app.add(document_lock_key(kCatalogNs, name.view()), LockMode::kExclusive);
  ASSERT_TRUE(rome().locks.try_acquire(app));
  oslo().remove(1);
  pull(oslo(), rome());
  look();
  EXPECT_EQ(guard(rome()), KeyGuard::kNew) << "not touched meanwhile";
  rome().mongod.drop_unique(kTestNs, "mail_1");
  rome().replica->parts().kept.dropped(kTestNs, "mail_1");
  rome().locks.release(app);
  look();
  const auto none = rome().mongod.key_index(kTestNs, "mail_1");
  EXPECT_TRUE(none && !*none);
}

// ---- an app drops the index

class DroppedTest : public KeepFaultsTest {
 protected:
  // What the app's own part of the sidecar sees of the collection.
  static CatalogEntry shown(bool has_index) {
    CatalogEntry entry;
    entry.ns = kTestNs;
    entry.exists = true;
    if (has_index) {
      const std::string unique =
          with_guard(bson::Document(MemoryIndex{{{"mail"}}}.spec()), KeyGuard::kAll);
      entry.indexes.emplace("mail_1", catalog_index(bson::Document(unique)));
    }
    return entry;
  }
  // An app drops it at rome; the write is begun.
  UndecidedWrite begin_drop() {
    Prepare prepare;
    prepare.documents.push_back(prepared_entry(kTestNs, catalog_document(shown(true))));
    auto begun = rome().replica->begin(std::move(prepare));
    EXPECT_TRUE(begun.has_value());
    rome().mongod.drop_unique(kTestNs, "mail_1");
    rome().mongod.put(std::string(kCatalogNs), catalog_document(shown(false)));
    return std::move(*begun);
  }
  // ... and makes it anew, as one that minds nothing.
  void make_plain() { rome().mongod.make_unique(kTestNs, {{{"mail"}}, false, KeyGuard::kNone}); }
  void expect_plain() {
    EXPECT_EQ(guard(rome()), KeyGuard::kNone);
    EXPECT_TRUE(rome().replica->parts().kept.relaxed_in(kTestNs).empty());
    EXPECT_FALSE(rome().replica->parts().kept.shown().find(kTestNs, "mail_1"));
  }
};

TEST_F(DroppedTest, WhatAnAppDroppedStaysSoWhenTheSidecarIsKilled) {
  share();
  meet();
  UndecidedWrite drop = begin_drop();
  rome().replica->parts().kept.dropped(kTestNs, "mail_1");
  std::vector<DocumentChange> changes;
  changes.push_back(catalog_change(kTestNs, catalog_changes(shown(true), shown(false))));
  ASSERT_TRUE(rome().replica->settle(drop, std::move(changes), {}).has_value());
  make_plain();
  rome().restart();
  expect_plain();
}

TEST_F(DroppedTest, AlsoWhenItsAnswerWasLost) {
  share();
  meet();
  UndecidedWrite drop = begin_drop();
  drop.leave_to_recovery();
  rome().restart();
  make_plain();
  rome().restart();
  expect_plain();
}

TEST_F(DroppedTest, OneThatIsAwayIsMadeAgainUnlessItsDropIsRecorded) {
  for (const bool is_recorded : {true, false}) {
    rome().mongod.fail_to_make([](KeyGuard) { return false; });
    share();
    meet();
    EXPECT_FALSE(*rome().mongod.key_index(kTestNs, "mail_1"));
    rome().mongod.put(std::string(kCatalogNs), catalog_document(shown(false)));
    Prepare prepare;
    prepare.documents.push_back(prepared_entry(kTestNs, catalog_document(shown(false))));
    auto drop = rome().replica->begin(std::move(prepare));
    ASSERT_TRUE(drop.has_value());
    std::vector<DocumentChange> changes;
    changes.push_back(catalog_change(kTestNs, catalog_changes(shown(true), shown(false))));
    if (!is_recorded) drop->leave_to_recovery();
    if (is_recorded) {
      ASSERT_TRUE(rome().replica->settle(*drop, std::move(changes), {}).has_value());
    }
    rome().mongod.fail_to_make(nullptr);
    rome().restart();
    wait_ms(61'000);
    look();
    EXPECT_EQ(rome().mongod.key_index(kTestNs, "mail_1")->has_value(), !is_recorded);
    if (is_recorded) rome().mongod.make_unique(kTestNs, {{{"mail"}}, true});
    for (const int id : {1, 2}) oslo().remove(id);
    meet();
    look();
    look();
  }
}

TEST_F(DroppedTest, AlsoWhenAnotherSiteDroppedIt) {
  share();
  meet();
  std::vector<DocumentChange> changes;
  changes.push_back(catalog_change(kTestNs, catalog_changes(shown(true), shown(false))));
  oslo().mongod.drop_unique(kTestNs, "mail_1");
  ASSERT_TRUE(oslo().replica->parts().writes.record(std::move(changes)));
  oslo().flush();
  rome().mongod.put(std::string(kCatalogNs), catalog_document(shown(true)));
  const std::string with_index = catalog_document(shown(true));
  const bson::OwnedValue name = bson::make_string(kTestNs);
  hand_to_rome(oslo());
  for (int i = 0; i < 30 && rome().mongod.document(std::string(kCatalogNs), name) == with_index;
       ++i) {
    (void)rome().applier->step();
  }
  EXPECT_NE(rome().mongod.document(std::string(kCatalogNs), name), with_index);
  rome().mongod.drop_unique(kTestNs, "mail_1");
  make_plain();
  rome().restart();
  expect_plain();
}

}  // namespace
}  // namespace outrigger
