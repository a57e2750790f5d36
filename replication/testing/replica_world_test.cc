// Random worlds over the real replica, applier and recovery: three sites write, hold writes open,
// exchange over whatever lines are up, crash with writes and batches under way, restart and forget,
// all from one seed. At the end every line is up: the sites must hold equal documents, no counter
// may have lost or doubled an increment, and no row or record may be left.
//
//   replica_world_test            runs all seeds
//   OUTRIGGER_SEED=17 replica_world_test    runs one, with its history
//   OUTRIGGER_WORLDS=20 replica_world_test    runs so many
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

constexpr int kCounter = 0;  // this document is made once and only ever incremented
constexpr int kDocuments = 4;
constexpr int kWorlds = 150;  // of each kind of store
constexpr int kActions = 120;

class ReplicaWorld {
 public:
  ReplicaWorld(uint64_t seed, StoreKind kind, bool talk)
      : random_(seed), talk_(talk), certain_(kind != StoreKind::kStandalone) {
    const std::vector<std::string> names{"oslo", "paris", "rome"};
    for (const std::string& name : names) {
      sites_.push_back(std::make_unique<TestSite>(name, names, memory_outbox(), kind));
      // Clocks differ by up to a second.
      sites_.back()->clock.advance_ms(static_cast<int64_t>(random_() % 1000));
    }
    open_.resize(sites_.size());
    sites_[0]->insert(kCounter, {{"n", bson::make_int32(0)}});
    connect_all();
  }

  void run() {
    for (int i = 0; i < kActions; ++i) act(pick(sites_.size()), pick(20));
    finish();
  }

 private:
  using Pending = std::unique_ptr<TestSite::Pending>;

  size_t pick(size_t count) { return random_() % count; }
  void say(const char* what, size_t site, const std::string& more = {}) const {
    if (talk_) std::printf("%s %s %s\n", sites_[site]->name.c_str(), what, more.c_str());
  }

  void act(size_t at, size_t action) {
    TestSite& site = *sites_[at];
    site.clock.advance_ms(static_cast<int64_t>(pick(3)));
    if (action < 7) {
      begin(at);
    } else if (action < 11) {
      if (!open_[at].empty()) end(at, pick(open_[at].size()), pick(8) != 0);
    } else if (action < 16) {
      const size_t from = pick(sites_.size());
      if (from == at) return;
      say("hears", at, sites_[from]->name);
      const bool cut_short = pick(6) == 0;
      if (cut_short) site.mongod.crash_after(pick(3));
      step_through(*sites_[from], site);
    } else if (action < 18) {
      say("collects", at);
      site.collect();
    } else if (action == 18) {
      crash(at);
    } else {
      site.mongod.fail_next(0);
      (void)site.applier->step();
    }
  }

  // As pull(), but a batch in trouble stays under way.
  void step_through(TestSite& from, TestSite& to) {
    const Link link(from, to);
    auto segments = read_segments(*from.replica, to.replica->applied(), 200 + pick(4000));
    ASSERT_TRUE(segments.has_value()) << segments.error().message();
    const Status taken = to.replica->offer(std::move(*segments), run_of(from));
    ASSERT_TRUE(taken.has_value()) << taken.error().message();
    for (const Report& report : from.replica->reports()) {
      if (pick(3) != 0) to.replica->hear(report, run_of(from));
    }
    for (int i = 0; i < 3; ++i) {
      auto outcome = to.applier->step();
      ASSERT_TRUE(outcome.has_value());
      if (*outcome == StepOutcome::kTrouble) return;  // it may crash before the batch goes on
    }
  }

  void begin(size_t at) {
    TestSite& site = *sites_[at];
    const int id = static_cast<int>(pick(kDocuments));
    DocumentChange change = random_change(site, id);
    Pending pending = site.begin(std::move(change));
    if (!pending) return;
    // What it changes may have changed before the lock was ours; look again.
    const bool there = site.document(id).has_value();
    const auto kind = pending->change.kind;
    if (there == (kind == DocumentChange::Kind::kInsert)) {
      site.drop(std::move(pending));
      site.flush();
      return;
    }
    say("begins", at, std::to_string(id) + " " + std::to_string(static_cast<int>(kind)));
    if (id == kCounter) attempted_ += delta(*pending);
    open_[at].push_back(std::move(pending));
  }

  static int64_t delta(const TestSite::Pending& pending) {
    return pending.change.changes[0].value.view().as_int32();
  }

  DocumentChange random_change(TestSite& site, int id) {
    if (id == kCounter) return TestSite::incrementing(id, "n", 1 + static_cast<int>(pick(9)));
    const auto value = [&] { return bson::make_int32(static_cast<int32_t>(pick(1000))); };
    const auto document = site.document(id);
    if (!document) return TestSite::inserting(id, {{"a", value()}, {"n", value()}});
    const char* field = pick(2) == 0 ? "a" : "b";
    switch (pick(8)) {
      case 0:
        return TestSite::removing(id);
      case 1:
        return TestSite::replacing(id, {{"b", value()}, {"n", value()}});
      case 2:
        return TestSite::unsetting(id, field);
      case 3:
        return TestSite::setting(id, "n", value());
      case 4:
      case 5:
        return TestSite::incrementing(id, "n", 1 + static_cast<int>(pick(9)));
      default:
        return TestSite::setting(id, field, value());
    }
  }

