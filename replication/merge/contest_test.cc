// Values that sites gave to one path without seeing each other's, and the rule that chooses.
#include "config/policy.h"
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

bson::OwnedValue date(int64_t ms) {
  const std::string document = bson::Writer().date("d", ms).finish();
  return bson::OwnedValue(*bson::Document(document).find("d"));
}
bson::OwnedValue object_id(char first) {
  return {bson::Type::kObjectId, first + std::string(11, 'x')};
}
// So many units of the tenth power of ten that `exponent` says.
bson::OwnedValue decimal(uint8_t units, int exponent) {
  constexpr int kBias = 6176;
  const auto high = static_cast<unsigned>((kBias + exponent) << 1);
  std::string bytes(16, '\0');
  bytes[0] = static_cast<char>(units);
  bytes[14] = static_cast<char>(high & 0xff);
  bytes[15] = static_cast<char>(high >> 8);
  return {bson::Type::kDecimal128, bytes};
}

class ContestTest : public MergeTest {
 protected:
  void rule(const Path& pattern, PathType type, std::vector<std::string> preferred = {}) {
    settings_ = {};
    ReplicateRule& all = settings_.replicate.emplace_back();
    all.namespace_glob = "*";
    all.fields.push_back({pattern, type, std::move(preferred)});
    policy_.emplace(settings_);
    for (WorldSite* site : all_) site->policy = &*policy_;
  }
  // A path "v" that two sites give a value, the first named first; what shows, at all of them.
  bson::OwnedValue between(const bson::OwnedValue& older, const bson::OwnedValue& newer) {
    insert(a_, {{"v", i32(0)}});
    exchange();
    set(a_, "v", older);
    set(b_, "v", newer);
    exchange();
    const auto shown = stored(c_).find("v");
    const bson::OwnedValue value = shown ? bson::OwnedValue(*shown) : bson::OwnedValue();
    all_show({{"v", value}});
    remove(a_);
    forget();
    return value;
  }
  size_t contenders(const WorldSite& site) const {
    const DocumentState state = site.load(id_);
    if (state.incarnations.empty()) return 0;
    const auto& contests = state.incarnations.front().body.contests;
    return contests.empty() ? 0 : contests.begin()->second.contenders.size();
  }
  Policy of_site(const std::string& name) {
    settings_.site = name;
    return Policy(settings_);
  }
  Settings settings_;
  std::optional<Policy> policy_;
};

TEST_F(ContestTest, TheFirstOfTwoShows) {
  rule({"v"}, PathType::kFirstWins);
  EXPECT_EQ(between(i32(1), i32(9)), i32(1));
  EXPECT_EQ(between(i32(9), i32(1)), i32(9));
}

TEST_F(ContestTest, TheLargestAndTheSmallestInMongodbsOrder) {
  rule({"v"}, PathType::kMax);
  EXPECT_EQ(between(i32(9), i32(1)), i32(9));
  EXPECT_EQ(between(bson::make_double(9.5), bson::make_int64(9)), bson::make_double(9.5));
  EXPECT_EQ(between(text("a"), i32(9)), text("a"));
  EXPECT_EQ(between(i32(1), bson::make_int64(1)), bson::make_int64(1));  // the newer of equal ones
  rule({"v"}, PathType::kMin);
  EXPECT_EQ(between(i32(1), i32(9)), i32(1));
  EXPECT_EQ(between(i32(9), text("a")), i32(9));
}

TEST_F(ContestTest, TheLaterOfTwoDatesIsTheLarger) {
  const bson::OwnedValue before_1970 = date(-86'400'000);
  const bson::OwnedValue in_1970 = date(255);
  const bson::OwnedValue in_2026 = date(1'795'375'140'641);
  rule({"v"}, PathType::kMax);
  EXPECT_EQ(between(in_2026, in_1970), in_2026);
  EXPECT_EQ(between(in_1970, before_1970), in_1970);
  EXPECT_EQ(between(before_1970, in_2026), in_2026);
  rule({"v"}, PathType::kMin);
  EXPECT_EQ(between(in_1970, in_2026), in_1970);
  EXPECT_EQ(between(before_1970, in_1970), before_1970);
}

