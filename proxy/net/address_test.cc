#include "proxy/net/address.h"

#include <gtest/gtest.h>

namespace outrigger::net {
namespace {

TEST(Address, ParsesWhatPeopleWrite) {
  struct Case {
    std::string text, host;
    uint16_t port;
    std::string path;
  };
  for (const auto& c :
       {Case{"127.0.0.1:27117", "127.0.0.1", 27117, ""}, Case{"db.example:0", "db.example", 0, ""},
        Case{"[::1]:65535", "::1", 65535, ""}, Case{"unix:/run/x.sock", "", 0, "/run/x.sock"}}) {
    const auto address = parse_address(c.text);
    ASSERT_TRUE(address) << address.error().message();
    EXPECT_EQ(address->host, c.host);
    EXPECT_EQ(address->port, c.port);
    EXPECT_EQ(address->path, c.path);
    EXPECT_EQ(address->text(), c.text);
  }
}

TEST(Address, SaysWhatIsWrongAndHowToWriteIt) {
  struct Case {
    std::string text, reason;
  };
  const std::string long_path = "unix:/" + std::string(120, 'x');
  for (const auto& c : {Case{"", "no port"}, Case{"host", "no port"}, Case{":27017", "no host"},
                        Case{"host:", "not a number"}, Case{"host:65536", "not a number"},
                        Case{"host:+1", "not a number"}, Case{"host:12x", "not a number"},
                        Case{"::1:27017", "needs brackets"}, Case{"[::1", "no closing bracket"},
                        Case{"[::1]27017", "no port"}, Case{"[host]:1", "no IPv6 address"},
                        Case{"unix:", "no path"}, Case{"mongodb://host:1", "needs brackets"},
                        Case{"a b:1", "no spaces"}, Case{long_path, "too long"}}) {
    const auto address = parse_address(c.text);
    ASSERT_FALSE(address) << c.text;
    EXPECT_NE(address.error().reason.find(c.reason), std::string::npos)
        << c.text << " -> " << address.error().message();
    EXPECT_NE(address.error().object.find(c.text), std::string::npos);
    EXPECT_FALSE(address.error().hint.empty());
  }
}

TEST(Address, KnowsThisMachine) {
  for (const char* host : {"127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "localhost"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
  }
  for (const char* host : {"128.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "localhost.evil", ""}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
}

}  // namespace
}  // namespace outrigger::net
