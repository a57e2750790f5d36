#include "replication/link/handshake.h"

#include <gtest/gtest.h>

#include "replication/link/link_testing.h"

namespace outrigger::link {
namespace {

using testing::hello_of;
using testing::site_id;

class HandshakeTest : public ::testing::Test {
 protected:
  // The text of the refusal, which must have this code; "accepted" when there is none.
  std::string refused(RefuseCode code) {
    std::optional<Refusal> no = check_hello(ours_, theirs_, expected_);
    if (!no) return "accepted";
    EXPECT_EQ(static_cast<int>(no->code), static_cast<int>(code));
    return no->text;
  }
  bool accepted() { return !check_hello(ours_, theirs_, expected_).has_value(); }

  Hello ours_ = hello_of("oslo", 1);
  Hello theirs_ = hello_of("paris", 2);
  Expectation expected_;
};

TEST_F(HandshakeTest, EqualSitesMayTalk) { EXPECT_TRUE(accepted()); }

TEST_F(HandshakeTest, OverlappingVersionsSpeakTheHighestCommonOne) {
  ours_.version_max = 6;
  theirs_.version_max = 5;
  EXPECT_TRUE(accepted());
  EXPECT_EQ(common_version(ours_, theirs_), 5u);
}

TEST_F(HandshakeTest, VersionsWithoutOverlapNameBoth) {
  theirs_.version_min = 5;
  theirs_.version_max = 6;
  EXPECT_EQ(refused(RefuseCode::kVersion),
            "oslo speaks link version 4, paris speaks 5 to 6: upgrade the older sidecar");
}

TEST_F(HandshakeTest, ReachingAnotherSiteThanDialledIsRefused) {
  expected_.dialled_site = "rome";
  EXPECT_EQ(refused(RefuseCode::kWrongSite),
            "oslo dialled rome and reached paris: check peers.sites in the settings of oslo");
}

TEST_F(HandshakeTest, AnUnlistedSiteIsRefused) {
  theirs_.site.site = "rome";
  EXPECT_EQ(refused(RefuseCode::kUnlisted),
            "rome is not listed in peers.sites of oslo: add it there, or stop dialling");
}

TEST_F(HandshakeTest, ACertificateForAnotherNameIsRefused) {
  expected_.certificate_names = {{"rome", "oslo"}};
  EXPECT_EQ(refused(RefuseCode::kCertificate),
            "the sidecar that calls itself paris shows a certificate for rome, oslo: its "
            "subjectAltName must hold DNS:paris");
  expected_.certificate_names->clear();
  EXPECT_NE(refused(RefuseCode::kCertificate).find("for no DNS name"), std::string::npos);
  expected_.certificate_names->push_back("paris");
  EXPECT_TRUE(accepted());
}

TEST_F(HandshakeTest, OurOwnSiteIdUnderAnyNameIsAClone) {
  theirs_.site.site_id = site_id(1);
  EXPECT_NE(refused(RefuseCode::kClone).find("(oslo, paris) run with the same site id"),
            std::string::npos);
}

TEST_F(HandshakeTest, OurOwnNameFromAnotherIdIsRefused) {
  theirs_.site.site = "oslo";
  EXPECT_EQ(refused(RefuseCode::kClone), "both sidecars are named oslo: rename one");
}

TEST_F(HandshakeTest, AKnownNameWithANewIdIsRefused) {
  expected_.known_sites["paris"] = site_id(2);
  EXPECT_TRUE(accepted());
  expected_.known_sites["paris"] = site_id(9);
  EXPECT_NE(refused(RefuseCode::kIdentityChanged).find("its data_dir was replaced"),
            std::string::npos);
}

TEST_F(HandshakeTest, DifferentMembersAreNamedBothWays) {
  ours_.site.members = {"oslo", "paris", "rome"};
  EXPECT_EQ(refused(RefuseCode::kMembers),
            "oslo lists rome, paris does not: every site must list the same members "
            "(peers.sites)");
  theirs_.site.members = {"bergen", "oslo", "paris"};
  EXPECT_NE(refused(RefuseCode::kMembers)
                .find("oslo lists rome, paris does not; paris lists bergen, oslo does not"),
            std::string::npos);
}

TEST_F(HandshakeTest, DifferentPoliciesShowTheDifferingLines) {
  theirs_.site.policy_hash = "def";
  theirs_.policy_lines = {"audit.*: local", "*: replicate"};
  std::string text = refused(RefuseCode::kPolicy);
  EXPECT_NE(text.find("oslo and paris have different replicate rules"), std::string::npos);
  EXPECT_NE(text.find("\n  + audit.*: local"), std::string::npos);
}

TEST_F(HandshakeTest, RulesThatARecordToldMayDifferUntilItHasCome) {
  ours_.site.policy_hash = "aa-11";
  theirs_.site.policy_hash = "aa-22+";
  EXPECT_TRUE(accepted());
  theirs_.site.policy_hash = "aa-22";
  (void)refused(RefuseCode::kPolicy);
  theirs_.site.policy_hash = "bb-11+";
  (void)refused(RefuseCode::kPolicy);
}

TEST_F(HandshakeTest, APeerBelowOurFloorIsTheOneToSetUpAgain) {
  Origin rome{site_id(3), 1};
  ours_.site.applied.raise(rome, 100);
  ours_.site.floor.raise(rome, 50);
  theirs_.site.applied.raise(rome, 50);
  EXPECT_TRUE(accepted());
  ours_.site.floor.raise(rome, 51);
  std::string text = refused(RefuseCode::kBelowFloor);
  EXPECT_NE(text.find("paris needs records of origin " + to_text(rome)), std::string::npos);
  EXPECT_NE(text.find("paris must be set up again"), std::string::npos);
}

TEST_F(HandshakeTest, LackingWhatThePeerKnowsToBeStableMeansWeAreARestoredImage) {
  Origin rome{site_id(3), 1};
  theirs_.site.applied.raise(rome, 100);
  EXPECT_TRUE(accepted()) << "being behind is no reason";
  theirs_.site.stable.raise(rome, 70);
  EXPECT_NE(refused(RefuseCode::kRestored).find("data_dir of oslo was replaced"),
            std::string::npos);
  ours_.site.applied.raise(rome, 70);
  EXPECT_TRUE(accepted());
}

TEST(HelloTest, ComesBackAsItWasSent) {
  Hello hello = hello_of("oslo", 1);
  hello.window_bytes = 123'456'789;
  hello.site.applied.raise(Origin{site_id(1), 7}, 99);
  hello.site.stable.raise(Origin{site_id(1), 7}, 98);
  hello.site.floor.raise(Origin{site_id(2), 3}, 4);
  std::string bytes = encode_hello(hello);
  for (const std::string& sent : {bytes, bytes + "what a later version adds"}) {
    Result<Hello> read = decode_hello(sent);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(encode_hello(*read), bytes);
  }
}

TEST(HelloTest, CutShortAnywhereItIsRefused) {
  std::string bytes = encode_hello(hello_of("oslo", 1));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_hello(std::string_view(bytes).substr(0, size))) << size;
  }
}