  void end(size_t at, size_t index, bool happens) {
    TestSite& site = *sites_[at];
    Pending pending = std::move(open_[at][index]);
    open_[at].erase(open_[at].begin() + static_cast<std::ptrdiff_t>(index));
    const bool counts = pending->change.id.view().as_int32() == kCounter;
    if (happens) {
      if (!pending->stored) site.store(*pending);
      if (counts) acknowledged_ += delta(*pending);
      site.settle(std::move(pending));
    } else if (!pending->stored) {
      if (counts) attempted_ -= delta(*pending);
      site.drop(std::move(pending));
    } else {
      open_[at].push_back(std::move(pending));
    }
    site.flush();
  }

  // Some of the writes under way reached the store, some did not.
  void crash(size_t at) {
    TestSite& site = *sites_[at];
    say("crashes", at);
    for (const Pending& pending : open_[at]) {
      const bool stored = pick(2) == 0;
      if (stored && !pending->stored) site.store(*pending);
      if (pending->change.id.view().as_int32() != kCounter) continue;
      if (pending->stored && certain_) acknowledged_ += delta(*pending);
      if (!pending->stored) attempted_ -= delta(*pending);
    }
    site.kill();
    for (const Pending& pending : open_[at]) site.release(*pending);
    open_[at].clear();
    site.mongod.fail_next(0);
    site.open();
    auto report = site.recover();
    if (!report) report = site.recover();  // the store was away for a moment: asked again
    ASSERT_TRUE(report.has_value()) << report.error().message();
  }

  void connect_all() {
    std::vector<TestSite*> all;
    for (const auto& site : sites_) all.push_back(site.get());
    settle_down(all, 20);
  }

  void finish() {
    for (size_t at = 0; at < sites_.size(); ++at) {
      while (!open_[at].empty()) end(at, 0, true);
      sites_[at]->mongod.fail_next(0);
    }
    for (const auto& site : sites_) {
      auto outcome = site->applier->step();  // a batch that was cut short goes on
      ASSERT_TRUE(outcome.has_value());
      site->apply_all();
    }
    connect_all();
    check();
  }

  void show_vectors() const {
    for (const auto& site : sites_) {
      const ReplicaStatus status = site->status();
      std::printf("%s inbox %d\n", site->name.c_str(), static_cast<int>(status.inbox_records));
      for (const auto& [origin, hlc] : status.applied.entries()) {
        std::printf("  %s\n", to_text(Dot{hlc, origin}).c_str());
      }
      for (const std::string& held : status.held) std::printf("  held: %s\n", held.c_str());
    }
  }

  void check() {
    const auto& first = *sites_.front();
    if (talk_) show_vectors();
    for (const auto& site : sites_) {
      EXPECT_EQ(site->replica->applied(), first.replica->applied());
      for (int id = 0; id < kDocuments; ++id) {
        const auto ours = site->document(id);
        const auto theirs = first.document(id);
        ASSERT_EQ(ours.has_value(), theirs.has_value()) << site->name << " " << id;
        if (!ours) continue;
        EXPECT_TRUE(bson::equal_unordered(bson::Document(*ours), bson::Document(*theirs)))
            << site->name << " " << site->show(id) << " but " << first.show(id);
      }
      EXPECT_EQ(site->status().rows, 0u) << site->name;
      EXPECT_EQ(site->status().outbox_records, 0u) << site->name;
      EXPECT_EQ(site->status().open_writes, 0u) << site->name;
    }
    const int64_t count = first.number(kCounter, "n");
    EXPECT_LE(acknowledged_, count);
    EXPECT_LE(count, attempted_);
  }

  std::mt19937_64 random_;
  const bool talk_;
  const bool certain_;  // the oplog tells what happened
  std::vector<std::unique_ptr<TestSite>> sites_;
  std::vector<std::vector<Pending>> open_;  // by site: begun, not ended
  int64_t acknowledged_ = 0;
  int64_t attempted_ = 0;
};

void run_worlds(StoreKind kind) {
  const char* chosen = std::getenv("OUTRIGGER_SEED");
  const uint64_t first = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 1;
  const char* count = std::getenv("OUTRIGGER_WORLDS");
  const uint64_t worlds = count != nullptr ? std::strtoull(count, nullptr, 10) : kWorlds;
  const uint64_t last = chosen != nullptr ? first : worlds;
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("replay with OUTRIGGER_SEED=" + std::to_string(seed));
    ReplicaWorld(seed, kind, chosen != nullptr).run();
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(ReplicaWorld, SitesOnReplicaSetsConvergeWithExactCounters) {
  run_worlds(StoreKind::kSingleMember);
}

TEST(ReplicaWorld, SitesOnStandalonesConvergeWithinWhatIsInDoubt) {
  run_worlds(StoreKind::kStandalone);
}

}  // namespace
}  // namespace outrigger
