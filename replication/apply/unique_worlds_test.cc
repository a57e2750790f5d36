// Three sites write documents with two unique keys by chance, apart and together: new keys and the
// same ones again, counts, whole documents; they let them expire, crash, forget by themselves, and
// drop an index on the way. At the end each shows what the rule says (merge/claims/claim.h): said
// once more in testing/unique_rule.h.
//
//   applier_test --gtest_filter='UniqueWorlds*'                     runs all seeds
//   OUTRIGGER_SEED=17 applier_test --gtest_filter='UniqueWorlds*'   runs one, and tells of it
//   OUTRIGGER_WORLDS=5000 applier_test --gtest_filter='UniqueWorlds*'  runs so many
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "replication/merge/claims/claim.h"
#include "replication/outbox/memory/memory_outbox.h"
#include "replication/testing/replica_testing.h"
#include "replication/testing/unique_rule.h"

namespace outrigger {
namespace {

constexpr uint64_t kWorlds = 500;
constexpr int kActions = 90;
constexpr int kDocuments = 12;
constexpr int kKeys = 4;
const std::vector<std::string> kFields{"x", "y"};

class UniqueWorld {
 public:
  UniqueWorld(uint64_t seed, bool talk)
      : random_(seed), talk_(talk), drops_(seed % 4 == 0), expires_(seed % 2 == 0) {
    const std::vector<std::string> names{"oslo", "paris", "rome"};
    for (const std::string& name : names) {
      sites_.push_back(std::make_unique<TestSite>(name, names, memory_outbox()));
      TestSite& site = *sites_.back();
      for (const std::string& field : kFields) {
        site.mongod.make_unique(kTestNs, {{{field}}, true});
      }
      site.clock.advance_ms(static_cast<int64_t>(pick(1000)));
      site.applier_options.warn = [this, &site](const std::string& text) { say(site, text); };
      site.restart();
    }
    settle();
  }

  void run() {
    for (int i = 0; i < kActions; ++i) {
      if (drops_ && i > kActions / 2 && pick(8) == 0) drop_index(*sites_[pick(sites_.size())]);
      act(*sites_[pick(sites_.size())], pick(20));
    }
    for (const auto& site : sites_) {
      if (drops_) drop_index(*site);
    }
    settle();
    check();
  }

 private:
  size_t pick(size_t count) { return random_() % count; }
  void say(const TestSite& site, const std::string& what) const {
    if (talk_) std::printf("%s %s\n", site.name.c_str(), what.c_str());
  }

  void act(TestSite& site, size_t action) {
    site.clock.advance_ms(static_cast<int64_t>(pick(3)));
    TestSite& other = *sites_[pick(sites_.size())];
    if (action < 12) {
      write(site);
    } else if (action < 16) {
      if (&other == &site) return;
      say(site, "hears " + other.name);
      pull(other, site);
    } else if (action < 18) {
      say(site, "collects");
      site.collect();
    } else if (action == 18) {
      if (&other == &site) return;
      say(site, "crashes while it hears " + other.name);
      site.mongod.crash_after(pick(6));
      hear(other, site);
      site.mongod.fail_next(0);
      site.restart();
    } else {
      site.applier->try_aside_again();
      site.apply_all();
    }
  }

  void drop_index(TestSite& site) {
    if (dropped_.contains(&site)) return;
    say(site, "has no index on y");
    site.mongod.drop_unique(kTestNs, "y_1");
    dropped_.insert(&site);
    // Who stood in vain before one that is parked is believed to stand there for some tries more.
    for (int i = 0; i < 25; ++i) {
      site.applier->try_aside_again();
      site.apply_all();
    }
  }

  static void hear(TestSite& from, TestSite& to) {
    const Link link(from, to);
    auto segments = read_segments(*from.replica, to.replica->applied(), 1u << 20);
    ASSERT_TRUE(segments.has_value());
    ASSERT_TRUE(to.replica->offer(std::move(*segments), run_of(from)).has_value());
    for (int i = 0; i < 100; ++i) {
      auto outcome = to.applier->step();
      if (!outcome || *outcome != StepOutcome::kApplied) return;
    }
  }