TEST_F(ContestTest, IdsAndDecimalsHaveALargerAndASmallerOne) {
  const auto expect = [&](const bson::OwnedValue& smaller, const bson::OwnedValue& larger) {
    rule({"v"}, PathType::kMax);
    EXPECT_EQ(between(larger, smaller), larger);
    EXPECT_EQ(between(smaller, larger), larger);
    rule({"v"}, PathType::kMin);
    EXPECT_EQ(between(larger, smaller), smaller);
    EXPECT_EQ(between(smaller, larger), smaller);
  };
  expect(object_id('a'), object_id('b'));
  expect(object_id('a'), object_id('\xf0'));  // bytes have no sign
  expect(decimal(200, -2), decimal(3, 0));    // 2.00 and 3
  expect(decimal(9, -1), i32(1));             // 0.9
  expect(bson::make_double(0.5), decimal(6, -1));
}

TEST_F(ContestTest, TheLastInTheListShowsAndOthersLoseToThoseInIt) {
  rule({"v"}, PathType::kPrefer, {"open", "paid", "shipped"});
  EXPECT_EQ(between(text("shipped"), text("paid")), text("shipped"));
  EXPECT_EQ(between(text("open"), text("cancelled")), text("open"));
  EXPECT_EQ(between(text("lost"), text("stolen")), text("stolen"));
  EXPECT_EQ(between(text("open"), i32(7)), text("open"));
}

TEST_F(ContestTest, TheValueOfTheSiteThatStandsLastInTheListShows) {
  rule({"v"}, PathType::kSite, {"oslo", "paris"});
  const Policy oslo = of_site("oslo");
  const Policy paris = of_site("paris");
  const Policy rome = of_site("rome");
  a_.policy = &oslo;
  b_.policy = &paris;
  EXPECT_EQ(between(i32(1), i32(2)), i32(2));
  std::swap(a_.policy, b_.policy);
  EXPECT_EQ(between(i32(1), i32(2)), i32(1));
  b_.policy = &rome;
  EXPECT_EQ(between(i32(1), i32(2)), i32(1));
  a_.policy = &rome;
  EXPECT_EQ(between(i32(1), i32(2)), i32(2));
}

TEST_F(ContestTest, TheLongestTextInCharacters) {
  rule({"v"}, PathType::kLongest);
  EXPECT_EQ(between(text("long"), text("no")), text("long"));
  EXPECT_EQ(between(text("abc"), text("\xc3\xa4\xc3\xb6")), text("abc"));
  EXPECT_EQ(between(text("x"), i32(123456)), text("x"));
}

TEST_F(ContestTest, AllConcurrentValuesStayUntilTheyAreSettledAndTheLatestShows) {
  rule({"v"}, PathType::kMultiValue);
  insert(a_, {{"v", i32(0)}});
  exchange();
  set(a_, "v", i32(1));
  set(b_, "v", i32(2));
  set(c_, "v", i32(3));
  all_show({{"v", i32(3)}});
  for (const WorldSite* site : all_) EXPECT_EQ(contenders(*site), 3u);
  set(a_, "v", i32(4));
  all_show({{"v", i32(4)}});
  for (const WorldSite* site : all_) EXPECT_EQ(contenders(*site), 1u);
  forget();
}

TEST_F(ContestTest, UnitedShowAllDistinctElementsThoseOfTheEarlierFirst) {
  rule({"v"}, PathType::kUnion);
  EXPECT_EQ(between(array({text("a"), text("b")}), array({text("c"), text("a")})),
            array({text("a"), text("b"), text("c")}));
  EXPECT_EQ(between(array({i32(1), i32(1)}), array({bson::make_double(1), i32(2)})),
            array({i32(1), i32(2)}));
  EXPECT_EQ(between(array({i32(1), i32(1)}), array({i32(1), i32(1)})), array({i32(1), i32(1)}));
  EXPECT_EQ(between(i32(1), bson::make_int64(1)), bson::make_int64(1));
  EXPECT_EQ(between(text("a"), array({text("b")})), array({text("a"), text("b")}));
  EXPECT_EQ(between(doc({{"x", i32(1)}}), doc({{"x", i32(2)}})),
            array({doc({{"x", i32(1)}}), doc({{"x", i32(2)}})}));
  all_lost({});
}

TEST_F(ContestTest, WhoHasSeenAUnionReplacesAllThatIsInItAndOthersStay) {
  rule({"v"}, PathType::kUnion);
  insert(a_, {{"v", array({i32(0)})}});
  exchange();
  set(a_, "v", array({i32(1)}));
  set(b_, "v", array({i32(2)}));
  pull(c_, a_);
  set(c_, "v", array({i32(3)}));  // in place of that of `a`
  all_show({{"v", array({i32(2), i32(3)})}});
  set(b_, "v", array({i32(3)}));
  all_show({{"v", array({i32(3)})}});
  all_lost({});
  forget();
}

