#include "replication/merge/claims/claim.h"

#include "replication/merge/worlds/merge_fixture.h"

namespace outrigger::merge {
namespace {

const std::vector<Path> kFields{{"mail"}, {"at", "home"}};

class ClaimTest : public MergeTest {
 protected:
  Dot claim(const WorldSite& site) { return claim_of(site.load("d"), kFields); }
  // The same at every site, of the row alone and of the whole document.
  Dot claim_of_all() {
    exchange();
    const Dot first = claim(a_);
    for (const WorldSite* site : all_) {
      DocumentState state = site->load("d");
      EXPECT_EQ(claim_of(state, kFields), first);
      fill(state, stored(*site));
      EXPECT_EQ(claim_of(state, kFields), first) << "full";
    }
    return first;
  }
};

TEST_F(ClaimTest, ABirthIsOneAndOtherFieldsAreNone) {
  insert(a_, {{"mail", i32(1)}});
  const Dot born = claim_of_all();
  EXPECT_FALSE(born.is_zero());
  set(b_, "name", i32(2));
  inc(c_, "visits", i32(2));
  EXPECT_EQ(claim_of_all(), born);
}

TEST_F(ClaimTest, EachWriteToAKeyIsALaterOne) {
  insert(a_, {{"mail", i32(1)}, {"at", i32(0)}});
  Dot last = claim_of_all();
  const auto is_later = [&] {
    const Dot now = claim_of_all();
    EXPECT_GT(now, last);
    last = now;
  };
  set(b_, "mail", i32(2));
  is_later();
  unset(c_, "mail");
  is_later();
  set(a_, "at", i32(3));  // above a field
  is_later();
  unset(a_, "at");
  is_later();
  set(b_, Path{"at", "home", "street"}, i32(3));  // below one
  is_later();
  inc(c_, "mail", i32(3));
  is_later();
  replace(a_, {{"name", i32(1)}});
  is_later();
}

TEST_F(ClaimTest, OfConcurrentOnesTheLaterStandsWhateverCameFirst) {
  insert(a_, {{"mail", i32(1)}});
  exchange();
  set(a_, "mail", i32(2));
  const Dot one = claim(a_);
  set(b_, "mail", i32(3));
  const Dot two = claim(b_);
  EXPECT_EQ(claim_of_all(), std::max(one, two));
}

TEST_F(ClaimTest, AnUpsertBesideAnotherAndOneThatIsGone) {
  upsert(a_, {{"mail", i32(1)}});
  upsert(b_, {{"name", i32(1)}});
  EXPECT_FALSE(claim_of_all().is_zero());
  remove(a_);
  EXPECT_TRUE(claim_of_all().is_zero());
}

}  // namespace
}  // namespace outrigger::merge
