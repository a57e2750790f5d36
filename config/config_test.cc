#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <algorithm>
#include <sstream>

#include "config/clock.h"
#include "config/loader.h"
#include "config/log.h"
#include "config/metrics.h"
#include "config/policy.h"
#include "config/printable.h"
#include "config/store_uri.h"
#include "config/units.h"

namespace outrigger {
namespace {

Policy policy_of(std::vector<ReplicateRule> rules, EqualSet equal_set = EqualSet::kKeep) {
  Settings settings;
  settings.replicate = std::move(rules);
  settings.equal_set = equal_set;
  return Policy(settings);
}

TEST(Glob, StarMatchesAnyRunOfBytes) {
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("shop.*", "shop.a.b"));
  EXPECT_TRUE(glob_matches("*.carts", "shop.eu.carts"));
  EXPECT_TRUE(glob_matches("a*b*c", "abbbc"));
  EXPECT_TRUE(glob_matches("a**", "a"));
  EXPECT_FALSE(glob_matches("shop.*", "shop"));
  EXPECT_FALSE(glob_matches("a*b", "abc"));
  EXPECT_FALSE(glob_matches("", "a"));
}

TEST(Glob, TwoOverlapWhereATextMatchesBoth) {
  EXPECT_TRUE(globs_overlap("shop.*", "*.carts"));
  EXPECT_TRUE(globs_overlap("a*", "a"));
  EXPECT_TRUE(globs_overlap("a*b*", "*c"));
  EXPECT_TRUE(globs_overlap("", "**"));
  EXPECT_FALSE(globs_overlap("shop.*", "blog.*"));
  EXPECT_FALSE(globs_overlap("a*b", "*c"));
  EXPECT_FALSE(globs_overlap("a", ""));
}

TEST(Glob, OverlapIsWhatTheirTextsSay) {
  std::vector<std::string> texts = {""};
  std::vector<std::string> globs = {""};
  const auto longer = [](std::vector<std::string>& all, const std::string& of, size_t length) {
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].size() == length) continue;
      for (const char c : of) all.push_back(all[i] + c);
    }
  };
  longer(texts, "ab", 6);
  longer(globs, "ab*", 3);
  for (const std::string& a : globs) {
    for (const std::string& b : globs) {
      const bool both = std::any_of(texts.begin(), texts.end(), [&](const std::string& text) {
        return glob_matches(a, text) && glob_matches(b, text);
      });
      EXPECT_EQ(globs_overlap(a, b), both) << a << " and " << b;
    }
  }
}

TEST(Policy, SelectionIsWhatTravelsAlone) {
  ReplicateRule carts{"shop.carts"};
  const ReplicateRule audit{"audit.*", false};
  const uint64_t selection = policy_of({carts, audit}).selection();
  carts.deletes = DeletePolicy::kUpdateWins;
  EXPECT_EQ(policy_of({carts, audit}).selection(), selection);
  EXPECT_EQ(policy_of({audit}).selection(), selection);
  EXPECT_NE(policy_of({carts}).selection(), selection);
  EXPECT_NE(policy_of({{"audit.kept"}, audit}).selection(), selection);
  EXPECT_NE(policy_of({{"*.kept"}, audit}).selection(), selection);
}

TEST(Policy, RulesThatAreToldAreThoseOfTheFile) {
  const std::string rules =
      "equal_set: drop\n"
      "replicate:\n"
      "  - {namespace: shop.carts, deletes: update_wins, fields: {'*.n': 'keyed(sku)', v: max}}\n"
      "  - {namespace: 'audit.*', replicate: false}\n";
  const auto file = parse_settings(
      "site: oslo\ndata_dir: /tmp/x\nstore: {uri: 'mongodb://127.0.0.1/?replicaSet=rs0'}\n" + rules,
      "f.yaml");
  ASSERT_TRUE(file) << describe(file.error());
  const auto told = parse_rules(file->rules_text, "told");
  ASSERT_TRUE(told) << describe(told.error());
  EXPECT_EQ(Policy(*told).lines(), Policy(*file).lines());
  EXPECT_EQ(Policy(*told).hash(), Policy(*file).hash());
  EXPECT_EQ(told->rules_text, file->rules_text);
  EXPECT_FALSE(parse_rules("site: oslo", "told"));
  EXPECT_FALSE(parse_rules("replicate: [{namespace: a.b, fields: {v: sorted}}]", "told"));
  EXPECT_FALSE(parse_rules("replicate: [", "told"));
  EXPECT_FALSE(parse_rules("replicate: [&r {namespace: a.b}, *r]", "told"));
}