TEST(HelloTest, NamesThatAreNotNamesAreRefused) {
  for (const char* name : {"", "Oslo", "a b", "\x1b[31m", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
    EXPECT_FALSE(decode_hello(encode_hello(hello_of(name, 1)))) << name;
    Hello hello = hello_of("oslo", 1);
    hello.site.members.push_back(name);
    EXPECT_FALSE(decode_hello(encode_hello(hello))) << name;
  }
}

TEST(HelloTest, AHelloOfAFutureVersionIsReadAsFarAsNeededToRefuseIt) {
  Hello hello = hello_of("paris", 1);
  hello.version_min = hello.version_max = kVersionMax + 1;
  std::string bytes = encode_hello(hello);
  Result<Hello> whole = decode_hello(bytes);
  Result<Hello> strange = decode_hello(bytes.substr(0, 12) + std::string(30, '\xff'));
  ASSERT_TRUE(whole && strange);
  EXPECT_EQ(whole->site.site, "paris");
  EXPECT_EQ(strange->site.site, "the other side");
}

TEST(FarewellTest, APeersWordsCannotDriveATerminal) {
  Result<Farewell> read = decode_farewell(encode_farewell({3, "bad\x1b[2J\nline\x9b\x01"}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->text, "bad [2J\nline  ");
}

TEST(ReportsTest, ComeBackAsTheyWereSent) {
  Report report;
  report.site = site_id(1);
  report.epoch = 7;
  report.serial = 1'000'000;
  report.vector.raise(Origin{site_id(1), 7}, 5);
  report.vector.raise(Origin{site_id(2), 1}, 6);
  report.issued.raise(Origin{site_id(1), 7}, 8);
  report.closed.raise(Origin{site_id(1), 7}, 3);
  Result<std::vector<Report>> read = decode_reports(encode_reports({report, Report()}));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, (std::vector<Report>{report, Report()}));
}

TEST(ReportsTest, NobodyReportsWhatAnotherIssued) {
  Report report;
  report.site = site_id(1);
  report.issued.raise(Origin{site_id(2), 7}, 8);
  EXPECT_FALSE(decode_reports(encode_reports({report})));
}

}  // namespace
}  // namespace outrigger::link