  // As an app does: what the store there refuses did not happen.
  void write(TestSite& site) {
    const int id = static_cast<int>(pick(kDocuments));
    const auto value = [&] { return bson::make_int32(static_cast<int32_t>(pick(kKeys))); };
    const std::string field = kFields[pick(kFields.size())];
    if (!site.document(id)) {
      if (used_.contains(id)) return;
      TestSite::Fields fields;
      for (const std::string& name : kFields) {
        if (pick(3) > 0) fields.emplace_back(name, value());
      }
      return run(site, TestSite::inserting(id, fields), id);
    }
    const auto at = field_of(site, id, field);
    switch (pick(12)) {
      case 0:
        return run(site, expires_ ? site.yielding(id) : TestSite::removing(id), id);
      case 1:
        return run(site, TestSite::unsetting(id, field), id);
      case 2:
      case 3:
        return run(site, TestSite::incrementing(id, "n", 1), id);
      case 4:
        if (at) run(site, TestSite::setting(id, field, number(*at)), id);
        return;
      case 5:
      case 6:
      case 7: {
        TestSite::Fields fields;
        const bool is_same = pick(4) > 0;
        for (const std::string& name : kFields) {
          const auto now = field_of(site, id, name);
          const bool changes = !is_same && name == field;
          if (now || changes) fields.emplace_back(name, changes ? value() : number(*now));
        }
        fields.emplace_back("n", number(static_cast<int>(pick(9))));
        return run(site, TestSite::replacing(id, fields), id);
      }
      default:
        return run(site, TestSite::setting(id, field, value()), id);
    }
  }

  static std::optional<int> field_of(const TestSite& site, int id, const std::string& name) {
    const auto document = site.document(id);
    const auto value = document ? bson::Document(*document).find(name) : std::nullopt;
    return value ? std::optional(value->as_int32()) : std::nullopt;
  }

  // As the capture does it, by the indexes that the site has.
  Keys keys_after(const TestSite& site, const std::optional<std::string>& before, int id,
                  const DocumentChange& change) const {
    if (change.kind == DocumentChange::Kind::kInsert || !before) return Keys::kClaims;
    bool names_some = change.kind == DocumentChange::Kind::kReplace;
    bool changes_some = false;
    for (const std::string& name : kFields) {
      if (name == "y" && dropped_.contains(&site)) continue;
      const auto was = bson::Document(*before).find(name);
      const std::optional<int> old = was ? std::optional(was->as_int32()) : std::nullopt;
      changes_some = changes_some || old != field_of(site, id, name);
      for (const PathChange& part : change.changes) {
        names_some = names_some || part.path.front() == name;
      }
    }
    if (changes_some) return Keys::kClaims;
    return names_some ? Keys::kKeeps : Keys::kPasses;
  }

  void run(TestSite& site, DocumentChange change, int id) {
    auto pending = site.begin(std::move(change));
    if (!pending) return;  // a batch waits for the store
    const auto before = site.document(id);
    site.store(*pending);
    const auto after = site.document(id);
    if (after && !site.mongod.clash(kTestNs, bson::Document(*after)).empty()) {
      if (before) site.mongod.put(kTestNs, *before);
      if (!before) site.mongod.remove(kTestNs, bson::make_int32(id));
      site.mongod.drop_oplog_after(Timestamp{1000, 0});
      site.drop(std::move(pending));
      site.flush();
      return;
    }
    pending->change.keys = keys_after(site, before, id, pending->change);
    const bool is_set_aside = state_of(site, id).detached;
    used_.insert(id);
    AccountWrite write;
    write.dot = {pending->write.name().hlc, run_of(site)};
    write.seen = pending->write.name().deps;
    // After a crash an app may find one that is parked.
    if (is_set_aside) pending->change.keys = Keys::kClaims;
    note(id, pending->change, std::move(write));
    say(site, "makes " + std::to_string(id) + " " + site.show(id) + " at " +
                  std::to_string(pending->write.name().hlc));
    site.settle(std::move(pending));
    site.flush();
  }

