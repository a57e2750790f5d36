// Which of what loses is open until somebody decides: as it is written, and what it then says.
#include "config/loader_testing.h"
#include "config/merge_rules.h"
#include "config/policy.h"
#include "config/units.h"

namespace outrigger {
namespace {

using testing::BadCase;

Settings with_rule(const std::string& rule) {
  auto settings = parse_settings(
      testing::kMinimal + ("replicate:\n  - namespace: shop.carts\n" + rule), "a.yaml");
  EXPECT_TRUE(settings) << describe(settings.error());
  return settings ? *settings : Settings();
}

TEST(EscalationRules, WhatAPathSaysOfEscalationStandsAgainstItsNamespace) {
  const Settings settings = with_rule(
      "    fields:\n"
      "      v: {type: max, escalate: {older_than: 48h, differs_by: 2.50}}\n"
      "      w: {type: lww, escalate: false}\n"
      "      x: lww\n"
      "    escalate: {differs_by: 1000}\n");
  const Policy policy(settings);
  const MergeRules rules = policy.merge_rules("shop.carts");
  EXPECT_EQ(rules.escalation({"v"}), (Escalation{false, 2.5, int64_t{48} * 3'600'000}));
  EXPECT_EQ(rules.escalation({"w"}), Escalation());
  EXPECT_EQ(rules.escalation({"x"}), (Escalation{false, 1000}));
  EXPECT_EQ(policy.lines()[2],
            "namespace: shop.carts, deletes: delete_wins, escalate: {differs_by: 1000}");
  EXPECT_EQ(policy.lines()[3],
            "namespace: shop.carts, field: v = max, escalate: {differs_by: 2.5, older_than: 2d}");
  EXPECT_EQ(policy.lines()[4], "namespace: shop.carts, field: w = lww, escalate: false");
  EXPECT_NE(explain_path(settings, "a.yaml", "shop.carts", "v")
                .find("until somebody decides where it and what it lost to are no numbers that "
                      "differ by at most 2.5, or where it was written more than 2d before"),
            std::string::npos);
  EXPECT_EQ(explain_path(settings, "a.yaml", "shop.carts", "w").find("escalate: what"),
            std::string::npos);
}

TEST(EscalationRules, OneThingWrittenInTwoWaysIsOnePolicy) {
  const auto hash_of = [](const std::string& rule) { return Policy(with_rule(rule)).hash(); };
  const uint64_t days = hash_of("    escalate: {older_than: 2d, differs_by: 10}\n");
  EXPECT_EQ(days, hash_of("    escalate: {differs_by: 10.0, older_than: 48h}\n"));
  EXPECT_NE(days, hash_of("    escalate: {differs_by: 10, older_than: 3d}\n"));
  EXPECT_NE(days, hash_of("    escalate: {differs_by: 11, older_than: 2d}\n"));
}

TEST(Units, DurationsAreSaidInTheLargestUnitThatIsExact) {
  for (const char* text : {"0ms", "1ms", "1500ms", "90s", "15m", "36h", "30d"}) {
    EXPECT_EQ(duration_text(parse_duration_ms(text).value_or(-1)), text);
  }
  EXPECT_EQ(duration_text(parse_duration_ms("24h").value_or(-1)), "1d");
}

TEST(Units, AmountsArePlainNumbers) {
  EXPECT_EQ(parse_amount("0.5"), 0.5);
  EXPECT_EQ(parse_amount("1e3"), 1000.0);
  for (const char* text : {"", "-1", "+1", "nan", "inf", "1e999", "10%", ".5", "0x10"}) {
    EXPECT_FALSE(parse_amount(text)) << text;
  }
}

class BadEscalation : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadEscalation, IsRefusedNamingLineKeyAndExpectation) { testing::expect_refused(GetParam()); }

const BadCase kBadEscalations[] = {
    {"field_escalates_where_nothing_is_said",
     "replicate:\n  - namespace: a.b\n    fields: {total: {type: max, escalate: {}}}\n",
     "f.yaml:6: replicate[0].fields.total.escalate",
     "expected true, false, or where: {differs_by: NUMBER}, {older_than: DURATION} or both"},
    {"field_escalates_below_nothing",
     "replicate:\n  - namespace: a.b\n    fields: {a: {type: max, escalate: {differs_by: -1}}}\n",
     "f.yaml:6: replicate[0].fields.a.escalate.differs_by",
     "expected a number such as 10 or 0.5, not below 0, found '-1'"},
    {"escalates_without_a_unit",
     "replicate:\n  - namespace: a.b\n    escalate:\n      older_than: 30\n",
     "f.yaml:7: replicate[0].escalate.older_than", "expected a duration such as 500ms"},
    {"escalates_otherwise", "replicate:\n  - namespace: a.b\n    escalate: {younger_than: 1d}\n",
     "f.yaml:6: replicate[0].escalate.younger_than", "unknown key"},
    {"version_field_by_pattern", "replicate:\n  - namespace: a.b\n    version_field: '*.v'\n",
     "f.yaml:6: replicate[0].version_field", "expected the path of one field, such as __v"},
    {"version_field_is_id", "replicate:\n  - namespace: a.b\n    version_field: _id.v\n",
     "f.yaml:6: replicate[0].version_field", "expected the path of one field, such as __v"},
    {"version_field_of_what_stays",
     "replicate:\n  - namespace: a.b\n    replicate: false\n    version_field: v\n",
     "f.yaml:7: replicate[0].version_field", "expected no merge rule beside replicate: false"},
    {"escalates_by_a_list", "replicate:\n  - namespace: a.b\n    escalate: [1]\n",
     "f.yaml:6: replicate[0].escalate", "expected true, false, or where: {differs_by: NUMBER}"},
    {"escalates_of_what_stays",
     "replicate:\n  - namespace: a.b\n    replicate: false\n"
     "    escalate: {older_than: 1d}\n",
     "f.yaml:7: replicate[0].escalate", "expected no merge rule beside replicate: false"},
    {"contest_beside_versions",
     "replicate:\n  - namespace: a.b\n    fields:\n      a: lww\n      tags: union\n"
     "    version_field: v\n",
     "f.yaml:8: replicate[0].fields.tags", "expected no 'union' beside version_field"},
    {"contest_in_long_beside_versions",
     "replicate:\n  - namespace: a.b\n    version_field: v\n"
     "    fields: {top: {type: max, escalate: true}}\n",
     "f.yaml:7: replicate[0].fields.top", "expected no 'max' beside version_field"},
};
INSTANTIATE_TEST_SUITE_P(Escalations, BadEscalation, ::testing::ValuesIn(kBadEscalations));

}  // namespace
}  // namespace outrigger
