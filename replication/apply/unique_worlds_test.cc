// Three sites write documents with two unique keys by chance, apart and together, crash and forget;
// at the end each shows what the rule says (merge/claims/claim.h): said here once more, by a
// function of what was written alone, which knows no rows and no stores.
//
//   applier_test --gtest_filter='UniqueWorlds*'                     runs all seeds
//   OUTRIGGER_SEED=17 applier_test --gtest_filter='UniqueWorlds*'   runs one, and tells of it
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "replication/outbox/memory/memory_outbox.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

constexpr int kWorlds = 60;
constexpr int kActions = 90;
constexpr int kDocuments = 12;
constexpr int kKeys = 4;
const std::vector<std::string> kFields{"x", "y"};

// All that was written, merged by the later stamp.
struct AccountsWritten {
  struct Field {
    std::optional<int> value;
    Dot dot;
  };
  struct Written {
    std::map<std::string, Field> fields;
    bool is_deleted = false;
  };
  std::map<int, Written> documents;

  void write(int id, const std::string& field, std::optional<int> value, const Dot& dot) {
    Field& at = documents[id].fields[field];
    if (dot > at.dot) at = {value, dot};
  }

  // In the order of claims each is shown that shares no key with one shown before.
  [[nodiscard]] std::set<int> shown() const {
    std::map<std::pair<Dot, std::string>, int> order;
    for (const auto& [id, written] : documents) {
      if (written.is_deleted) continue;
      Dot claim;
      for (const auto& [name, field] : written.fields) claim = std::max(claim, field.dot);
      order[{claim, bson::canonical_key(bson::make_int32(id).view())}] = id;
    }
    std::set<int> shown;
    std::set<std::pair<std::string, int>> taken;
    for (const auto& [claim, id] : order) {
      std::set<std::pair<std::string, int>> keys;
      for (const auto& [name, field] : documents.at(id).fields) {
        if (field.value) keys.insert({name, *field.value});
      }
      const bool is_free = std::none_of(keys.begin(), keys.end(),
                                        [&](const auto& key) { return taken.contains(key); });
      if (!is_free) continue;
      shown.insert(id);
      taken.insert(keys.begin(), keys.end());
    }
    return shown;
  }
};

class UniqueWorld {
 public:
  UniqueWorld(uint64_t seed, bool talk) : random_(seed), talk_(talk) {
    const std::vector<std::string> names{"oslo", "paris", "rome"};
    for (const std::string& name : names) {
      sites_.push_back(std::make_unique<TestSite>(name, names, memory_outbox()));
      TestSite& site = *sites_.back();
      for (const std::string& field : kFields) {
        site.mongod.make_unique(kTestNs, {{{field}}, true});
      }
      site.clock.advance_ms(static_cast<int64_t>(pick(1000)));
      if (!talk_) continue;
      site.applier_options.warn = [this, &site](const std::string& text) { say(site, text); };
      site.restart();
    }
    settle();
  }

  void run() {
    for (int i = 0; i < kActions; ++i) act(*sites_[pick(sites_.size())], pick(20));
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
      run(site, TestSite::inserting(id, fields), id);
    } else if (const size_t which = pick(10); which == 0) {
      run(site, TestSite::removing(id), id);
    } else if (which < 3) {
      run(site, TestSite::unsetting(id, field), id);
    } else if (which < 5) {
      run(site, TestSite::incrementing(id, "n", 1), id);
    } else {
      run(site, TestSite::setting(id, field, value()), id);
    }
  }

  void run(TestSite& site, DocumentChange change, int id) {
    auto pending = site.begin(std::move(change));
    if (!pending) return;  // a batch waits for the store
    const Dot dot{pending->write.name().hlc, run_of(site)};
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
    say(site, "makes " + std::to_string(id) + " " + site.show(id));
    used_.insert(id);
    note(id, pending->change, dot);
    site.settle(std::move(pending));
    site.flush();
  }

  void note(int id, const DocumentChange& change, const Dot& dot) {
    if (change.kind == DocumentChange::Kind::kRemove) {
      history_.documents[id].is_deleted = true;
    } else if (change.kind == DocumentChange::Kind::kInsert) {
      for (const std::string& name : kFields) {
        const auto value = bson::Document(change.document).find(name);
        history_.write(id, name, value ? std::optional(value->as_int32()) : std::nullopt, dot);
      }
    } else {
      for (const PathChange& part : change.changes) {
        const std::string& name = part.path.front();
        if (name == "n") continue;
        const bool is_unset = part.kind == Operation::kUnset;
        history_.write(id, name,
                       is_unset ? std::nullopt : std::optional(part.value.view().as_int32()), dot);
      }
    }
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
    const std::set<int> wanted = history_.shown();
    for (const auto& site : sites_) {
      size_t parked = 0;
      for (const auto& [id, written] : history_.documents) {
        EXPECT_EQ(site->document(id).has_value(), wanted.contains(id)) << site->name << " " << id;
        EXPECT_EQ(in_order(site->document(id)), in_order(sites_.front()->document(id)))
            << site->name;
        if (!written.is_deleted && !wanted.contains(id)) ++parked;
        for (const auto& [name, field] : written.fields) {
          if (wanted.contains(id)) {
            EXPECT_EQ(site->number(id, name), field.value.value_or(-1)) << site->name << " " << id;
          }
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
  for (uint64_t seed = 1; seed <= kWorlds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("OUTRIGGER_SEED=" + std::to_string(seed));
    UniqueWorld(seed, false).run();
  }
}

}  // namespace
}  // namespace outrigger
