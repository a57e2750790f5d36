#include "proxy/expiry/scram.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace outrigger {
namespace {

// The example of RFC 7677, section 3.
constexpr const char* kServerFirst =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr const char* kServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

Scram of_the_example() {
  return Scram(ScramHash::kSha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO");
}

TEST(Scram, SaysWhatTheExampleOfItsStandardSays) {
  Scram scram = of_the_example();
  EXPECT_EQ(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  const auto proof = scram.proof(kServerFirst);
  ASSERT_TRUE(proof.has_value());
  EXPECT_EQ(*proof,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  EXPECT_TRUE(scram.check(kServerFinal).has_value());
}

// The example of MongoDB's specification of authentication.
TEST(Scram, TakesTheDigestOfAPasswordForSha1) {
  Scram scram(ScramHash::kSha1, "user", "pencil", "fyko+d2lbbFgONRv9qkxdawL");
  const auto proof = scram.proof(
      "r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,s=rQ9ZY3MntBeuP3E1TDVC4w==,"
      "i=10000");
  ASSERT_TRUE(proof.has_value());
  EXPECT_EQ(*proof,
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,"
            "p=MC2T8BvbmWRckDw8oWl5IVghwCY=");
  EXPECT_TRUE(scram.check("v=UMWeI25JD1yNYZRMpZ4VHvhZ9e0=").has_value());
}

TEST(Scram, EscapesWhatSeparates) {
  EXPECT_EQ(Scram(ScramHash::kSha256, "a=b,c", "p", "x").first(), "n,,n=a=3Db=2Cc,r=x");
}

TEST(Scram, RefusesAnAnswerThatIsNone) {
  const std::string nonce = "r=rOprNGfwEbeRWgbNEkqOmore";
  const std::vector<std::string> all = {"",
                                        nonce,
                                        "r=another,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                                        "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                                        nonce + ",s=!!!!,i=4096",
                                        nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
                                        nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2000000000",
                                        nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=many"};
  for (const std::string& wrong : all) {
    Scram scram = of_the_example();
    EXPECT_FALSE(scram.proof(wrong).has_value()) << wrong;
  }
}

TEST(Scram, TellsAServerThatDoesNotKnowThePassword) {
  Scram scram = of_the_example();
  EXPECT_FALSE(scram.check(kServerFinal).has_value());  // nothing was proved yet
  ASSERT_TRUE(scram.proof(kServerFirst).has_value());
  EXPECT_FALSE(scram.check("v=AAAA").has_value());
  EXPECT_FALSE(scram.check("e=other-error").has_value());
}

}  // namespace
}  // namespace outrigger