  void note(int id, const DocumentChange& change, AccountWrite write) {
    using Kind = DocumentChange::Kind;
    write.keys = change.keys;
    if (change.kind == Kind::kRemove) {
      const bool yields = change.removal != Removal::kPlain;
      write.kind = yields ? AccountWrite::Kind::kYield : AccountWrite::Kind::kRemove;
    } else if (change.kind == Kind::kInsert || change.kind == Kind::kReplace) {
      const bool is_birth = change.kind == Kind::kInsert;
      write.kind = is_birth ? AccountWrite::Kind::kBirth : AccountWrite::Kind::kReplace;
      for (const std::string& name : kFields) {
        const auto value = bson::Document(change.document).find(name);
        write.fields[name] = value ? std::optional(value->as_int32()) : std::nullopt;
      }
    }
    for (const PathChange& part : change.changes) {
      const std::string& name = part.path.front();
      if (name == "n") {
        write.kind = AccountWrite::Kind::kCount;
      } else {
        const bool is_unset = part.kind == Operation::kUnset;
        write.fields[name] = is_unset ? std::nullopt : std::optional(part.value.view().as_int32());
      }
    }
    history_.documents[id].write(std::move(write));
  }

  void settle() {
    std::vector<TestSite*> all;
    for (const auto& site : sites_) all.push_back(site.get());
    for (int i = 0; i < 3; ++i) {
      for (TestSite* site : all) {
        site->applier->try_aside_again();
        site->apply_all();
      }
      settle_down(all, 8);
    }
  }

  void check() {
    const std::set<int> wanted = history_.shown(drops_ ? std::vector<std::string>{"x"} : kFields);
    for (const auto& site : sites_) {
      size_t parked = 0;
      for (const auto& [id, written] : history_.documents) {
        if (talk_) say(*site, tell(*site, id, written));
        EXPECT_EQ(site->document(id).has_value(), wanted.contains(id)) << site->name << " " << id;
        EXPECT_EQ(in_order(site->document(id)), in_order(sites_.front()->document(id)))
            << site->name;
        if (!written.is_deleted() && !wanted.contains(id)) ++parked;
        for (const std::string& name : kFields) {
          if (!wanted.contains(id)) continue;
          EXPECT_EQ(site->number(id, name), written.value(name).value_or(-1)) << site->name << id;
        }
      }
      EXPECT_EQ(site->status().not_applied, parked) << site->name;
      EXPECT_EQ(open(*site), open(*sites_.front())) << site->name;
      EXPECT_EQ(open(*site).size(), parked) << site->name;
      if (parked == 0) {
        EXPECT_EQ(site->status().rows, 0u) << site->name;
      }
    }
  }

  static merge::DocumentState state_of(const TestSite& site, int id) {
    const auto row = site.outbox->row(kTestNs, bson::canonical_key(number(id).view()));
    return *merge::load_row(*row ? std::string_view(**row) : std::string_view());
  }

  // Its claim by the rule, and as far as the site remembers one.
  static std::string tell(const TestSite& site, int id, const AccountWritten& written) {
    const Dot rule = written.claim();
    const Dot known = merge::claim_of(state_of(site, id));
    return std::to_string(id) + " " + site.show(id) + " claims " + std::to_string(rule.hlc) + " " +
           to_text(rule.origin) + ", remembered: " + std::to_string(known.hlc) + " " +
           to_text(known.origin) + (written.is_deleted() ? ", deleted" : "");
  }

