#include "proxy/app/descriptors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace outrigger {
namespace {

TEST(Descriptors, EachConnectionTakesTwoOfWhatOursLeave) {
  Settings settings;
  const auto plan = plan_descriptors(1024, settings, 1);
  ASSERT_TRUE(plan);
  EXPECT_LT(plan->connections, 512u);
  EXPECT_GT(plan->connections, 256u);
  EXPECT_LT(plan->tables + 2 * plan->connections, 1024u);
  const auto twice = plan_descriptors(1024 + 200, settings, 1);
  ASSERT_TRUE(twice);
  EXPECT_GT(twice->connections, plan->connections);
}

TEST(Descriptors, NoMoreConnectionsThanTheSettingsSay) {
  Settings settings;
  settings.proxy.connections_max = 10;
  EXPECT_EQ(plan_descriptors(100'000, settings, 1)->connections, 10u);
}

TEST(Descriptors, TooFewForTheOutboxAndThePeersIsAnErrorThatSaysHowManyItTakes) {
  Settings settings;
  const auto plan = plan_descriptors(64, settings, 1);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kRefused);
  EXPECT_NE(plan.error().hint.find("ulimit -n"), std::string::npos);
  const uint64_t least = std::stoull(plan.error().hint.substr(plan.error().hint.find(") to ") + 5));
  EXPECT_TRUE(plan_descriptors(least, settings, 1));
  EXPECT_FALSE(plan_descriptors(least - 1, settings, 1));
}

TEST(Descriptors, PeersHaveTheirOwn) {
  Settings settings;
  const uint64_t alone = plan_descriptors(1024, settings, 1)->connections;
  settings.peers.listen = Endpoint{"127.0.0.1", 7117};
  settings.peers.sites.resize(10);
  EXPECT_LT(plan_descriptors(1024, settings, 1)->connections, alone);
}

TEST(Descriptors, LoopsHaveTheirOwn) {
  Settings settings;
  const uint64_t alone = plan_descriptors(1024, settings, 1)->connections;
  EXPECT_LT(plan_descriptors(1024, settings, 8)->connections, alone);
}

TEST(Descriptors, TheLimitIsRaisedToWhatTheSystemAllows) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = 256;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_GE(raise_descriptor_limit(), 256u);
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(limit.rlim_cur, limit.rlim_max);
}

}  // namespace
}  // namespace outrigger
