#include "proxy/peer/peer_manager.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "proxy/net/uv/uv_network.h"
#include "proxy/peer/peer_testing.h"

namespace outrigger {
namespace {

using testing::PeerWorld;

TEST(PeerManagerTest, WhenBothDialOneLinkStaysTheOneOfTheSmallerName) {
  PeerWorld world({"oslo", "paris"});
  world.start_all();
  ASSERT_TRUE(world.comes_true([&] {
    return world.is_open("oslo", "paris") && world.status("oslo", "paris").dialled &&
           !world.status("paris", "oslo").dialled;
  }));
  world.let_pass(200);
  PeerStatus settled = world.status("paris", "oslo");
  world.let_pass(200);
  EXPECT_EQ(world.status("paris", "oslo").links, settled.links);
  EXPECT_EQ(world.status("paris", "oslo").dials, settled.dials);
  EXPECT_EQ(world.status("paris", "oslo").last_error, "");
}

TEST(PeerManagerTest, WhenOnlyTheLargerNameCanDialItsLinkStays) {
  PeerWorld world({"oslo", "paris"});
  world.no_address("oslo", "paris");
  world.start_all();
  ASSERT_TRUE(world.comes_true([&] { return world.is_open("oslo", "paris"); }));
  world.let_pass(200);
  EXPECT_TRUE(world.is_open("oslo", "paris"));
  EXPECT_FALSE(world.status("oslo", "paris").dialled);
  EXPECT_EQ(world.status("oslo", "paris").dials, 0u);
}

TEST(PeerManagerTest, ACutAndHealedLineCatchesUpBothWays) {
  PeerWorld world({"oslo", "paris"});
  world.start_all();
  ASSERT_TRUE(world.comes_true([&] { return world.is_open("oslo", "paris"); }));
  world.cut("oslo", "paris");
  for (int i = 0; i < 50; ++i) {
    world.at("oslo").write("o" + std::to_string(i));
    world.at("paris").write("p" + std::to_string(i));
  }
  ASSERT_TRUE(world.comes_true([&] {
    return world.status("oslo", "paris").state != PeerState::kOpen &&
           world.status("oslo", "paris").last_error.find("no route") != std::string::npos;
  }));
  EXPECT_EQ(world.at("paris").records(), 50u);
  world.heal("oslo", "paris");
  EXPECT_TRUE(world.comes_true(
      [&] { return world.at("paris").records() == 100 && world.at("oslo").records() == 100; }));
  EXPECT_EQ(world.at("oslo").applied(), world.at("paris").applied());
}

TEST(PeerManagerTest, RecordsAndReportsTravelThroughAThirdSite) {
  PeerWorld world({"oslo", "paris", "rome"});
  world.cut("oslo", "rome");
  world.start_all();
  world.at("oslo").write("for rome");
  EXPECT_TRUE(world.comes_true([&] { return world.at("rome").records() == 1; }));
  EXPECT_TRUE(world.comes_true([&] {
    return world.at("oslo").heard[world.at("rome").self.site_id].vector.includes(
        world.at("oslo").applied());
  }));
}

TEST(PeerManagerTest, RefusalsShowAtBothSitesInTheSameWords) {
  PeerWorld world({"oslo", "paris"});
  world.at("oslo").self.members = {"oslo", "paris", "rome"};
  world.start_all();
  const std::string words = "oslo lists rome, paris does not";
  EXPECT_TRUE(world.comes_true([&] {
    PeerStatus at_oslo = world.status("oslo", "paris");
    PeerStatus at_paris = world.status("paris", "oslo");
    return at_oslo.last_error.find(words) != std::string::npos &&
           at_paris.last_error.find(words) != std::string::npos &&
           at_oslo.state == PeerState::kRefused && at_paris.state == PeerState::kRefused;
  }));
  world.at("oslo").self.members = {"oslo", "paris"};
  EXPECT_TRUE(world.comes_true([&] { return world.is_open("oslo", "paris"); }));
}

TEST(PeerManagerTest, APolicyThatDiffersIsRefusedWithItsLines) {
  PeerWorld world({"oslo", "paris"});
  world.at("oslo").self.policy_hash = "other";
  world.options("oslo").policy_lines = [] { return std::vector<std::string>{"audit.*: local"}; };
  world.start_all();
  EXPECT_TRUE(world.comes_true([&] {
    return world.status("paris", "oslo").last_error.find("audit.*: local") != std::string::npos &&
           world.status("oslo", "paris").last_error.find("audit.*: local") != std::string::npos;
  }));
}

TEST(PeerManagerTest, AnUnlistedSiteIsRefusedAndNamed) {
  PeerWorld world({"oslo", "paris", "rome"});
  world.at("oslo").self.members = {"oslo", "paris"};
  world.options("oslo").peers.sites.resize(1);  // paris only
  world.start("oslo");
  world.start("rome");
  EXPECT_TRUE(world.comes_true([&] {
    return world.manager("oslo").last_stranger().find("rome is not listed") != std::string::npos &&
           world.status("rome", "oslo").last_error.find("oslo says: rome is not listed") !=
               std::string::npos;
  }));
}

TEST(PeerManagerTest, ASiteThatComesBackWithAnotherIdIsRefused) {
  PeerWorld world({"oslo", "paris"});
  world.start_all();
  ASSERT_TRUE(world.comes_true([&] { return world.is_open("oslo", "paris"); }));
  world.stop("paris");
  world.at("paris").self.site_id = link::testing::site_id(99);
  world.start("paris");
  EXPECT_TRUE(world.comes_true([&] {
    return world.status("oslo", "paris").last_error.find("data_dir was replaced") !=
           std::string::npos;
  }));
  EXPECT_NE(world.status("oslo", "paris").state, PeerState::kOpen);
}

TEST(PeerManagerTest, StoppingSaysGoodbyeAndARestartLinksAgain) {
  PeerWorld world({"oslo", "paris"});
  world.start_all();
  ASSERT_TRUE(world.comes_true([&] { return world.is_open("oslo", "paris"); }));
  world.stop("paris");
  EXPECT_TRUE(world.comes_true([&] {
    return world.status("oslo", "paris").last_error.find("paris is stopping") !=
               std::string::npos ||
           world.status("oslo", "paris").last_error.find("no route") != std::string::npos;
  }));
  world.start("paris");
  EXPECT_TRUE(world.comes_true([&] { return world.is_open("oslo", "paris"); }));
}

TEST(PeerManagerTest, DialsOfASiteThatIsAwayBecomeRarer) {
  PeerWorld world({"oslo", "paris"});
  world.start("oslo");
  world.let_pass(500);
  // 2, 4, 8 .. 50 ms, half of it jitter: some 20 dials; 125 or more without a back-off.
  EXPECT_LT(world.status("oslo", "paris").dials, 40u);
  EXPECT_GT(world.status("oslo", "paris").dials, 4u);
}

net::Task<void> count_end(net::Stream& stream, size_t& told, size_t& ended) {
  for (;;) {
    Result<std::string_view> bytes = co_await stream.read_some();
    if (!bytes || bytes->empty()) break;
    told += bytes->size();
  }
  ++ended;
}

TEST(PeerManagerTest, ASiteGetsInPastStrangersThatSayNothing) {
  PeerWorld world({"oslo", "paris"});
  world.start("oslo");
  std::vector<std::unique_ptr<net::Stream>> strangers;
  net::TaskGroup readers;
  size_t told = 0;
  size_t ended = 0;
  for (int i = 0; i < 100; ++i) {
    net::MemoryPair pair = net::make_memory_pair(world.loop);
    world.manager("oslo").accept(std::move(pair.second));
    strangers.push_back(std::move(pair.first));
    readers.spawn(count_end(*strangers.back(), told, ended));
  }
  EXPECT_TRUE(world.comes_true([&] { return ended == 67; })) << "33 may wait for a hello";
  EXPECT_EQ(told, 0u) << "an accepting site tells nothing before a hello";
  world.no_address("oslo", "paris");
  world.start("paris");
  EXPECT_TRUE(world.comes_true([&] { return world.is_open("oslo", "paris"); }));
  EXPECT_EQ(ended, 68u) << "it got the place of the oldest, and of nobody else";
  for (const auto& stranger : strangers) stranger->close();
  EXPECT_TRUE(world.comes_true([&] { return ended == 100; }));
}

TEST(PeerManagerTest, StrangersThatSayNothingAreDroppedAfterATime) {
  PeerWorld world({"oslo", "paris"});
  world.options("oslo").tuning.silence_ms = 300;
  world.start("oslo");
  net::MemoryPair pair = net::make_memory_pair(world.loop);
  world.manager("oslo").accept(std::move(pair.second));
  net::TaskGroup readers;
  size_t told = 0;
  size_t ended = 0;
  readers.spawn(count_end(*pair.first, told, ended));
  EXPECT_TRUE(world.comes_true([&] { return ended == 1; }));
  EXPECT_NE(world.manager("oslo").last_stranger().find("nothing heard"), std::string::npos);
}

TEST(PeerManagerTest, PlainTcpBeyondLoopbackNeedsToBeAskedFor) {
  PeerWorld world({"oslo", "paris"});
  world.options("oslo").peers.sites[0].address = Endpoint{"192.0.2.1", 1};
  auto start = [&] {
    PeerManager manager(world.loop, *world.sites.at("oslo").network, world.at("oslo"), world.clock,
                        null_logger(), world.options("oslo"));
    Status started = manager.start();
    world.loop.block_on(manager.stop());
    return started;
  };
  Status refused = start();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("peers.tls"), std::string::npos);
  world.options("oslo").peers.insecure = true;
  EXPECT_TRUE(start());
}

// Two managers over real sockets, on ports of the system's choice, with certificates.
class PeerTlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("outrigger_peer_test_" + std::to_string(::getpid()));
    certificates("one", "oslo paris");
  }
  void TearDown() override {
    for (const std::string name : {"oslo", "paris"}) world_.stop(name);
    std::filesystem::remove_all(folder_);
  }

  void certificates(const std::string& authority, const std::string& sites) {
    std::string command = std::string(OUTRIGGER_CERTS_TOOL) + " " + (folder_ / authority).string() +
                          " " + sites + " >/dev/null";
    ASSERT_EQ(std::system(command.c_str()), 0);
  }
  TlsSettings files(const std::string& authority, const std::string& site) {
    std::string base = (folder_ / authority).string() + "/";
    return TlsSettings{base + site + ".crt", base + site + ".key", base + "ca.crt"};
  }
  // paris listens, oslo dials it.
  void start(const TlsSettings& oslo, const TlsSettings& paris) {
    PeerManagerOptions& at_paris = world_.options("paris");
    world_.no_address("paris", "oslo");
    at_paris.peers.listen = Endpoint{"127.0.0.1", 0};
    at_paris.peers.tls = paris;
    run("paris");
    PeerManagerOptions& at_oslo = world_.options("oslo");
    at_oslo.peers.sites[0].address = Endpoint{"127.0.0.1", world_.manager("paris").port()};
    at_oslo.peers.tls = oslo;
    run("oslo");
  }
  void run(const std::string& name) {
    testing::FakeSite& site = world_.sites.at(name);
    site.manager = std::make_unique<PeerManager>(world_.loop, network_, *site.exchange,
                                                 world_.clock, null_logger(), site.options);
    Status started = site.manager->start();
    ASSERT_TRUE(started.has_value()) << started.error().message();
  }
  bool is_told(const std::string& site, const std::string& peer, const std::string& text) {
    return world_.comes_true(
        [&] { return world_.status(site, peer).last_error.find(text) != std::string::npos; });
  }
  bool oslo_is_told(const std::string& text) { return is_told("oslo", "paris", text); }

  std::filesystem::path folder_;
  PeerWorld world_{{"oslo", "paris"}};
  net::UvNetwork network_{world_.loop};
};

