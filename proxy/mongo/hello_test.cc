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
            R"({"hosts": ["app.example:1", "app.example:2"], "passives": [], )"
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

}  // namespace
}  // namespace outrigger
