// How runs of mongod are told apart, by what their hellos say.
#include <gtest/gtest.h>

#include "replication/store/served_process.h"
#include "replication/store/store.h"

namespace outrigger {
namespace {

struct Said {
  int members = 3;
  bool primary = true;
  char process = 'p';
  char term = 1;
  bool legacy = false;
};

std::string run_of(const Said& said) {
  bson::Writer out;
  out.boolean(said.legacy ? "ismaster" : "isWritablePrimary", said.primary);
  out.string("setName", "rs0").open_array("hosts").string("0", "a:1").close();
  if (said.members > 1) out.open_array("passives").string("0", "b:1").close();
  if (said.members > 2) out.open_array("arbiters").string("0", "c:1").close();
  if (said.primary) out.object_id("electionId", std::string(11, '\x7f') + said.term);
  out.open_document("topologyVersion").object_id("processId", std::string(12, said.process));
  out.close();
  const std::string body = out.finish();
  return process_of(bson::Document(body));
}

TEST(Runs, OfASetOfOneAreNamedByTheirProcess) {
  EXPECT_EQ(run_of({.members = 1}), std::string(12, 'p'));
  EXPECT_EQ(run_of({.members = 1, .term = 2}), run_of({.members = 1}));
  EXPECT_FALSE(is_of_several(run_of({.members = 1})));
  EXPECT_FALSE(is_follower(run_of({.members = 1, .primary = false})));
}

TEST(Runs, OfASetOfSeveralAreThoseOfItsPrimaryInATerm) {
  const std::string run = run_of({});
  EXPECT_TRUE(is_of_several(run));
  EXPECT_FALSE(is_follower(run));
  EXPECT_EQ(run, run_of({.legacy = true}));
  EXPECT_NE(run, run_of({.term = 2}));
  EXPECT_NE(run, run_of({.process = 'q'}));
  EXPECT_EQ(process_part(run), std::string(12, 'p'));
}

TEST(Runs, OneThatIsNotPrimaryIsNobodysRun) {
  const std::string follower = run_of({.primary = false});
  EXPECT_TRUE(is_follower(follower));
  EXPECT_TRUE(is_of_several(follower));
  EXPECT_NE(follower, run_of({}));
  ServedProcess served;
  served.serve(std::string(12, 'p'));  // as of a set of one that has grown
  EXPECT_FALSE(served.is(follower));
}

TEST(Runs, OneThatHasNoConfigOfASetIsNotTakenForItsPrimary) {
  bson::Writer out;
  out.boolean("isWritablePrimary", false).boolean("secondary", false).boolean("isreplicaset", true);
  out.open_document("topologyVersion").object_id("processId", std::string(12, 'p')).close();
  const std::string body = out.finish();
  EXPECT_TRUE(is_follower(process_of(bson::Document(body))));
}

TEST(Runs, ARepliesElectionIsThatOfItsRunOrIsNotSaid) {
  const auto is_another = [](const std::string& body, const std::string& run) {
    return is_of_another_election(bson::Document(body), run);
  };
  const auto reply = [](char term) {
    return bson::Writer().int32("n", 1).object_id("electionId", std::string(11, '\x7f') + term);
  };
  const std::string first = reply(1).finish();
  EXPECT_FALSE(is_another(first, run_of({})));
  EXPECT_TRUE(is_another(first, run_of({.term = 2})));
  EXPECT_FALSE(is_another(first, run_of({.members = 1})));
  EXPECT_FALSE(is_another(bson::Writer().int32("n", 1).finish(), run_of({})));
}

TEST(Runs, OfAnEarlierTermAreToldWhereBothHaveTerms) {
  EXPECT_TRUE(is_of_earlier_term(run_of({.process = 'z'}), run_of({.term = 2})));
  EXPECT_FALSE(is_of_earlier_term(run_of({.term = 2}), run_of({})));
  EXPECT_FALSE(is_of_earlier_term(run_of({}), run_of({})));
  EXPECT_FALSE(is_of_earlier_term(run_of({.members = 1}), run_of({.term = 2})));
}

TEST(Runs, NoneIsServedWhileWhatAnotherLacksIsLookedFor) {
  ServedProcess served;
  served.serve("one");
  EXPECT_TRUE(served.is("one"));
  served.suspend();
  EXPECT_FALSE(served.is("one"));
  EXPECT_EQ(served.process(), "one");
  served.serve("two");
  EXPECT_TRUE(served.is("two"));
}

}  // namespace
}  // namespace outrigger
