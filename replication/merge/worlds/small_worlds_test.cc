// Every small world: all sequences of a few operations, each at any of three sites, which before it
// has heard from some of the others or from none. So each pair of operations stands in every causal
// order. All sites must agree, and hold what the history says (history.h).
//
// OUTRIGGER_SMALL_WORLDS=1 makes them longer.
#include <cstdlib>

#include "replication/merge/worlds/history.h"
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

class SmallWorlds : public MergeTest {
 public:
  // What is done to a document as the site has it; nothing where no store would let it happen.
  using Act = void (SmallWorlds::*)(WorldSite&);

  void set_a(WorldSite& site) { set(site, "a", fresh()); }
  void set_a_inside(WorldSite& site) { write_below(site, "a", "a.z", fresh()); }
  void unset_a(WorldSite& site) {
    if (stored(site).has("a")) unset(site, "a");
  }
  void give_a_fields(WorldSite& site) { set(site, "a", doc({{"y", fresh()}})); }
  void set_n(WorldSite& site) { set(site, "n", fresh()); }
  void count_n(WorldSite& site) {
    const auto n = stored(site).find("n");
    if (!n || n->is_number()) inc(site, "n", 2);
  }
  void set_c_x(WorldSite& site) { write_below(site, "c", "c.x", fresh()); }
  void give_c_anew(WorldSite& site) { set(site, "c", doc({{"y", fresh()}, {"n", fresh()}})); }
  void give_c_a_number(WorldSite& site) { set(site, "c", fresh()); }
  void unset_c(WorldSite& site) {
    if (stored(site).has("c")) unset(site, "c");
  }
  void count_c_n(WorldSite& site) {
    const Found c_n = find_path(stored(site), {"c", "n"});
    if (c_n.what != Found::kBlocked) inc(site, "c.n", 3);
  }
  void put_in_its_place(WorldSite& site) { replace(site, {{"a", fresh()}, {"n", fresh()}}); }
  void take_away(WorldSite& site) { remove(site); }
  void upsert_n(WorldSite& site) { count_n(site); }
  void set_high(WorldSite& site) { set(site, "high", strewn()); }
  void unset_high(WorldSite& site) {
    if (stored(site).has("high")) unset(site, "high");
  }
  void set_first(WorldSite& site) { set(site, "first", strewn()); }
  void unset_first(WorldSite& site) {
    if (stored(site).has("first")) unset(site, "first");
  }
  void take_away_yielding(WorldSite& site) { yield(site); }
  void set_any(WorldSite& site) { set(site, "any", strewn()); }
  void take_stock(WorldSite& site) { count_stock(site, -3); }
  void put_stock(WorldSite& site) { count_stock(site, 2); }
  void set_stock(WorldSite& site) { set(site, "s", i32(++value_ % 8 - 1)); }
  void give_stock_anew(WorldSite& site) { replace(site, {{"s", i32(++value_ % 8 - 1)}}); }
  void count_stock(WorldSite& site, int32_t by) { inc(site, "s", by); }
  void add_x(WorldSite& site) { put_into_set(site, text("x")); }
  void add_y(WorldSite& site) { put_into_set(site, text("y")); }
  void pull_x(WorldSite& site) {
    std::vector<bson::OwnedValue> all = items(site, "l");
    if (std::erase(all, text("x")) > 0) edit(site, "l", all, ArrayEdit::kAddsSet);
  }
  void set_l_to_y(WorldSite& site) { assign_set(site, {text("y")}); }
  void set_l_to_x_y(WorldSite& site) { assign_set(site, {text("x"), text("y")}); }
  void unset_l(WorldSite& site) {
    if (stored(site).has("l")) unset(site, "l");
  }
  void give_x_anew(WorldSite& site) { replace(site, {{"l", array({text("x")})}}); }
  void give_all_anew(WorldSite& site) {
    replace(site, {{"high", strewn()}, {"first", strewn()}, {"any", strewn()}});
  }

 protected:
  void put_into_set(WorldSite& site, const bson::OwnedValue& item) {
    const auto all = items(site, "l");
    if (std::find(all.begin(), all.end(), item) == all.end()) add_to_set(site, "l", item);
  }
  // As the capture tells it.
  void assign_set(WorldSite& site, const std::vector<bson::OwnedValue>& all) {
    if (!stored(site).has("l")) return set(site, "l", array(all));
    if (items(site, "l") != all) edit(site, "l", all, ArrayEdit::kAddsSet);
  }

  // Where no document is, each makes one.
  void act(WorldSite& site, Act how) {
    if (!site.store.contains(id_)) {
      if (how == &SmallWorlds::upsert_n) return upsert(site, {{"a", fresh()}}, {{"n", i32(5)}});
      Fields fields = {{"a", fresh()}, {"c", doc({{"x", fresh()}})}};
      if (has_sets_) fields.emplace_back("l", array({text("x")}));
      return insert(site, fields);
    }
    (this->*how)(site);
  }
  bson::OwnedValue fresh() { return i32(++value_); }
  // Later ones are not larger.
  bson::OwnedValue strewn() { return i32(++value_ * 37 % 101); }
  void write_below(WorldSite& site, const char* above, const char* path,
                   const bson::OwnedValue& value) {
    const auto found = stored(site).find(above);
    if (!found || found->type == bson::Type::kDocument) set(site, path, value);
  }