TEST_F(PeerTlsTest, SitesWithCertificatesOfOneAuthorityExchangeRecords) {
  start(files("one", "oslo"), files("one", "paris"));
  world_.at("oslo").write("secret");
  EXPECT_TRUE(world_.comes_true([&] { return world_.at("paris").records() == 1; }));
}

TEST_F(PeerTlsTest, ACertificateOfAnotherAuthorityIsRefused) {
  certificates("two", "oslo");
  start(files("two", "oslo"), files("one", "paris"));
  EXPECT_TRUE(
      world_.comes_true([&] { return !world_.status("oslo", "paris").last_error.empty(); }));
  EXPECT_EQ(world_.status("oslo", "paris").links, 0u);
}

TEST_F(PeerTlsTest, ADialledSiteMustShowItsOwnCertificate) {
  certificates("one", "rome");
  start(files("one", "oslo"), files("one", "rome"));  // paris shows rome's
  EXPECT_TRUE(oslo_is_told("ostname mismatch"));
  EXPECT_TRUE(oslo_is_told("name DNS:paris"));
  EXPECT_EQ(world_.status("oslo", "paris").links, 0u);
}

TEST_F(PeerTlsTest, AnAcceptedSiteMustShowItsOwnCertificate) {
  certificates("one", "rome");
  start(files("one", "rome"), files("one", "paris"));  // oslo shows rome's
  EXPECT_TRUE(oslo_is_told("calls itself oslo shows a certificate for rome"));
  EXPECT_TRUE(is_told("paris", "oslo", "calls itself oslo"));
  EXPECT_EQ(world_.status("paris", "oslo").links, 0u);
}

TEST_F(PeerTlsTest, APlainDialerGetsNowhere) {
  start(files("one", "oslo"), files("one", "paris"));
  ASSERT_TRUE(world_.comes_true([&] { return world_.is_open("oslo", "paris"); }));
  uint16_t port = world_.manager("paris").port();
  world_.stop("oslo");
  world_.options("oslo").peers.tls.reset();
  world_.options("oslo").peers.sites[0].address = Endpoint{"127.0.0.1", port};
  run("oslo");
  EXPECT_TRUE(world_.comes_true([&] { return !world_.manager("paris").last_stranger().empty(); }));
  EXPECT_EQ(world_.status("oslo", "paris").links, 0u);
}

}  // namespace
}  // namespace outrigger