TEST_F(ContestTest, WhatIsTakenAwayIsInNoUnionAndInTheLedger) {
  rule({"v"}, PathType::kUnion);
  insert(a_, {{"v", array({i32(0)})}, {"w", i32(0)}});
  exchange();
  unset(a_, "v");
  set(b_, "v", array({i32(2)}));
  set(c_, "v", array({i32(3)}));
  all_show({{"v", array({i32(2), i32(3)})}, {"w", i32(0)}});
  all_lost({"1/v unset"});
}

TEST_F(ContestTest, OfWhatIsTooLargeToUniteTheNewestShowsAndTheLedgerHasTheOthers) {
  rule({"v"}, PathType::kUnion);
  insert(a_, {{"v", array({})}});
  exchange();
  const auto large = [](char fill) { return array({text(std::string(kUnionBytesMax / 2, fill))}); };
  set(a_, "v", large('a'));
  set(b_, "v", large('b'));
  exchange();
  all_show({{"v", large('b')}});
  for (const WorldSite* site : all_) {
    ASSERT_EQ(losses_of(*site).size(), 1u);
    EXPECT_EQ(losses_of(*site).front().value, large('a'));
    EXPECT_EQ(to_text(losses_of(*site).front().rule), "union");
  }
  set(c_, "v", array({i32(1)}));
  all_show({{"v", array({i32(1)})}});
  forget();
}

TEST_F(ContestTest, AUnionThatNoLongerFitsLosesWhatItHadShown) {
  rule({"v"}, PathType::kUnion);
  insert(a_, {{"v", array({})}});
  exchange();
  set(a_, "v", array({i32(1)}));
  set(b_, "v", array({i32(2)}));
  pull(a_, b_);
  pull(b_, a_);
  const bson::OwnedValue large = array({text(std::string(kUnionBytesMax, 'c'))});
  set(c_, "v", large);
  all_show({{"v", large}});
  all_lost({"1/v [1]", "1/v [2]"});
}

TEST_F(ContestTest, AUnionGivesWayToAContainerAboveItThatHadSeenPartOfIt) {
  rule({"c", "v"}, PathType::kUnion);
  insert(a_, {{"c", doc({{"v", array({i32(0)})}})}});
  exchange();
  set(a_, "c.v", array({i32(1)}));
  pull(b_, a_);
  replace(b_, {{"c", doc({{"v", array({i32(2)})}, {"x", i32(1)}})}});
  set(c_, "c.v", array({i32(3)}));
  all_show({{"c", doc({{"v", array({i32(2), i32(3)})}, {"x", i32(1)}})}});
  set(a_, "c", i32(5));
  set(b_, "c.v", array({i32(6)}));
  exchange();
  forget();
}

TEST_F(ContestTest, WhoHasSeenAValueReplacesItWhateverTheRuleSays) {
  rule({"v"}, PathType::kMax);
  insert(a_, {{"v", i32(0)}});
  exchange();
  set(a_, "v", i32(9));
  pull(b_, a_);
  set(b_, "v", i32(1));
  set(c_, "v", i32(5));
  all_show({{"v", i32(5)}});
  EXPECT_EQ(lost(a_), std::vector<std::string>{"1/v 1"});
}

TEST_F(ContestTest, OfWhatComesTogetherAValueThatStandsIsNotSaidToHaveLost) {
  rule({"v"}, PathType::kMax);
  insert(a_, {{"v", i32(0)}});
  exchange();
  set(a_, "v", i32(9));
  set(a_, "v", i32(1));
  set(b_, "v", i32(5));
  pull_at_once(b_, a_);
  EXPECT_EQ(lost(b_), std::vector<std::string>{"1/v 1"});
}

TEST_F(ContestTest, ALoserIsToldOfWithTheRuleThatDecided) {
  rule({"v"}, PathType::kMax);
  insert(a_, {{"v", i32(0)}});
  exchange();
  set(a_, "v", i32(9));
  set(b_, "v", i32(1));
  exchange();
  all_lost({"1/v 1"});
  for (const WorldSite* site : all_) {
    EXPECT_EQ(to_text(losses_of(*site).front().rule), "max");
    EXPECT_EQ(losses_of(*site).front().winning, i32(9));
  }
}