  int32_t value_ = 0;
  bool has_sets_ = false;
};

using Act = SmallWorlds::Act;
const std::vector<Act> kAll = {
    &SmallWorlds::set_a,         &SmallWorlds::set_a_inside, &SmallWorlds::unset_a,
    &SmallWorlds::give_a_fields, &SmallWorlds::set_n,        &SmallWorlds::count_n,
    &SmallWorlds::set_c_x,       &SmallWorlds::give_c_anew,  &SmallWorlds::give_c_a_number,
    &SmallWorlds::unset_c,       &SmallWorlds::count_c_n,    &SmallWorlds::put_in_its_place,
    &SmallWorlds::take_away,     &SmallWorlds::upsert_n};
const std::vector<Act> kCore = {&SmallWorlds::set_a,     &SmallWorlds::count_n,
                                &SmallWorlds::set_n,     &SmallWorlds::give_c_anew,
                                &SmallWorlds::count_c_n, &SmallWorlds::put_in_its_place,
                                &SmallWorlds::take_away};

// Where rules say which of two values shows, and updates win against removals.
const std::vector<Act> kRuled = {
    &SmallWorlds::set_high,    &SmallWorlds::take_away_yielding, &SmallWorlds::set_first,
    &SmallWorlds::unset_high,  &SmallWorlds::give_all_anew,      &SmallWorlds::count_n,
    &SmallWorlds::unset_first, &SmallWorlds::take_away,          &SmallWorlds::set_any};

// Where sums stay within bounds.
const std::vector<Act> kBounded = {&SmallWorlds::take_stock,      &SmallWorlds::put_stock,
                                   &SmallWorlds::set_stock,       &SmallWorlds::take_away,
                                   &SmallWorlds::give_stock_anew, &SmallWorlds::take_away_yielding};

// Where what was taken away from a set stays away.
const std::vector<Act> kSets = {
    &SmallWorlds::add_x,     &SmallWorlds::pull_x,      &SmallWorlds::set_l_to_y,
    &SmallWorlds::take_away, &SmallWorlds::give_x_anew, &SmallWorlds::set_l_to_x_y,
    &SmallWorlds::unset_l,   &SmallWorlds::add_y,       &SmallWorlds::set_a};

Settings within(const std::optional<Bounds>& bounds) {
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  rule.fields = {{{"s"}, bounds ? PathType::kBounded : PathType::kCounter}};
  rule.fields.front().bounds = bounds;
  return settings;
}

Settings rules() {
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  rule.fields = {{{"high"}, PathType::kMax},
                 {{"first"}, PathType::kFirstWins},
                 {{"any"}, PathType::kMultiValue}};
  return settings;
}

// One order of sites and of what each has heard of before it acts; all sequences of operations go
// through it beside each other, each in a document of its own.
class Schedule : public SmallWorlds {
 public:
  // Of each step: a site, and a bit for each of the other two.
  struct Step {
    size_t site = 0;
    size_t hears = 0;
  };

  void TestBody() override {}

  // Of each site its own, or all the same one.
  void follow(const std::vector<const Policy*>& policies) {
    if (policies.empty()) return;
    for (size_t i = 0; i < all_.size(); ++i) all_[i]->policy = policies[i % policies.size()];
    const MergeRules rules = policies.front()->merge_rules("shop.carts");
    has_sets_ = do_removals_win(rules.at({"l"}));
  }
  // `made`: the document is there, and everybody knows it, before the first step.
  void run(const std::vector<Step>& steps, const std::vector<Act>& acts, bool made) {
    size_t count = 1;
    for (size_t i = 0; i < steps.size(); ++i) count *= acts.size();
    for_each_document(count, [&](size_t) {
      Fields fields = {{"a", fresh()}, {"n", i32(1)}, {"c", doc({{"x", fresh()}})}};
      if (has_sets_) fields.emplace_back("l", array({text("x"), text("z")}));
      if (made) insert(a_, fields);
    });
    exchange();
    size_t divisor = 1;
    for (const Step& step : steps) {
      WorldSite& site = *all_[step.site];
      for (size_t other = 1; other <= 2; ++other) {
        if ((step.hears & other) != 0) pull(site, *all_[(step.site + other) % all_.size()]);
      }
      for_each_document(count,
                        [&](size_t number) { act(site, acts[number / divisor % acts.size()]); });
      divisor *= acts.size();
    }
    exchange();
    const auto records = History::by_document(a_.log);
    for_each_document(count, [&](size_t number) { check(number, records); });
  }

 private:
  template <typename Do>
  void for_each_document(size_t count, const Do& what) {
    for (size_t number = 0; number < count && !HasFailure(); ++number) {
      id_ = "d" + std::to_string(number);
      what(number);
    }
  }