TEST(Policy, WhatIsTooLargeToBeToldIsRefused) {
  const auto why = [](const std::string& rules) {
    const auto parsed = parse_rules(rules, "f.yaml");
    return parsed ? "" : describe(parsed.error());
  };
  const auto list = [](const std::string& item, int count) {
    std::string text = "replicate: [";
    for (int i = 0; i < count; ++i) text += item + ",";
    return text + "]";
  };
  const std::string glob(256, 'a');
  EXPECT_NE(why(list("{namespace: a.b}", 501)).find("at most 500 rules"), std::string::npos);
  EXPECT_NE(why(list("{namespace: " + glob + ".*}", 1)).find("bytes of a namespace"),
            std::string::npos);
  std::string texts;
  for (int i = 0; i < 20; ++i) texts += std::string(250, 'a') + std::to_string(i) + ",";
  EXPECT_NE(why(list("{namespace: a.b, fields: {v: 'prefer[" + texts + "b]'}}", 1))
                .find("bytes of a rule"),
            std::string::npos);
  std::string fields;
  for (int i = 0; i < 501; ++i) fields += "f" + std::to_string(i) + ": lww,";
  EXPECT_NE(why(list("{namespace: a.b, fields: {" + fields + "}}", 1)).find("at most 500 patterns"),
            std::string::npos);
  std::string many = "equal_set: [";
  for (int i = 0; i < 10'000; ++i) many += "a,";
  EXPECT_NE(why(many + "a]").find("expected keep or drop"), std::string::npos);
}

TEST(Policy, AFileMayHaveAliasesAndWhatIsToldHasNone) {
  const auto file = parse_settings(
      "site: oslo\ndata_dir: /tmp/x\nstore: {uri: 'mongodb://127.0.0.1/?replicaSet=rs0'}\n"
      "replicate:\n"
      "  - {namespace: a.b, fields: &all {'*.n': max, 'true': lww}}\n"
      "  - {namespace: c.d, fields: *all}\n",
      "f.yaml");
  ASSERT_TRUE(file) << describe(file.error());
  const auto told = parse_rules(file->rules_text, "told");
  ASSERT_TRUE(told) << describe(told.error());
  EXPECT_EQ(Policy(*told).lines(), Policy(*file).lines());
}

TEST(Policy, WhatWasBorrowedOutlivesAChange) {
  Settings settings;
  settings.replicate = {{"shop.*", true, DeletePolicy::kUpdateWins}};
  Policy policy(settings);
  const MergeRules before = policy.merge_rules("shop.carts");
  policy.change_to(Settings());
  EXPECT_TRUE(before.updates_win());
  EXPECT_FALSE(policy.merge_rules("shop.carts").updates_win());
}

TEST(Policy, WithoutRulesAllButLocalDatabasesTravel) {
  const Policy policy = policy_of({});
  EXPECT_TRUE(policy.replicates("shop.carts"));
  EXPECT_TRUE(policy.replicates("administration.a"));
  EXPECT_FALSE(policy.replicates("admin.a"));
  EXPECT_FALSE(policy.replicates("local.a"));
  EXPECT_FALSE(policy.replicates("config.a"));
  EXPECT_FALSE(policy.replicates("outrigger.status"));
  EXPECT_FALSE(policy.replicates("shop.system.views"));
}

TEST(Policy, FirstMatchingRuleDecides) {
  const Policy policy = policy_of({{"shop.carts", true, {}}, {"shop.*", false, {}}});
  EXPECT_TRUE(policy.replicates("shop.carts"));
  EXPECT_FALSE(policy.replicates("shop.orders"));
  EXPECT_TRUE(policy.replicates("blog.posts"));
}

TEST(Policy, NoRuleMakesALocalDatabaseTravel) {
  EXPECT_FALSE(policy_of({{"*", true, {}}}).replicates("config.a"));
}

TEST(Policy, NoRuleReachesWhatATimeSeriesKeeps) {
  ReplicateRule all;
  all.namespace_glob = "*";
  all.inserts = InsertPolicy::kMerge;
  const Policy policy = policy_of({all});
  EXPECT_TRUE(policy.merge_rules("shop.carts").inserts_merge());
  EXPECT_FALSE(policy.merge_rules("shop.system.buckets.heat").inserts_merge());
}

TEST(Policy, HashCoversRulesTheirOrderAndEqualSet) {
  const ReplicateRule a{"a.*", false, {}};
  const ReplicateRule b{"b.*", true, {}};
  const uint64_t hash = policy_of({a, b}).hash();
  EXPECT_EQ(hash, policy_of({a, b}).hash());
  EXPECT_NE(hash, policy_of({b, a}).hash());
  EXPECT_NE(hash, policy_of({a}).hash());
  EXPECT_NE(hash, policy_of({{"a.*", true, {}}, b}).hash());
  EXPECT_NE(hash, policy_of({a, b}, EqualSet::kDrop).hash());
  ReplicateRule by_diff = b;
  by_diff.replaces = ReplacePolicy::kDiff;
  EXPECT_NE(hash, policy_of({a, by_diff}).hash());
  ReplicateRule merging = b;
  merging.inserts = InsertPolicy::kMerge;
  EXPECT_NE(hash, policy_of({a, merging}).hash());
  ReplicateRule keeps = b;
  keeps.unique = UniquePolicy::kKeep;
  EXPECT_NE(hash, policy_of({a, keeps}).hash());
}

TEST(Policy, HashIsTheSameOnEveryMachineAndInEveryVersion) {
  EXPECT_EQ(policy_of({{"a.*", false, {}}}).hash(), 17129378360954816719ULL);
}

TEST(Policy, DifferenceNamesTheLines) {
  const Policy ours = policy_of({{"a.*", false, {}}});
  const Policy theirs = policy_of({{"b.*", false, {}}});
  const std::vector<std::string> expected = {"- namespace: a.*, replicate: false",
                                             "+ namespace: b.*, replicate: false"};
  EXPECT_EQ(policy_difference(ours.lines(), theirs.lines()), expected);
  EXPECT_TRUE(policy_difference(ours.lines(), ours.lines()).empty());
}

TEST(Policy, DifferenceInOrderAloneIsSaid) {
  const auto difference = policy_difference({"x", "y"}, {"y", "x"});
  ASSERT_EQ(difference.size(), 1u);
  EXPECT_NE(difference[0].find("another order"), std::string::npos);
}

TEST(Units, EndpointsReadBackAsWritten) {
  for (const char* text : {"127.0.0.1:1", "[::1]:65535", "db.example:27017"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_TRUE(endpoint.has_value()) << text;
    EXPECT_EQ(endpoint->text(), text);
  }
}

TEST(Units, LargestSizeAndDurationDoNotOverflow) {
  EXPECT_EQ(parse_size("8388607TiB"), 8388607ULL << 40);
  EXPECT_FALSE(parse_size("8388608TiB").has_value());
  EXPECT_EQ(parse_duration_ms("106751991167d"), 106751991167LL * 86'400'000);
  EXPECT_FALSE(parse_duration_ms("106751991168d").has_value());
}

TEST(Printable, OthersTextStaysOnItsLineAndMovesNoCursor) {
  EXPECT_EQ(printable("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
            "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(printable("a\nb\r\t"), "a\\nb\\r\\t");
  EXPECT_EQ(printable("\x1b[2J\x7f"), "\\x1b[2J\\x7f");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xc2\x9b"), "\\u009b");              // one character that is ESC [
  EXPECT_EQ(printable("\xe2\x80\xa8"), "\\u2028");          // a line separator
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\u202e");          // right to left from here
  EXPECT_EQ(printable("\xff"), "\\xff");                    // no UTF-8
  EXPECT_EQ(printable("\xc0\x8a"), "\\xc0\\x8a");           // a long form of a line's end
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // half of a pair
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");
}

TEST(StoreUri, OptionsThatCannotHoldForAppsAreRefusedByName) {
  EXPECT_FALSE(refused_option("mongodb://h"));
  EXPECT_FALSE(refused_option("mongodb://h/?replicaSet=rs0&w=majority&tls=true&tlsCAFile=/x"));
  EXPECT_EQ(refused_option("mongodb://u:p?x=y@h/?loadBalanced=true")->name, "loadBalanced");
  const StoreUriOptions several("mongodb://h/?w=1&Compressors=zstd,,snappy");
  EXPECT_EQ(several.compressors(), (std::vector<std::string>{"zstd", "snappy"}));
  const StoreUriOptions encoded("mongodb://h/?compressors=zstd%2Csnappy%2czl%69b%");
  EXPECT_EQ(encoded.compressors(), (std::vector<std::string>{"zstd", "snappy", "zlib%"}));
  EXPECT_TRUE(StoreUriOptions("mongodb://h").compressors().empty());
  EXPECT_EQ(refused_option("mongodb://h/db?tls=true;LOADBALANCED=1")->name, "LOADBALANCED");
  EXPECT_EQ(refused_option("mongodb://h/?unheard")->name, "unheard");
  EXPECT_FALSE(refused_option("mongodb://u:p?x=y@h/"));
}

TEST(Redact, CredentialsAndSecretOptionsGo) {
  EXPECT_EQ(redact_uri("mongodb://u:p@h:1/?a=b"), "mongodb://***@h:1/?a=b");
  EXPECT_EQ(redact_uri("mongodb://u:p@ss@h/"), "mongodb://***@h/");
  EXPECT_EQ(redact_uri("mongodb://u:p/?@h/"), "mongodb://***@h/");
  EXPECT_EQ(redact_uri("u:p@h"), "***@h");
  EXPECT_EQ(redact_uri("mongodb://h/?tlsCertificateKeyFilePassword=x&w=1"),
            "mongodb://h/?tlsCertificateKeyFilePassword=***&w=1");
  EXPECT_EQ(redact_uri("mongodb://h/?w=1&authMechanismProperties=T:x"),
            "mongodb://h/?w=1&authMechanismProperties=***");
  EXPECT_EQ(redact_uri("mongodb://h/?replicaSet=rs0"), "mongodb://h/?replicaSet=rs0");
}

class LogLines : public testing::Test {
 protected:
  Log log(LogFormat format, LogLevel level = LogLevel::kInfo) {
    return Log({format, level}, std::make_shared<spdlog::sinks::ostream_sink_mt>(out_));
  }
  std::ostringstream out_;
};

TEST_F(LogLines, TextCarriesModuleAndLevel) {
  log(LogFormat::kText).module("link")->warn("peer {} gone", "oslo");
  EXPECT_NE(out_.str().find("warn"), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find("link: peer oslo gone\n"), std::string::npos) << out_.str();
}

TEST_F(LogLines, JsonEscapesWhatTheMessageHolds) {
  log(LogFormat::kJson).module("link")->info("a \"b\" \\ \n");
  const std::string wanted = R"("level":"info","module":"link","message":"a \"b\" \\ \\n"})";
  EXPECT_NE(out_.str().find(wanted), std::string::npos) << out_.str();
}

TEST_F(LogLines, BelowTheLevelNothingIsWritten) {
  log(LogFormat::kText, LogLevel::kError).module("link")->warn("x");
  EXPECT_EQ(out_.str(), "");
}

TEST(MetricsText, SameNameAndLabelsAreOneNumber) {
  Metrics metrics;
  metrics.counter("applied_total", "Records applied.", {{"peer", "oslo"}}).Increment();
  metrics.counter("applied_total", "Records applied.", {{"peer", "oslo"}}).Increment();
  EXPECT_NE(metrics.text().find("outrigger_applied_total{peer=\"oslo\"} 2"), std::string::npos)
      << metrics.text();
}

TEST(MetricsText, HistogramsShowTheirBuckets) {
  Metrics metrics;
  metrics.histogram("batch", "Size.", Metrics::count_bounds()).Observe(3);
  EXPECT_NE(metrics.text().find("outrigger_batch_bucket{le=\"4\"} 1"), std::string::npos)
      << metrics.text();
}

TEST(Clock, SystemClockRunsForward) {
  const SystemClock clock;
  EXPECT_GT(clock.wall_ms(), 1'700'000'000'000);
  const int64_t before = clock.monotonic_us();
  EXPECT_GE(clock.monotonic_us(), before);
}

}  // namespace
}  // namespace outrigger
