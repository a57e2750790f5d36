// Rules of merging that are changed in one site's file: what each site goes by, then and after its
// next start.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "config/loader.h"
#include "config/policy.h"
#include "replication/link/handshake.h"
#include "replication/record/record_codec.h"
#include "replication/site/site_parts.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string of_v(const std::string& word) {
  return "replicate: [{namespace: 'shop.*', fields: {v: " + word + "}}]";
}
const std::string kLocalAudit =
    "replicate: [{namespace: 'audit.*', replicate: false}, {namespace: 'shop.*'}]";

// A site that is started with a file.
struct Started {
  Started(const std::string& name, const std::string& rules)
      : site(name, {"oslo", "paris"}, memory_outbox()) {
    site.replica_options.warn = [this](const std::string& line) { log += line + "\n"; };
    start(rules);
  }
  // Killed, and started with another file.
  void start(const std::string& rules) {
    site.kill();
    policy.emplace(*parse_rules(rules, "file"));
    site.replica_options.policy = &*policy;
    site.open();
    ASSERT_TRUE(site.recover().has_value());
  }
  // What it does each second.
  void pass() {
    ASSERT_TRUE(site.replica->collect_step(100).has_value());
    site.flush();
  }
  void start_and_tell(const std::string& rules) {
    start(rules);
    pass();
  }
  [[nodiscard]] std::string word() const {
    const PathRuling ruling = policy->merge_rules(kTestNs).at({"v"});
    return ruling.rule == nullptr ? "" : std::string(word_of(ruling.type));
  }
  [[nodiscard]] RulesStatus status() const { return site.status().rules; }

  std::optional<Policy> policy;
  std::string log;
  TestSite site;
};

class Rules : public ::testing::Test {
 protected:
  void meet() { exchange(oslo_.site, paris_.site); }
  void expect_both(const std::string& word) {
    EXPECT_EQ(oslo_.word(), word);
    EXPECT_EQ(paris_.word(), word);
    EXPECT_EQ(oslo_.status().name, paris_.status().name);
  }
  // Why they would not talk.
  std::string refusal() {
    link::Hello ours;
    link::Hello theirs;
    ours.site = oslo_.site.replica->hello();
    theirs.site = paris_.site.replica->hello();
    const auto no = link::check_hello(ours, theirs, {});
    return no ? no->text : "";
  }
  // How many records of a site tell rules.
  size_t told_by(const Started& from) {
    size_t count = 0;
    const auto segments = read_segments(*from.site.replica, {}, 1u << 20);
    EXPECT_TRUE(segments.has_value());
    for (const Segment& segment : *segments) {
      if (segment.origin.site != run_of(from.site).site) continue;  // it relays it
      for (const Record& record : segment.records) count += record.rules.empty() ? 0 : 1;
    }
    return count;
  }
  // Paris hears of rules that a later version has told, or somebody who is broken.
  void hear_from_oslo(const std::string& rules) {
    auto begun = oslo_.site.replica->parts().writes.begin_record();
    ASSERT_TRUE(begun.has_value());
    Record record = begun->record();
    record.rules = rules;
    ASSERT_TRUE(begun->commit(record, {}).has_value());
    oslo_.site.flush();
    pull(oslo_.site, paris_.site);
  }

  Started oslo_{"oslo", of_v("max")};
  Started paris_{"paris", of_v("max")};
};

TEST_F(Rules, WhatNobodyHasChangedIsToldToNobody) {
  oslo_.pass();
  oslo_.start_and_tell(of_v("max"));
  meet();
  EXPECT_EQ(told_by(oslo_), 0u);
  EXPECT_EQ(oslo_.status().by, "");
  EXPECT_THAT(oslo_.log, IsEmpty());
  EXPECT_FALSE(oslo_.site.replica->hello().policy_hash.ends_with("+"));
}

TEST_F(Rules, AChangedFileIsToldOnceAndHoldsEverywhereAlsoAfterTheNextStarts) {
  oslo_.start(of_v("min"));
  EXPECT_EQ(refusal(), "");
  EXPECT_THAT(oslo_.log, AllOf(HasSubstr("the rules of the file were changed"),
                               HasSubstr("+ namespace: shop.*, field: v = min")));
  for (int i = 0; i < 3; ++i) oslo_.pass();
  meet();
  EXPECT_EQ(told_by(oslo_), 1u);
  expect_both("min");
  EXPECT_EQ(paris_.status().by, "oslo");
  EXPECT_THAT(paris_.log, HasSubstr("oslo has changed the rules"));
  oslo_.start_and_tell(of_v("min"));
  paris_.start_and_tell(of_v("max"));  // its own file was not changed
  expect_both("min");
  EXPECT_THAT(paris_.status().file_differs, SizeIs(2));
  paris_.start_and_tell(of_v("min"));
  EXPECT_THAT(paris_.status().file_differs, IsEmpty());
  EXPECT_EQ(told_by(paris_), 0u);
}

