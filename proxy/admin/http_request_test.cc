#include "proxy/admin/http_request.h"

#include <gtest/gtest.h>

namespace outrigger {
namespace {

const Endpoint kLoopback{"127.0.0.1", 9117};
const Endpoint kOpen{"0.0.0.0", 9117};

int status_of(const std::string& head, const Endpoint& listens_on = kLoopback) {
  const auto request = parse_request(head, listens_on);
  return request ? 200 : request.error().status;
}

TEST(HttpRequest, APathAndItsQuery) {
  const auto request = parse_request(
      "GET /conflicts?a=1&limit=5 HTTP/1.1\r\nHost: localhost:9117\r\n\r\n", kLoopback);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->path, "/conflicts");
  EXPECT_EQ(request->field("limit"), "5");
  EXPECT_EQ(request->field("other"), std::nullopt);
  EXPECT_FALSE(request->head_only);
}

TEST(HttpRequest, TheHeadEndsAtItsEmptyLine) {
  EXPECT_EQ(head_end("GET / HTTP/1.1\r\nHost: a\r\n"), std::nullopt);
  EXPECT_EQ(head_end("a\r\n\r\nbody"), 5u);
  EXPECT_EQ(head_end("a\n\nbody"), 3u);
}

TEST(HttpRequest, ANameThatIsNotOursIsMisdirected) {
  for (const char* host : {"evil.example", "evil.example:9117", "127.0.0.1.evil.example",
                           "localhost.evil.example", "10.0.0.1", "", "[fe80::1]", "127.evil"}) {
    EXPECT_FALSE(is_our_host(host, kLoopback)) << host;
    EXPECT_EQ(status_of(std::string("GET / HTTP/1.1\r\nHost: ") + host + "\r\n\r\n"), 421) << host;
  }
  for (const char* host : {"127.0.0.1", "127.0.0.1:9117", "localhost", "LocalHost:8080",
                           "localhost.", "[::1]:9117", "127.0.0.2"}) {
    EXPECT_TRUE(is_our_host(host, kLoopback)) << host;
  }
}

TEST(HttpRequest, APortOpenedToAllIsReachedByAnyAddressButByNoForeignName) {
  EXPECT_TRUE(is_our_host("10.1.2.3:9117", kOpen));
  EXPECT_TRUE(is_our_host("[fe80::1]:9117", kOpen));
  EXPECT_FALSE(is_our_host("evil.example", kOpen));
  EXPECT_TRUE(is_our_host("db1.internal", Endpoint{"db1.internal", 9117}));
}

TEST(HttpRequest, NoBodyNoOtherMethodNoDoubtfulHead) {
  const std::string host = "Host: localhost\r\n";
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\n"), 413);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n"), 413);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n"), 200);
  EXPECT_EQ(status_of("PUT / HTTP/1.1\r\n" + host + "\r\n"), 405);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\n"), 413);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n" + host + host + "\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n" + host + " folded: x\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET http://localhost/ HTTP/1.1\r\n" + host + "\r\n"), 400);
  EXPECT_EQ(status_of("nonsense\r\n\r\n"), 400);
  EXPECT_EQ(status_of(""), 400);
}

TEST(HttpRequest, APostIsToldFromAGetAndNoPageOfAnotherOriginMayPost) {
  const std::string post = "POST /quarantine/retry HTTP/1.1\r\nHost: localhost:9117\r\n";
  EXPECT_TRUE(parse_request(post + "Content-Length: 0\r\n\r\n", kLoopback)->posted);
  EXPECT_FALSE(parse_request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", kLoopback)->posted);
  EXPECT_EQ(status_of(post + "Origin: http://localhost:9117\r\n\r\n"), 200);
  for (const char* origin : {"null", "http://localhost:3000", "https://evil.example", ""}) {
    EXPECT_EQ(status_of(post + "Origin: " + origin + "\r\n\r\n"), 403) << origin;
  }
}

TEST(HttpRequest, AnAnswerEndsTheConnectionAndSaysItsLength) {
  const std::string bytes = to_bytes({503, "text/plain", "no\n"}, false);
  EXPECT_EQ(bytes.find("HTTP/1.1 503 Service Unavailable\r\n"), 0u);
  EXPECT_NE(bytes.find("Content-Length: 3\r\nConnection: close\r\n"), std::string::npos);
  EXPECT_TRUE(bytes.ends_with("\r\n\r\nno\n"));
  EXPECT_TRUE(to_bytes({200, "text/plain", "no\n"}, true).ends_with("\r\n\r\n"));
}

}  // namespace
}  // namespace outrigger