  // Sites may hold the fields in different orders.
  static std::string in_order(const std::optional<std::string>& document) {
    if (!document) return "none";
    std::map<std::string, std::string> fields;
    for (const bson::Element& field : bson::Document(*document)) {
      fields[std::string(field.name)] = bson::to_json(field.value);
    }
    std::string text;
    for (const auto& [name, value] : fields) text += name + " " + value + ", ";
    return text;
  }

  // What is parked, by the names of its entries.
  static std::map<std::string, std::string> open(const TestSite& site) {
    std::map<std::string, std::string> found;
    for (const LedgerEntry& entry : site.ledger()) {
      if (entry.kind != kUnique || !entry.open) continue;
      found[ledger_name(ledger_key(entry))] = in_order(std::string(entry.value.bytes));
    }
    return found;
  }

  std::mt19937_64 random_;
  const bool talk_;
  const bool drops_;    // the index on y, each site at a time of its own
  const bool expires_;  // what is removed
  std::set<const TestSite*> dropped_;
  std::vector<std::unique_ptr<TestSite>> sites_;
  AccountsWritten history_;
  std::set<int> used_;  // an _id is born once: births beside each other are another test's
};

TEST(UniqueWorlds, ShowWhatTheRuleSays) {
  const char* const one = std::getenv("OUTRIGGER_SEED");
  if (one != nullptr) {
    UniqueWorld(std::strtoull(one, nullptr, 10), true).run();
    return;
  }
  const char* const many = std::getenv("OUTRIGGER_WORLDS");
  const uint64_t worlds = many == nullptr ? kWorlds : std::strtoull(many, nullptr, 10);
  for (uint64_t seed = 1; seed <= worlds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("OUTRIGGER_SEED=" + std::to_string(seed));
    UniqueWorld(seed, false).run();
  }
}

// An owner that moves to another key at one site and is saved with the old one at another, while a
// rival's claim has been forgotten where the two never met.
TEST(UniqueWorlds, AClaimIsNotForgottenWhereItsRivalIsStillOnItsWay) {
  const std::vector<std::string> names{"oslo", "paris", "rome", "lima"};
  std::vector<std::unique_ptr<TestSite>> sites;
  std::vector<TestSite*> all;
  for (const std::string& name : names) {
    sites.push_back(std::make_unique<TestSite>(name, names, memory_outbox()));
    all.push_back(sites.back().get());
    all.back()->mongod.make_unique(kTestNs, {{{"k"}}, true});
  }
  settle_down(all);
  TestSite& oslo = *all[0];
  TestSite& paris = *all[1];
  TestSite& rome = *all[2];
  TestSite& lima = *all[3];
  const auto write = [](TestSite& site, DocumentChange change, Keys keys) {
    auto pending = site.begin(std::move(change));
    ASSERT_NE(pending, nullptr);
    pending->change.keys = keys;
    site.store(*pending);
    site.settle(std::move(pending));
    site.flush();
  };
  oslo.insert(1, {{"k", number(7)}});
  pull(oslo, rome);
  oslo.clock.advance_ms(10);
  write(oslo, TestSite::setting(1, "k", number(8)), Keys::kClaims);
  paris.clock.advance_ms(20);
  paris.insert(2, {{"k", number(7)}});
  pull(paris, rome);  // knows 1 as it was
  EXPECT_EQ(rome.show(2), "none");
  pull(paris, oslo);
  for (int i = 0; i < 4; ++i) {
    for (TestSite* from : {&oslo, &paris, &rome}) pull(*from, lima);
    pull(oslo, paris);
    lima.collect();
  }
  EXPECT_NE(lima.show(2), "none");
  rome.clock.advance_ms(30);
  write(rome, TestSite::replacing(1, {{"k", number(7)}, {"m", number(1)}}), Keys::kKeeps);
  for (int i = 0; i < 3; ++i) settle_down(all);
  for (const TestSite* site : all) {
    EXPECT_EQ(site->show(1), oslo.show(1)) << site->name;
    EXPECT_EQ(site->show(2), oslo.show(2)) << site->name;
  }
}

}  // namespace
}  // namespace outrigger
