// Where the sidecar comes in as a client of itself, and where it cannot.
#include "proxy/app/own_door.h"

#include <gtest/gtest.h>

namespace outrigger {
namespace {

class OwnDoorTest : public ::testing::Test {
 protected:
  OwnDoorTest() {
    settings_.store.uri = "mongodb://127.0.0.1:27017/?replicaSet=rs0";
    settings_.proxy.listen = {"127.0.0.1", 27117};
  }
  [[nodiscard]] std::string uri() const {
    return own_door_uri(settings_, settings_.proxy.doors().front()).value_or("(refused)");
  }
  [[nodiscard]] bool says(const std::string& part) const {
    return uri().find(part) != std::string::npos;
  }

  Settings settings_;
};

TEST_F(OwnDoorTest, IsWhereAppsComeIn) {
  EXPECT_EQ(uri().find("mongodb://127.0.0.1:27117/?directConnection=true"), 0u) << uri();
  EXPECT_FALSE(says("replicaSet"));
  EXPECT_FALSE(says("tls"));
  settings_.proxy.listen = {"0.0.0.0", 5};
  EXPECT_TRUE(says("//127.0.0.1:5/")) << uri();
  settings_.proxy.listen = {"::", 5};
  EXPECT_TRUE(says("//[::1]:5/")) << uri();
}

TEST_F(OwnDoorTest, TakesTheCredentialsOfTheStoreWhateverTheyHold) {
  settings_.store.uri =
      "mongodb://s%40%3A:p%2Fw%25@127.0.0.1:27017/?authSource=ops&authMechanism=SCRAM-SHA-256";
  EXPECT_TRUE(says("mongodb://%73%40%3A:%70%2F%77%25@127.0.0.1:27117/")) << uri();
  EXPECT_TRUE(says("&authSource=%6F%70%73&authMechanism=SCRAM-SHA-256")) << uri();
}

TEST_F(OwnDoorTest, SpeaksTlsWhereAppsDo) {
  settings_.proxy.tls = TlsSettings{"app.crt", "app.key", ""};
  EXPECT_TRUE(says("&tls=true")) << uri();
}

TEST_F(OwnDoorTest, ShowsNoCertificate) {
  settings_.store.uri = "mongodb://CN%3Dx@127.0.0.1/?authMechanism=MONGODB-X509&tls=true";
  EXPECT_EQ(own_door_uri(settings_, settings_.proxy.doors().front()).error().code,
            ErrorCode::kUnsupported);
  settings_.store.uri = "mongodb://127.0.0.1";
  settings_.proxy.tls = TlsSettings{"app.crt", "app.key", "ca.crt"};
  EXPECT_EQ(own_door_uri(settings_, settings_.proxy.doors().front()).error().code,
            ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace outrigger