TEST_F(ContestTest, AnUnsetLosesToAValueAndStandsWhereItWasSeen) {
  rule({"v"}, PathType::kMin);
  insert(a_, {{"v", i32(0)}, {"w", i32(0)}});
  exchange();
  set(a_, "v", i32(9));
  unset(b_, "v");
  all_show({{"v", i32(9)}, {"w", i32(0)}});
  unset(c_, "v");
  all_show({{"w", i32(0)}});
  forget();
}

TEST_F(ContestTest, AReplacementAndAContainerTakePartInIt) {
  rule({"c", "v"}, PathType::kMax);
  insert(a_, {{"c", doc({{"v", i32(0)}})}});
  exchange();
  set(a_, "c.v", i32(9));
  replace(b_, {{"c", doc({{"v", i32(1)}, {"x", i32(1)}})}});
  set(c_, "c", doc({{"v", i32(5)}, {"x", i32(2)}}));
  all_show({{"c", doc({{"v", i32(9)}, {"x", i32(2)}})}});
  set(b_, "c", doc({{"x", i32(3)}}));
  all_show({{"c", doc({{"x", i32(3)}})}});
  forget();
}

TEST_F(ContestTest, TwoUpsertsAreInIt) {
  rule({"v"}, PathType::kMax);
  upsert(a_, {{"v", i32(9)}, {"a", i32(1)}});
  upsert(b_, {{"v", i32(1)}, {"b", i32(1)}});
  all_show({{"v", i32(9)}, {"a", i32(1)}, {"b", i32(1)}});
  forget();
}

TEST_F(ContestTest, ADocumentIsOneValueInIt) {
  rule({"v"}, PathType::kFirstWins);
  insert(a_, {{"w", i32(0)}});
  exchange();
  set(a_, "v", doc({{"x", i32(1)}, {"y", i32(1)}}));
  set(b_, "v", doc({{"x", i32(2)}}));
  all_show({{"w", i32(0)}, {"v", doc({{"x", i32(1)}, {"y", i32(1)}})}});
  all_lost({"1/v {\"x\": 2}"});
  forget();
}

TEST_F(ContestTest, TheRowOfWhatIsContestedIsReadBack) {
  rule({"v"}, PathType::kPrefer, {"open", "paid"});
  insert(a_, {{"v", text("open")}});
  exchange();
  set(a_, "v", text("paid"));
  set(b_, "v", text("open"));
  exchange();
  const std::string row = c_.rows.at("d");
  DocumentState state = c_.load("d");
  fill(state, stored(c_));
  EXPECT_EQ(strip(state), row);
  for (size_t cut = 1; cut < row.size(); ++cut) EXPECT_FALSE(load_row(row.substr(0, cut)));
}

TEST_F(ContestTest, ADeleteTakesAllOfItAlong) {
  rule({"v"}, PathType::kMax);
  insert(a_, {{"v", i32(0)}});
  exchange();
  set(a_, "v", i32(9));
  set(b_, "v", i32(1));
  remove(c_);
  all_gone();
}

TEST(ValueOrder, IsThatOfMongodb) {
  const std::string min;
  const bson::OwnedValue ascending[] = {
      {bson::Type::kMinKey, min},
      {},
      bson::make_double(-1.5),
      i32(1),
      decimal(15, -1),
      bson::make_int64(2),
      decimal(3, 0),
      text("a"),
      text("b"),
      doc({{"a", i32(2)}}),
      doc({{"b", i32(1)}}),
      doc({{"b", i32(1)}, {"c", i32(1)}}),
      doc({{"a", text("a")}}),  // kinds of values go before names
      array({}),
      array({i32(1)}),
      {bson::Type::kBinary, std::string("\1\0\0\0\0z", 6)},
      {bson::Type::kBinary, std::string("\2\0\0\0\0aa", 7)},
      object_id('a'),
      object_id('\xf0'),
      bson::make_bool(false),
      bson::make_bool(true),
      date(-1),
      date(0),
      date(256),
      date(511),
      {bson::Type::kTimestamp, std::string("\7\0\0\0\1\0\0\0", 8)},
      {bson::Type::kTimestamp, std::string("\1\0\0\0\2\0\0\0", 8)},
      {bson::Type::kMaxKey, min},
  };
  for (const bson::OwnedValue& a : ascending) {
    for (const bson::OwnedValue& b : ascending) {
      const int order = compare_values(a.view(), b.view());
      EXPECT_EQ(order < 0, &a < &b) << bson::to_json(a.view()) << " " << bson::to_json(b.view());
      EXPECT_EQ(order > 0, &a > &b) << bson::to_json(a.view()) << " " << bson::to_json(b.view());
    }
  }
}

}  // namespace
}  // namespace outrigger::merge
