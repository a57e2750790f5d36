// What may be said of the members of a replica set, and what of it is refused.
#include "config/loader_testing.h"

namespace outrigger {
namespace {

using testing::BadCase;

class BadMembers : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadMembers, AreRefusedNamingLineKeyAndExpectation) { testing::expect_refused(GetParam()); }

const BadCase kBadMembers[] = {
    {"no_members", "proxy: {members: []}\n", "f.yaml:4: proxy.members",
     "expected the members of the set, found none"},
    {"member_without_listener", "proxy: {members: [{member: 'db1:27017'}]}\n",
     "f.yaml:4: proxy.members[0].listen",
     "expected where apps reach this member, host:port, found no such key"},
    {"members_beside_listen",
     "proxy:\n  listen: 127.0.0.1:1\n  members: [{member: 'db1:1', listen: '127.0.0.1:2'}]\n",
     "f.yaml:5: proxy.listen", "expected no such key beside proxy.members"},
    {"members_beside_advertise",
     "proxy:\n  advertise: a.example:1\n  members: [{member: 'db1:1', listen: '127.0.0.1:2'}]\n",
     "f.yaml:5: proxy.advertise", "expected no such key beside proxy.members"},
    {"member_twice",
     "proxy:\n  members:\n    - {member: 'db1:1', listen: '127.0.0.1:2'}\n"
     "    - {member: 'db1:1', listen: '127.0.0.1:3'}\n",
     "f.yaml:7: proxy.members[1].member",
     "expected a member that is not listed yet, found db1:1 again"},
    {"members_share_a_port",
     "proxy:\n  members:\n    - {member: 'db1:1', listen: '127.0.0.1:2'}\n"
     "    - {member: 'db2:1', listen: '127.0.0.1:2'}\n",
     "f.yaml:7: proxy.members[1].listen", "expected a port of its own, found 127.0.0.1:2"},
    {"members_share_a_name",
     "proxy:\n  members:\n    - {member: 'db1:1', listen: '127.0.0.1:2', advertise: 'a:1'}\n"
     "    - {member: 'db2:1', listen: '127.0.0.1:3', advertise: 'a:1'}\n",
     "f.yaml:7: proxy.members[1].advertise", "expected an address of its own, found that of db1:1"},
    {"member_shown_as_wildcard", "proxy: {members: [{member: 'db1:1', listen: '0.0.0.0:2'}]}\n",
     "f.yaml:4: proxy.members[0].listen",
     "expected an address that drivers can dial, found 0.0.0.0:2"},
    {"members_of_no_set", "proxy: {members: [{member: 'db1:1', listen: '127.0.0.1:2'}]}\n",
     "f.yaml:3: store.uri", "expected replicaSet= beside proxy.members, found none"},
    {"members_and_a_direct_connection",
     "#whole\nsite: a\ndata_dir: /d\n"
     "store: {uri: 'mongodb://h/?replicaSet=rs0&directConnection=true'}\n"
     "proxy: {members: [{member: 'db1:1', listen: '127.0.0.1:2'}]}\n",
     "f.yaml:3: store.uri", "expected no directConnection=true beside proxy.members"},
    {"members_beside_socket",
     "proxy:\n  socket: /run/a.sock\n  members: [{member: 'db1:1', listen: '127.0.0.1:2'}]\n",
     "f.yaml:5: proxy.socket", "expected no such key beside proxy.members"},
    {"members_share_a_socket",
     "proxy:\n  members:\n    - {member: 'db1:1', listen: '127.0.0.1:2', socket: /run/a.sock}\n"
     "    - {member: 'db2:1', listen: '127.0.0.1:3', socket: /run/a.sock}\n",
     "f.yaml:7: proxy.members[1].socket",
     "expected a path of its own, found /run/a.sock, which is also proxy.members[0].socket"},
    {"store_is_a_members_listener",
     "#whole\nsite: a\ndata_dir: /d\nstore: {uri: 'mongodb://h:1,127.0.0.1:2/?replicaSet=r'}\n"
     "proxy: {members: [{member: 'db1:1', listen: '127.0.0.1:2'}]}\n",
     "f.yaml:3: store.uri",
     "expected the address of MongoDB, found that of a listener of proxy.members"},
};

INSTANTIATE_TEST_SUITE_P(Set, BadMembers, ::testing::ValuesIn(kBadMembers));

TEST(Loader, MembersOfASetHaveListenersOfTheirOwn) {
  const auto loaded = parse_settings(
      "site: paris\ndata_dir: /d\nstore: {uri: 'mongodb://db1:1,db2:1/?replicaSet=rs0'}\n"
      "proxy:\n  members:\n    - {member: 'db1:1', listen: '127.0.0.1:2'}\n"
      "    - {member: 'db2:1', listen: '0.0.0.0:3', advertise: 'paris.example:3'}\n",
      "f.yaml");
  ASSERT_TRUE(loaded.has_value()) << describe(loaded.error());
  const ProxySettings& proxy = loaded->proxy;
  ASSERT_EQ(proxy.members.size(), 2u);
  EXPECT_EQ(proxy.members[0].member.text(), "db1:1");
  EXPECT_EQ(proxy.members[0].advertise.text(), "127.0.0.1:2");
  EXPECT_EQ(proxy.members[1].advertise.text(), "paris.example:3");
  ASSERT_EQ(proxy.doors().size(), 2u);
  EXPECT_EQ(proxy.doors()[1].text(), "0.0.0.0:3");
}

TEST(Loader, ASocketStandsBesideAListener) {
  const auto alone = parse_settings(
      std::string(testing::kMinimal) + "proxy: {socket: /run/a.sock, socket_mode: 0770}\n", "f");
  ASSERT_TRUE(alone.has_value()) << describe(alone.error());
  EXPECT_EQ(alone->proxy.socket, "/run/a.sock");
  EXPECT_EQ(alone->proxy.socket_mode, 0770u);
  EXPECT_EQ(alone->proxy.listen.text(), "127.0.0.1:27117");
  const auto members = parse_settings(
      "site: paris\ndata_dir: /d\nstore: {uri: 'mongodb://db1:1/?replicaSet=rs0'}\n"
      "proxy:\n  members: [{member: 'db1:1', listen: '127.0.0.1:2', socket: /run/b.sock}]\n",
      "f");
  ASSERT_TRUE(members.has_value()) << describe(members.error());
  EXPECT_EQ(members->proxy.members[0].socket, "/run/b.sock");
  EXPECT_EQ(members->proxy.socket_mode, 0700u);
}

}  // namespace
}  // namespace outrigger
