// Three sites that keep what shares a key of a unique index (kept/kept_keys.h), and the verbs of
// their tests.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/policy.h"
#include "replication/outbox/ledger.h"
#include "replication/site/state/meta_keys.h"
#include "replication/store/store_version.h"
#include "replication/testing/applier_fixture.h"

namespace outrigger {

inline bson::OwnedValue mail(const std::string& value) { return bson::make_string(value); }

inline Settings rules_of(UniquePolicy unique) {
  Settings settings;
  ReplicateRule rule{"shop.*"};
  rule.unique = unique;
  settings.replicate.push_back(rule);
  return settings;
}

// Fails once when told to, where it is told something of what is kept, and leaves nothing behind of
// what it failed to write. One in life would fail from then on, until it is opened anew: what has
// been read of it is forgotten then.
class FaultyOutbox final : public outbox::MemoryOutbox {
 public:
  // So many such writes succeed, then one fails; likewise of the syncs behind them.
  void fail_write_after(size_t writes) { writes_ = writes; }
  void fail_sync_after(size_t syncs) { syncs_ = syncs; }
  [[nodiscard]] bool is_to_fail() const { return writes_ || syncs_; }
  void heal() { writes_ = syncs_ = std::nullopt; }

  [[nodiscard]] Status write(outbox::Batch&& batch) override {
    const bool is_noted = tells_of_kept(batch);
    if (is_noted && fails(writes_)) return broken("write to the log");
    is_noted_ = is_noted_ || is_noted;
    return MemoryOutbox::write(std::move(batch));
  }
  [[nodiscard]] Status sync() override {
    if (is_noted_ && fails(syncs_)) return broken("sync the log");
    is_noted_ = false;
    return MemoryOutbox::sync();
  }

 private:
  static bool tells_of_kept(const outbox::Batch& batch) {
    return std::any_of(batch.changes().begin(), batch.changes().end(), [](const auto& change) {
      return change.family == outbox::Family::kMeta &&
             (change.key.starts_with(meta_keys::kRelaxed) ||
              change.key.starts_with(meta_keys::kKept));
    });
  }
  static bool fails(std::optional<size_t>& left) {
    if (!left || (*left)-- > 0) return false;
    left.reset();
    return true;
  }
  static Status broken(const char* step) {
    return outrigger::fail(ErrorCode::kIo, step, "the log in memory", "told to fail");
  }

  std::optional<size_t> writes_;
  std::optional<size_t> syncs_;
  std::atomic<bool> is_noted_{false};
};

class KeepTest : public ::testing::Test {
 protected:
  KeepTest() {
    for (size_t i = 0; i < 3; ++i) {
      sites_.push_back(
          std::make_unique<TestSite>(names_[i], names_, [log = logs_[i]] { return log; }));
      policies_.push_back(std::make_unique<Policy>(rules_of(UniquePolicy::kKeep)));
      TestSite& site = *sites_.back();
      StoreInfo info;
      info.writable = true;
      info.wire_version_max = row_of(StoreFeature::kPreparesUnique).wire_version;
      info.process_id = std::string(12, 'p');
      site.mongod.set_info(info);
      for (const char* field : {"mail", "phone"}) {
        site.mongod.make_unique(kTestNs, {{{field}}, true});
      }
      site.replica_options.policy = policies_.back().get();
      site.restart();
      site.clock.advance_ms(3'600'000);  // past what was bounded before
    }
  }
  TestSite& oslo() { return *sites_[0]; }
  TestSite& paris() { return *sites_[1]; }
  TestSite& rome() { return *sites_[2]; }
  std::vector<TestSite*> all() { return {&oslo(), &paris(), &rome()}; }

  void meet() {
    for (int i = 0; i < 3; ++i) {
      exchange(oslo(), paris());
      exchange(paris(), rome());
      exchange(oslo(), rome());
    }
  }
  // What changed locally is looked at, as now and then.
  void look() {
    for (TestSite* site : all()) {
      site->applier->try_aside_again();
      site->apply_all();
    }
  }
  // 1 of oslo and 2 of paris have one key.
  void share() {
    oslo().insert(1, {{"mail", mail("k")}, {"n", number(0)}});
    paris().clock.advance_ms(10);
    paris().insert(2, {{"mail", mail("k")}, {"n", number(0)}});
  }
  static std::vector<LedgerEntry> kept(const TestSite& site, bool open = true) {
    std::vector<LedgerEntry> found;
    for (LedgerEntry& entry : site.ledger()) {
      if (entry.kind == kKeptKind && entry.open == open) found.push_back(std::move(entry));
    }
    return found;
  }
  static KeyGuard guard(TestSite& site, const std::string& index = "mail_1") {
    auto there = site.mongod.key_index(kTestNs, index);
    EXPECT_TRUE(there && *there) << index;
    return there && *there ? (*there)->guard : KeyGuard::kNone;
  }
  static bool refuses(const TestSite& site, int id, const std::string& value) {
    const std::string user = bson::Writer().int32("_id", id).string("mail", value).finish();
    return !site.mongod.clash(kTestNs, bson::Document(user)).empty();
  }
  // These have entries at every site, the same ones, and all documents are shown.
  void expect_kept(const std::vector<int>& ids, const std::vector<int>& shown) {
    for (TestSite* site : all()) {
      std::vector<int> found;
      for (const LedgerEntry& entry : kept(*site)) {
        found.push_back(entry.id.view().as_int32());
      }
      std::sort(found.begin(), found.end());
      EXPECT_EQ(found, ids) << site->name;
      EXPECT_EQ(kept(*site), kept(oslo())) << site->name;
      for (const int id : shown) EXPECT_NE(site->show(id), "none") << site->name << " " << id;
      for (const int id : shown) EXPECT_EQ(site->show(id), oslo().show(id)) << site->name;
      EXPECT_EQ(site->status().not_applied, 0u) << site->name;
      EXPECT_EQ(site->status().kept, ids.size()) << site->name;
    }
  }
  void wait_ms(int64_t ms) {
    for (TestSite* site : all()) site->clock.advance_ms(ms);
  }
  void expect_unique_again() {
    for (TestSite* site : all()) {
      EXPECT_THAT(kept(*site), ::testing::IsEmpty()) << site->name;
      for (const char* index : {"mail_1", "phone_1"}) {
        EXPECT_EQ(guard(*site, index), KeyGuard::kAll) << site->name << " " << index;
      }
      EXPECT_TRUE(site->replica->parts().kept.empty()) << site->name;
    }
  }

  const std::vector<std::string> names_{"oslo", "paris", "rome"};
  const std::vector<std::shared_ptr<FaultyOutbox>> logs_{std::make_shared<FaultyOutbox>(),
                                                         std::make_shared<FaultyOutbox>(),
                                                         std::make_shared<FaultyOutbox>()};
  std::vector<std::unique_ptr<Policy>> policies_;  // outlive the sites
  std::vector<std::unique_ptr<TestSite>> sites_;
};

}  // namespace outrigger