TEST_F(Rules, OneThatIsKilledBeforeItHasToldTellsAtItsNextStart) {
  oslo_.start(of_v("min"));
  oslo_.start(of_v("min"));
  oslo_.pass();
  meet();
  EXPECT_EQ(told_by(oslo_), 1u);
  expect_both("min");
}

TEST_F(Rules, AFileThatIsChangedBackBeforeAnybodyWasToldTellsNothing) {
  oslo_.start(of_v("min"));
  oslo_.start_and_tell(of_v("max"));
  EXPECT_EQ(told_by(oslo_), 0u);
  EXPECT_EQ(oslo_.word(), "max");
}

TEST_F(Rules, OfTwoThatDoNotKnowOfEachOtherTheLaterHoldsEverywhere) {
  paris_.start_and_tell(of_v("min"));
  paris_.site.clock.advance_ms(20'000);
  oslo_.site.clock.advance_ms(20'000);
  oslo_.start_and_tell(of_v("longest"));
  meet();
  expect_both("longest");
  EXPECT_EQ(paris_.status().by, "oslo");
}

TEST_F(Rules, WhatComesWhileOursIsYetToBeToldDoesNotTakeItsPlace) {
  oslo_.start_and_tell(of_v("min"));
  paris_.start(of_v("longest"));
  pull(oslo_.site, paris_.site);
  EXPECT_EQ(paris_.word(), "longest");
  paris_.start(of_v("longest"));  // and is killed there
  paris_.pass();
  meet();
  expect_both("longest");
}

TEST_F(Rules, AFileThatLacksWhatOthersToldTakesItBackWhenItIsChanged) {
  oslo_.start_and_tell(of_v("min"));
  meet();
  paris_.start_and_tell("replicate: [{namespace: 'shop.*', fields: {v: max, w: lww}}]");
  meet();
  expect_both("max");
  EXPECT_THAT(paris_.log, HasSubstr("- namespace: shop.*, field: v = min"));
}

TEST_F(Rules, RulesThatThisVersionCannotReadWaitForOneThatCan) {
  hear_from_oslo(of_v("longest"));
  hear_from_oslo(of_v("of_the_future"));
  EXPECT_EQ(paris_.word(), "longest");
  EXPECT_THAT(paris_.site.status().alarms,
              ElementsAre(HasSubstr("this version cannot read the rules of merging that oslo")));
  paris_.start(of_v("max"));
  EXPECT_EQ(paris_.word(), "longest");
  EXPECT_THAT(paris_.site.status().alarms, SizeIs(1));
  hear_from_oslo(of_v("min"));
  EXPECT_EQ(paris_.word(), "min");
  EXPECT_THAT(paris_.site.status().alarms, IsEmpty());
}

TEST_F(Rules, RulesByWhichOtherNamespacesTravelAreNotTaken) {
  hear_from_oslo(kLocalAudit);
  EXPECT_TRUE(paris_.policy->replicates("audit.log"));
  EXPECT_THAT(paris_.site.status().alarms, ElementsAre(HasSubstr("other namespaces travel")));
  paris_.start(of_v("max"));
  EXPECT_TRUE(paris_.policy->replicates("audit.log"));
  oslo_.start(kLocalAudit);
  EXPECT_THAT(refusal(), HasSubstr("have different replicate rules"));
}

TEST_F(Rules, WhatIsNoYamlOrTooLargeChangesNothing) {
  hear_from_oslo(std::string(1, '\x01') + "[[[");
  std::string many = "equal_set: [";
  for (int i = 0; i < 10'000; ++i) many += "a,";
  hear_from_oslo(many + "a]");
  hear_from_oslo("replicate: [{namespace: '" + std::string(5'000, 'a') + ".*'}]");
  EXPECT_EQ(paris_.word(), "max");
  EXPECT_THAT(paris_.site.status().alarms, SizeIs(1));
}

TEST_F(Rules, SitesThatWereGivenOtherRulesFromTheBeginningDoNotTalk) {
  Started rome("rome", of_v("min"));
  link::Hello ours;
  link::Hello theirs;
  ours.site = oslo_.site.replica->hello();
  theirs.site = rome.site.replica->hello();
  theirs.site.site = "paris";
  const auto no = link::check_hello(ours, theirs, {});
  ASSERT_TRUE(no.has_value());
  EXPECT_THAT(no->text, HasSubstr("have different replicate rules"));
}

}  // namespace
}  // namespace outrigger