  void check(size_t number, const std::map<std::string, History::Records>& records) {
    SCOPED_TRACE("sequence " + std::to_string(number));
    std::optional<bson::Document> held;
    if (a_.store.contains(id_)) held = stored(a_);
    for (const WorldSite* site : all_) {
      ASSERT_EQ(site->store.contains(id_), held.has_value());
      ASSERT_TRUE(!held || bson::equal_unordered(*held, stored(*site)));
    }
    const auto mine = records.find(id_);
    const History history(mine == records.end() ? History::Records() : mine->second, id_,
                          has_sets_);
    const std::string wrong = history.why_not(held);
    ASSERT_EQ(wrong, "") << history.text();
  }
};

// The first step is at the first site: which one it is does not matter.
void run_all(size_t length, const std::vector<Act>& acts, bool made, size_t& worlds,
             const std::vector<const Policy*>& policies = {}) {
  constexpr size_t kWays = 3 * 4;  // sites, and what is heard
  size_t schedules = 1;
  for (size_t i = 1; i < length; ++i) schedules *= kWays;
  for (size_t number = 0; number < schedules && !::testing::Test::HasFailure(); ++number) {
    std::vector<Schedule::Step> steps(1);
    for (size_t i = 1, left = number; i < length; ++i, left /= kWays) {
      steps.push_back({left % kWays / 4, left % 4});
    }
    SCOPED_TRACE("schedule " + std::to_string(number));
    Schedule schedule;
    schedule.follow(policies);
    schedule.run(steps, acts, made);
    size_t count = 1;
    for (size_t i = 0; i < length; ++i) count *= acts.size();
    worlds += count;
  }
}

// Where inserts merge, and what makes and ends documents.
const std::vector<Act> kInserting = {&SmallWorlds::take_away,   &SmallWorlds::upsert_n,
                                     &SmallWorlds::set_c_x,     &SmallWorlds::set_a,
                                     &SmallWorlds::give_c_anew, &SmallWorlds::put_in_its_place};

// OUTRIGGER_WORLDS asks for few random ones: then there are few of these, too.
TEST(EverySmallWorld, IsWhatItsHistorySays) {
  const bool few = std::getenv("OUTRIGGER_WORLDS") != nullptr;
  const bool longer = std::getenv("OUTRIGGER_SMALL_WORLDS") != nullptr;
  const auto first = [](size_t count) {
    return std::vector<Act>(kCore.begin(), kCore.begin() + static_cast<ptrdiff_t>(count));
  };
  size_t worlds = 0;
  for (const bool made : {true, false}) {
    run_all(2, kAll, made, worlds);
    run_all(3, few ? first(3) : longer ? kAll : kCore, made, worlds);
    if (longer) run_all(4, first(4), made, worlds);
  }
  std::printf("%zu small worlds\n", worlds);
}

TEST(EverySmallWorld, OfRulesIsWhatItsHistorySays) {
  const bool few = std::getenv("OUTRIGGER_WORLDS") != nullptr;
  const Policy policy(rules());
  size_t worlds = 0;
  for (const bool made : {true, false}) {
    run_all(2, kRuled, made, worlds, {&policy});
    run_all(3, std::vector<Act>(kRuled.begin(), kRuled.begin() + (few ? 3 : 6)), made, worlds,
            {&policy});
  }
  std::printf("%zu small worlds\n", worlds);
}

TEST(EverySmallWorld, WithinBoundsIsWhatItsHistorySays) {
  const bool few = std::getenv("OUTRIGGER_WORLDS") != nullptr;
  const Policy one(within(Bounds{0, 4}));
  const Policy other(within(Bounds{-2, 1}));
  const Policy none(within(std::nullopt));
  const std::vector<Act> some(kBounded.begin(), kBounded.begin() + (few ? 3 : 5));
  size_t worlds = 0;
  for (const bool made : {true, false}) {
    run_all(2, kBounded, made, worlds, {&one});
    run_all(3, some, made, worlds, {&one});
    run_all(3, some, made, worlds, {&one, &other, &none});
  }
  std::printf("%zu small worlds\n", worlds);
}

TEST(EverySmallWorld, OfSetsIsWhatItsHistorySays) {
  const bool few = std::getenv("OUTRIGGER_WORLDS") != nullptr;
  const Policy policy(removals_win());
  size_t worlds = 0;
  for (const bool made : {true, false}) {
    run_all(2, kSets, made, worlds, {&policy});
    run_all(3, std::vector<Act>(kSets.begin(), kSets.begin() + (few ? 3 : 6)), made, worlds,
            {&policy});
  }
  std::printf("%zu small worlds\n", worlds);
}

TEST(EverySmallWorld, OfInsertsThatMergeIsWhatItsHistorySays) {
  const bool few = std::getenv("OUTRIGGER_WORLDS") != nullptr;
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  rule.inserts = InsertPolicy::kMerge;
  const Policy policy(settings);
  size_t worlds = 0;
  for (const bool made : {true, false}) {
    run_all(2, kInserting, made, worlds, {&policy});
    run_all(3, std::vector<Act>(kInserting.begin(), kInserting.begin() + (few ? 3 : 5)), made,
            worlds, {&policy});
  }
  std::printf("%zu small worlds\n", worlds);
}

}  // namespace
}  // namespace outrigger::merge
