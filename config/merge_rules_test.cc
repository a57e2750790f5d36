#include "config/merge_rules.h"

#include <gtest/gtest.h>

#include "config/loader.h"
#include "config/policy.h"

namespace outrigger {
namespace {

Settings with_fields(const std::string& fields) {
  const std::string text =
      "site: a\ndata_dir: /d\nstore: {uri: 'mongodb://h:1'}\nreplicate:\n"
      "  - namespace: shop.carts\n    fields: " +
      fields + "\n";
  auto settings = parse_settings(text, "a.yaml");
  EXPECT_TRUE(settings) << describe(settings.error());
  return settings ? *settings : Settings();
}

TEST(MergeRules, WithoutRulesEveryPathMergesByOperation) {
  EXPECT_EQ(MergeRules().at({"a"}).type, PathType::kByOperation);
  const Policy policy(with_fields("{a: counter}"));
  EXPECT_EQ(policy.merge_rules("shop.carts").at({"a"}).type, PathType::kCounter);
  EXPECT_EQ(policy.merge_rules("shop.carts").at({"a", "b"}).rule, nullptr);
  EXPECT_EQ(policy.merge_rules("shop.others").at({"a"}).rule, nullptr);
}

TEST(MergeRules, TheFirstMatchInTheOrderWrittenDecides) {
  const Policy policy(with_fields("{z.n: counter, '*.n': list, 'a.**': counter}"));
  const MergeRules rules = policy.merge_rules("shop.carts");
  EXPECT_EQ(rules.at({"z", "n"}).type, PathType::kCounter);
  EXPECT_EQ(rules.at({"a", "n"}).type, PathType::kList);
  EXPECT_EQ(rules.at({"a", "b"}).type, PathType::kCounter);
  EXPECT_EQ(rules.at({"a", "b", "c"}).type, PathType::kCounter);
  EXPECT_EQ(rules.at({"a"}).rule, nullptr);
  EXPECT_EQ(rules.at({"b", "c", "n"}).rule, nullptr);
}

TEST(MergeRules, NoneHasASayInTheDatabaseThatTheSidecarServesItself) {
  Settings settings;
  ReplicateRule& all = settings.replicate.emplace_back();
  all.namespace_glob = "*";
  all.escalate.always = true;
  const Policy policy(settings);
  EXPECT_TRUE(policy.merge_rules("shop.carts").escalation({"a"}).always);
  EXPECT_FALSE(policy.merge_rules("outrigger.catalog").escalation({"indexes", "a_1"}).always);
}

TEST(MergeRules, OfWhatIsKeptWholeThePathAboveDecides) {
  const Policy policy(with_fields("{'home.*': atomic, note: lww}"));
  const PathRuling inside = policy.merge_rules("shop.carts").at({"home", "at", "lat"});
  EXPECT_EQ(inside.type, PathType::kAtomic);
  EXPECT_EQ(inside.depth, 2u);
  EXPECT_EQ(policy.merge_rules("shop.carts").at({"note", "x"}).rule, nullptr);
  EXPECT_EQ(Policy(with_fields("{'**': atomic}")).merge_rules("shop.carts").at({"_id"}).rule,
            nullptr);
}

TEST(MergeRules, FieldsAreAPartOfThePolicyAndItsHash) {
  const Policy one(with_fields("{a: counter, b: list}"));
  const Policy other(with_fields("{b: list, a: counter}"));
  EXPECT_NE(one.hash(), other.hash());
  const Policy third(with_fields("{a: counter, b: counter}"));
  EXPECT_EQ(policy_difference(one.lines(), third.lines()),
            (std::vector<std::string>{"- namespace: shop.carts, field: b = list",
                                      "+ namespace: shop.carts, field: b = counter"}));
}

TEST(MergeRules, AUnionIsOneValueWithAllThatIsInIt) {
  const Settings settings = with_fields("{labels: union}");
  const Policy policy(settings);
  const PathRuling inside = policy.merge_rules("shop.carts").at({"labels", "0"});
  EXPECT_EQ(inside.type, PathType::kUnion);
  EXPECT_EQ(inside.depth, 1u);
  EXPECT_TRUE(is_assigned(inside.type));
  EXPECT_EQ(policy.lines()[3], "namespace: shop.carts, field: labels = union");
  EXPECT_NE(explain_path(settings, "a.yaml", "shop.carts", "labels").find("is united: an array of"),
            std::string::npos);
}

TEST(MergeRules, TheFieldOfVersionsIsAPartOfThePolicy) {
  const Settings settings = with_fields("{v: lww}\n    version_field: meta.v");
  const Policy policy(settings);
  const MergeRules rules = policy.merge_rules("shop.carts");
  for (const std::vector<std::string>& path :
       {std::vector<std::string>{"meta", "v"}, std::vector<std::string>{"meta"},
        std::vector<std::string>{"meta", "v", "x"}}) {
    EXPECT_TRUE(rules.gives_version(path));
  }
  EXPECT_FALSE(rules.gives_version({"meta", "w"}));
  EXPECT_FALSE(rules.gives_version({"v"}));
  EXPECT_FALSE(policy.merge_rules("shop.others").gives_version({"meta", "v"}));
  EXPECT_FALSE(MergeRules().gives_version({"meta", "v"}));
  EXPECT_EQ(policy.lines()[2],
            "namespace: shop.carts, deletes: delete_wins, version_field: meta.v");
  EXPECT_NE(explain_path(settings, "a.yaml", "shop.carts", "x")
                .find("version_field: meta.v: a write that names it gives the whole document"),
            std::string::npos);
}

TEST(MergeRules, WhatBecomesOfDuplicatesIsAPartOfThePolicy) {
  const Settings settings = with_fields("{v: lww}\n    unique: keep");
  const Policy policy(settings);
  EXPECT_TRUE(policy.merge_rules("shop.carts").keeps_duplicates());
  EXPECT_FALSE(policy.merge_rules("shop.others").keeps_duplicates());
  EXPECT_EQ(policy.lines()[2], "namespace: shop.carts, deletes: delete_wins, unique: keep");
  EXPECT_NE(
      explain_path(settings, "a.yaml", "shop.carts", "x").find("unique: keep: documents that"),
      std::string::npos);
  EXPECT_EQ(Policy(with_fields("{v: lww}")).hash(),
            Policy(with_fields("{v: lww}\n    unique: park")).hash());
}

TEST(MergeRules, WhatIsPreferredIsAPartOfTheLine) {
  const Policy policy(with_fields("{status: 'prefer[open,  paid ,shipped]', a: max}"));
  const PathRuling ruling = policy.merge_rules("shop.carts").at({"status"});
  EXPECT_EQ(ruling.type, PathType::kPrefer);
  EXPECT_EQ(ruling.rule->preferred, (std::vector<std::string>{"open", "paid", "shipped"}));
  EXPECT_EQ(policy.lines()[3],
            "namespace: shop.carts, field: status = prefer[open, paid, shipped]");
}

TEST(MergeRules, WhatTellsElementsApartIsAPartOfTheLine) {
  const Policy policy(with_fields("{items: keyed( sku ), tags: set, whole: lww, l: list}"));
  const MergeRules rules = policy.merge_rules("shop.carts");
  EXPECT_EQ(policy.lines()[3], "namespace: shop.carts, field: items = keyed(sku)");
  EXPECT_EQ(element_key_of(rules.at({"items"})), "sku");
  EXPECT_EQ(element_key_of(rules.at({"l"})), "_id");
  EXPECT_EQ(element_key_of(rules.at({"other"})), "_id");
  EXPECT_EQ(element_key_of(rules.at({"tags"})), "");
  EXPECT_EQ(element_key_of(rules.at({"whole"})), "");
}

TEST(MergeRules, OfASetSayWhetherRemovalsWin) {
  const auto wins = parse_path_type("set( remove_wins )");
  ASSERT_TRUE(wins);
  EXPECT_EQ(wins->type, PathType::kSet);
  EXPECT_TRUE(wins->removals_win);
  EXPECT_FALSE(parse_path_type("set")->removals_win);
  for (const char* wrong : {"set()", "set(add_wins)", "set(remove_wins", "list(remove_wins)"}) {
    EXPECT_FALSE(parse_path_type(wrong)) << wrong;
  }
  const Settings settings = with_fields("{tags: set(remove_wins)}");
  const Policy adds(with_fields("{tags: set}"));
  EXPECT_FALSE(do_removals_win(adds.merge_rules("shop.carts").at({"tags"})));
  const Policy policy(settings);
  EXPECT_EQ(policy.lines()[3], "namespace: shop.carts, field: tags = set(remove_wins)");
  EXPECT_TRUE(do_removals_win(policy.merge_rules("shop.carts").at({"tags"})));
  EXPECT_NE(policy.hash(), adds.hash());
  EXPECT_NE(
      explain_path(settings, "a.yaml", "shop.carts", "tags")
          .find("'tags = set(remove_wins)' decides: an array in which equal elements show once, "
                "and from which what was taken away stays away"),
      std::string::npos);
}

TEST(MergeRules, APathOrANamespaceEscalates) {
  Settings settings = with_fields("{v: {type: max, escalate: true}, w: max}");
  const Policy policy(settings);
  EXPECT_TRUE(policy.merge_rules("shop.carts").escalation({"v", "x"}).always);
  EXPECT_FALSE(policy.merge_rules("shop.carts").escalation({"w"}).always);
  EXPECT_FALSE(policy.merge_rules("shop.carts").escalation({}).always);
  EXPECT_EQ(policy.lines()[3], "namespace: shop.carts, field: v = max, escalate: true");
  settings.replicate[0].escalate.always = true;
  const Policy all(settings);
  EXPECT_TRUE(all.merge_rules("shop.carts").escalation({}).always);
  EXPECT_TRUE(all.merge_rules("shop.carts").escalation({"w"}).always);
  EXPECT_EQ(all.lines()[2], "namespace: shop.carts, deletes: delete_wins, escalate: true");
}

TEST(MergeRules, WhetherUpdatesWinIsPartOfThePolicy) {
  Settings settings = with_fields("{v: max}");
  const uint64_t before = Policy(settings).hash();
  EXPECT_FALSE(Policy(settings).merge_rules("shop.carts").updates_win());
  settings.replicate[0].deletes = DeletePolicy::kUpdateWins;
  const Policy policy(settings);
  EXPECT_TRUE(policy.merge_rules("shop.carts").updates_win());
  EXPECT_FALSE(policy.merge_rules("shop.other").updates_win());
  EXPECT_FALSE(policy.merge_rules("outrigger.status").updates_win());
  EXPECT_EQ(policy.lines()[2], "namespace: shop.carts, deletes: update_wins");
  EXPECT_NE(policy.hash(), before);
  EXPECT_NE(explain_path(settings, "a.yaml", "shop.carts", "v").find("deletes: update_wins:"),
            std::string::npos);
}

TEST(MergeRules, WhetherInsertsMergeIsPartOfThePolicy) {
  EXPECT_FALSE(Policy(with_fields("{v: max}")).merge_rules("shop.carts").inserts_merge());
  const Settings settings = with_fields("{v: max}\n    inserts: merge");
  const Policy policy(settings);
  EXPECT_TRUE(policy.merge_rules("shop.carts").inserts_merge());
  EXPECT_FALSE(policy.merge_rules("shop.other").inserts_merge());
  EXPECT_EQ(policy.lines()[2], "namespace: shop.carts, deletes: delete_wins, inserts: merge");
  EXPECT_NE(explain_path(settings, "a.yaml", "shop.carts", "v").find("inserts: merge:"),
            std::string::npos);
}

TEST(MergeRules, WhatIsNoPolicyOfInsertsIsRefused) {
  const auto wrong = [](const std::string& words) {
    const auto settings = parse_settings(
        "site: a\ndata_dir: /d\nstore: {uri: 'mongodb://h:1'}\nreplicate:\n"
        "  - {namespace: a.b, " +
            words + "}\n",
        "a.yaml");
    return settings ? std::string() : describe(settings.error());
  };
  EXPECT_EQ(wrong("inserts: later, version_field: v"), "");
  EXPECT_NE(wrong("inserts: both").find("a.yaml:5: replicate[0].inserts: expected later or merge"),
            std::string::npos)
      << wrong("inserts: both");
  EXPECT_NE(wrong("inserts: merge, version_field: v")
                .find("a.yaml:5: replicate[0].inserts: expected no inserts: merge beside"),
            std::string::npos)
      << wrong("inserts: merge, version_field: v");
  EXPECT_NE(wrong("inserts: merge, replicate: false").find("expected no merge rule"),
            std::string::npos);
}

TEST(ExplainPath, NamesTheRuleItsLineAndWhatItMeans) {
  const Settings settings = with_fields("\n      items: list\n      '**': counter");
  const auto explain = [&](const char* path) {
    return explain_path(settings, "a.yaml", "shop.carts", path);
  };
  EXPECT_NE(explain("items").find("a.yaml:7: 'items = list' decides: an array whose elements"),
            std::string::npos)
      << explain("items");
  EXPECT_NE(explain("total").find("a.yaml:8: '** = counter' decides"), std::string::npos);
  EXPECT_NE(explain("total").find("a.yaml:5: the rule of namespace 'shop.carts'"),
            std::string::npos);
  EXPECT_NE(explain_path(settings, "a.yaml", "other.x", "a").find("no rule names this namespace"),
            std::string::npos);
}

// What is said of items.3.qty.
std::string said_of_quantity(const std::string& fields) {
  return explain_path(with_fields(fields), "a.yaml", "shop.carts", "items.3.qty");
}

TEST(ExplainPath, WhatMayBeAPositionIsExplainedForADocumentAndForAnArray) {
  const std::string why = said_of_quantity("\n      items: list\n      items.*.qty: max");
  EXPECT_NE(why.find("where items is a document: a.yaml:8: 'items.*.qty = max' decides"),
            std::string::npos)
      << why;
  EXPECT_NE(why.find("where items is an array: a.yaml:7: 'items = list' decides"),
            std::string::npos)
      << why;
  EXPECT_NE(why.find("items.3.qty is in an element of it, and what is in an element merges field"),
            std::string::npos)
      << why;
  const std::string starred =
      explain_path(with_fields("{items.*.qty: max}"), "a.yaml", "shop.carts", "items.*.qty");
  EXPECT_NE(starred.find("where items is an array: no pattern matches: the default"),
            std::string::npos)
      << starred;
}

TEST(ExplainPath, ARuleThatIsNotTheArraysSaysNothingOfItsElements) {
  for (const char* fields : {"{items.*.qty: max}", "{'items.*': atomic}", "{'items.**': lww}"}) {
    const std::string why = said_of_quantity(fields);
    EXPECT_NE(why.find("where items is an array: no pattern matches: the default decides"),
              std::string::npos)
        << why;
    EXPECT_EQ(why.find("part of the value of the array"), std::string::npos) << why;
  }
  const std::string atomic = said_of_quantity("{'items.*': atomic}");
  EXPECT_NE(atomic.find("where items is a document: a.yaml:6: 'items.* = atomic' decides"),
            std::string::npos)
      << atomic;
  EXPECT_NE(atomic.find("items.3.qty is a part of the value at items.3\n"), std::string::npos);
}

TEST(ExplainPath, AnArrayThatIsOneValueHoldsItsElements) {
  const std::string lww = said_of_quantity("{items: lww}");
  EXPECT_NE(lww.find("an element of it, which is a part of the value"), std::string::npos) << lww;
  const std::string atomic = said_of_quantity("{items: atomic}");
  EXPECT_NE(atomic.find("items.3.qty is a part of the value at items\n"), std::string::npos);
  EXPECT_EQ(atomic.find("where items is"), std::string::npos) << "for both alike: " << atomic;
}

TEST(ExplainPath, SaysThatItIsTheFileThatItExplains) {
  EXPECT_NE(said_of_quantity("{items: lww}").find("This is what a.yaml says; what sites have"),
            std::string::npos);
}

TEST(ExplainPath, PatternsThatMayBeMeantForElementsAreNamed) {
  const auto warned = [](const std::string& fields) {
    return rules_of_documents_alone(with_fields(fields), "a.yaml");
  };
  EXPECT_TRUE(warned("{items: list, '*.count': counter, deep.best: max, '**': lww}").empty());
  for (const char* pattern : {"items.*.qty", "items.3", "items.*", "items.**", "a.items.0.x"}) {
    const auto lines = warned("{'" + std::string(pattern) + "': max}");
    ASSERT_EQ(lines.size(), 1u) << pattern;
    EXPECT_NE(lines[0].find("a.yaml:6: '" + std::string(pattern) + " = max' holds where"),
              std::string::npos)
        << lines[0];
  }
}

TEST(ExplainPath, WhatStaysHereIsSaidToStay) {
  EXPECT_NE(explain_path(Settings(), "a.yaml", "local.x", "a").find("does not travel"),
            std::string::npos);
}

}  // namespace
}  // namespace outrigger
