// What drivers are shown of a set of several members. Of one, or a standalone: capture_test.
#include "proxy/mongo/hello.h"

#include <gtest/gtest.h>

namespace outrigger {
namespace {

using bson::Document;

const ShownNames kNames{"app.example:2",
                        {{"db1:27017", "app.example:1"},
                         {"db2:27017", "app.example:2"},
                         {"db4:27017", "app.example:4"}}};

std::string primarys_hello() {
  bson::Writer out;
  out.open_document("topologyVersion").int64("counter", 6).close();
  out.open_array("hosts").string("0", "db1:27017").string("1", "DB2:27017").close();
  out.open_array("passives").string("0", "db3:27017").close();
  out.open_array("arbiters").string("0", "db4:27017").close();
  out.string("setName", "rs0").int32("setVersion", 7);
  out.boolean("isWritablePrimary", true).boolean("secondary", false);
  out.string("primary", "db2:27017").string("me", "db2:27017");
  out.object_id("electionId", "123456789012").open_document("tags").string("dc", "x").close();
  out.open_document("lastWrite").int32("opTime", 1).close();
  out.int32("maxWireVersion", 25);
  return out.finish();
}

TEST(HelloOfSeveral, NamesEachMemberByItsListenerAndLeavesOutWhoHasNone) {
  const std::string reply = primarys_hello();
  const std::string shown = mask_hello_reply(Document(reply), kNames);
  EXPECT_EQ(bson::to_json(Document(shown)),
            R"({"topologyVersion": {"counter": 6}, "hosts": ["app.example:1", )"
            R"("app.example:2"], "passives": [], )"
            R"("arbiters": ["app.example:4"], "setName": "rs0", "setVersion": 7, )"
            R"("isWritablePrimary": true, "secondary": false, "primary": "app.example:2", )"
            R"("me": "app.example:2", "electionId": {"$oid": "313233343536373839303132"}, )"
            R"("tags": {"dc": "x"}, "lastWrite": {"opTime": 1}, "maxWireVersion": 21})");
}

TEST(HelloOfSeveral, AnUnlistedPrimaryIsNotNamed) {
  bson::Writer out;
  out.string("setName", "rs0").string("primary", "db3:27017").string("me", "db1:27017");
  const std::string reply = out.finish();
  const std::string shown = mask_hello_reply(Document(reply), kNames);
  EXPECT_EQ(bson::to_json(Document(shown)), R"({"setName": "rs0", "me": "app.example:1"})");
}

TEST(HelloOfSeveral, APrimaryThatIsNotServedYetIsASecondary) {
  const std::string reply = primarys_hello();
  const std::string shown = not_primary_yet(Document(reply));
  EXPECT_FALSE(Document(shown).find("isWritablePrimary")->truthy());
  EXPECT_TRUE(Document(shown).find("secondary")->truthy());
  EXPECT_FALSE(Document(shown).has("electionId"));
  EXPECT_FALSE(Document(shown).has("primary"));
  EXPECT_TRUE(Document(shown).has("me"));
}

std::string waiting_hello(int64_t counter) {
  bson::Writer out;
  out.int32("hello", 1).open_document("topologyVersion").int64("counter", counter).close();
  out.int64("maxAwaitTimeMS", 10'000).boolean("loadBalanced", false).string("$db", "admin");
  return out.finish();
}

TEST(HelloThatWaits, WaitsAtMongodUnlessWeHaveTheNews) {
  const std::string hello = waiting_hello(5);
  EXPECT_TRUE(waits_for_news(Document(hello)));
  const std::string waits = mask_hello_request(Document(hello));
  EXPECT_TRUE(waits_for_news(Document(waits)));
  EXPECT_TRUE(Document(waits).has("topologyVersion"));
  EXPECT_FALSE(Document(waits).has("loadBalanced"));
  const std::string at_once = mask_hello_request(Document(hello), false);
  EXPECT_EQ(bson::to_json(Document(at_once)), R"({"hello": 1, "$db": "admin"})");
}

TEST(HelloThatWaits, TheNextOneIsBehindTheNewsOfTheLast) {
  const std::string hello = waiting_hello(5);
  const auto answered = [](double ok) {
    bson::Writer out;
    out.open_document("topologyVersion").int64("counter", 6).close().real("ok", ok);
    return out.finish();
  };
  const std::string news = answered(1);
  EXPECT_EQ(behind_news(Document(hello), Document(news)), waiting_hello(6));
  const std::string refused = answered(0);
  EXPECT_FALSE(behind_news(Document(hello), Document(refused)));
  const std::string silent = bson::Writer().real("ok", 1).finish();
  EXPECT_FALSE(behind_news(Document(hello), Document(silent)));
}

TEST(HelloOfCompression, NamesWhatWasAgreedOnWhereMongodNamesIts) {
  bson::Writer out;
  out.boolean("readOnly", false).open_array("compression").string("0", "noop").close();
  const std::string reply = out.real("ok", 1).finish();
  const std::string some = with_compressors(Document(reply), {"zlib", "snappy"});
  EXPECT_EQ(bson::to_json(Document(some)),
            R"({"readOnly": false, "compression": ["zlib", "snappy"], "ok": 1.0})");
  const std::string none = with_compressors(Document(reply), {});
  EXPECT_EQ(bson::to_json(Document(none)), R"({"readOnly": false, "ok": 1.0})");
}

}  // namespace
}  // namespace outrigger
