// What rules of paths make of local writes.
#include "config/policy.h"
#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

Settings with_rules(const std::vector<std::pair<Path, PathType>>& fields) {
  Settings settings;
  ReplicateRule& rule = settings.replicate.emplace_back();
  rule.namespace_glob = "*";
  for (const auto& [pattern, type] : fields) rule.fields.push_back({pattern, type});
  return settings;
}

class MergeUnderRules : public MergeTest {
 protected:
  void rule(const std::vector<std::pair<Path, PathType>>& fields) {
    policy_.emplace(with_rules(fields));
    for (WorldSite* site : all_) site->policy = &*policy_;
  }
  std::optional<Policy> policy_;
};

TEST_F(MergeUnderRules, AtAnLwwPathThePushOfOneSiteStandsAlone) {
  rule({{{"tags"}, PathType::kLww}});
  insert(a_, {{"tags", array({i32(0)})}, {"others", array({i32(0)})}});
  exchange();
  push(a_, "tags", i32(1));
  push(a_, "others", i32(1));
  push(b_, "tags", i32(2));
  push(b_, "others", i32(2));
  all_show({{"tags", array({i32(0), i32(2)})}, {"others", array({i32(0), i32(1), i32(2)})}});
  all_lost({"1/tags [0, 1]"});
}

TEST_F(MergeUnderRules, OfTwoUpsertsAnAtomicValueIsOneOfTheirs) {
  rule({{{"home", "at"}, PathType::kAtomic}});
  const auto home = [](const Fields& at, const Fields& more) {
    Fields fields = {{"at", doc(at)}};
    fields.insert(fields.end(), more.begin(), more.end());
    return doc(fields);
  };
  upsert(a_, {{"home", home({{"lat", i32(1)}, {"alt", i32(9)}}, {{"a", i32(1)}})}});
  upsert(b_, {{"home", home({{"lat", i32(2)}}, {{"b", i32(1)}})}});
  all_show({{"home", home({{"lat", i32(2)}}, {{"a", i32(1)}, {"b", i32(1)}})}});
  set(c_, "home.at", doc({{"lat", i32(3)}}));
  all_show({{"home", home({{"lat", i32(3)}}, {{"a", i32(1)}, {"b", i32(1)}})}});
  forget();
}

TEST_F(MergeUnderRules, WithoutARuleTheFieldsOfBothStand) {
  upsert(a_, {{"at", doc({{"lat", i32(1)}, {"alt", i32(9)}})}});
  upsert(b_, {{"at", doc({{"lat", i32(2)}})}});
  all_show({{"at", doc({{"lat", i32(2)}, {"alt", i32(9)}})}});
}

TEST_F(MergeUnderRules, WhereInsertsMergeTheFieldsOfBothStand) {
  Settings settings = with_rules({{{"tags"}, PathType::kUnion}});
  settings.replicate.front().inserts = InsertPolicy::kMerge;
  policy_.emplace(settings);
  for (WorldSite* site : all_) site->policy = &*policy_;
  insert(a_, {{"name", text("a")}, {"at", doc({{"x", i32(1)}})}, {"tags", array({i32(1)})}});
  insert(b_, {{"name", text("b")}, {"at", doc({{"y", i32(2)}})}, {"tags", array({i32(2)})}});
  inc(a_, "n", 2);
  all_show({{"name", text("b")},
            {"at", doc({{"x", i32(1)}, {"y", i32(2)}})},
            {"tags", array({i32(1), i32(2)})},
            {"n", i32(2)}});
  all_lost({"4/name \"a\""});
  forget();
}

TEST_F(MergeUnderRules, WhereInsertsMergeOneThatSawTheDocumentGoHasItsFieldsAlone) {
  Settings settings = with_rules({});
  settings.replicate.front().inserts = InsertPolicy::kMerge;
  policy_.emplace(settings);
  for (WorldSite* site : all_) site->policy = &*policy_;
  insert(a_, {{"x", i32(1)}});
  exchange();
  remove(b_);
  insert(b_, {{"y", i32(2)}});
  all_show({{"y", i32(2)}});
}

TEST_F(MergeUnderRules, OneRuleForAllIsNoneForTheId) {
  rule({{{"**"}, PathType::kAtomic}});
  upsert(a_, {{"x", doc({{"a", i32(1)}})}});
  upsert(b_, {{"x", doc({{"b", i32(1)}})}, {"y", i32(1)}});
  all_show({{"x", doc({{"b", i32(1)}})}, {"y", i32(1)}});
}

}  // namespace
}  // namespace outrigger::merge
