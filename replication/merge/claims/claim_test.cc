#include "replication/merge/claims/claim.h"

#include <random>

#include "replication/merge/row.h"
#include "replication/merge/worlds/merge_fixture.h"
#include "replication/merge/yields.h"

namespace outrigger::merge {
namespace {

Dot commit(Hlc hlc, uint8_t site = 1) {
  Dot result;
  result.hlc = hlc;
  result.origin.site[0] = site;
  result.origin.epoch = 2;
  return result;
}

class ClaimTest : public MergeTest {
 protected:
  Dot claim(const WorldSite& site) { return claim_of(site.load("d")); }
  // The same at every site, of the row alone and of the whole document.
  Dot claim_of_all() {
    exchange();
    const Dot first = claim(a_);
    for (const WorldSite* site : all_) {
      DocumentState state = site->load("d");
      EXPECT_EQ(claim_of(state), first);
      fill(state, stored(*site));
      EXPECT_EQ(claim_of(state), first) << "full";
    }
    return first;
  }
  void write(WorldSite& site, Keys keys, int32_t value = 1) {
    attested_ = keys;
    set(site, "mail", i32(value));
    attested_ = Keys::kNone;
  }
  void claims(WorldSite& site) { write(site, Keys::kClaims); }
  void keeps(WorldSite& site) { write(site, Keys::kKeeps); }
  void passes(WorldSite& site) {
    attested_ = Keys::kPasses;
    inc(site, "visits", i32(1));
    attested_ = Keys::kNone;
  }
  // Of all writes.
  Dot newest() const {
    Dot last;
    for (const WorldSite* site : all_) {
      for (const auto& [origin, records] : site->log) {
        for (const Published& each : records) last = std::max(last, each.record->dot());
      }
    }
    return last;
  }
  void yield(WorldSite& site) {
    AppWrite write = make(Kind::kRemove);
    write.change.removal = Removal::kExpiry;
    write.change.document = std::string(stored(site).bytes());
    run(site, write);
  }
  Dot born() {
    insert(a_, {{"mail", i32(1)}});
    return claim_of_all();
  }
};

TEST_F(ClaimTest, ABirthIsOneAndWhatKeepsTheKeysIsNone) {
  const Dot birth = born();
  EXPECT_FALSE(birth.is_zero());
  passes(b_);
  keeps(c_);
  EXPECT_EQ(claim_of_all(), birth);
  keeps(a_);
  keeps(b_);  // beside each other
  passes(c_);
  EXPECT_EQ(claim_of_all(), birth);
  set(b_, "name", i32(2));  // where there are no keys
  EXPECT_EQ(claim_of_all(), birth);
}

TEST_F(ClaimTest, WhatMayChangeThemIsALaterOneAndOfTwoTheLaterStands) {
  const Dot birth = born();
  claims(b_);
  const Dot one = claim_of_all();
  EXPECT_GT(one, birth);
  claims(a_);
  const Dot two = claim(a_);
  claims(b_);
  const Dot three = claim(b_);
  EXPECT_EQ(claim_of_all(), std::max(two, three));
}

TEST_F(ClaimTest, WhatKeepsOldKeysBesideAClaimCounts) {
  born();
  claims(a_);
  keeps(b_);  // it gives the document what it had lost
  const Dot kept = claim_of_all();
  EXPECT_EQ(kept, newest());
  keeps(c_);  // that has seen both
  EXPECT_EQ(claim_of_all(), kept);
}

TEST_F(ClaimTest, WhatIsBesideOneThatCountsCountsToo) {
  born();
  claims(a_);
  const Dot claimed = newest();
  pull(b_, a_);
  keeps(b_);  // has seen it
  EXPECT_EQ(claim(b_), claimed);
  keeps(c_);  // has not, and is the newest
  EXPECT_EQ(claim_of_all(), newest());
}

TEST_F(ClaimTest, OfWritesElsewhereOnlyThoseCountThatBringItBack) {
  const Dot birth = born();
  claims(a_);
  passes(b_);
  const Dot claimed = claim_of_all();
  EXPECT_GT(claimed, birth);
  EXPECT_LT(claimed, newest());
  yield(a_);
  passes(b_);
  const Dot back = claim_of_all();
  EXPECT_EQ(back, newest());
  passes(c_);  // has seen the removal
  keeps(a_);
  EXPECT_EQ(claim_of_all(), back);
}

TEST_F(ClaimTest, OfOneThatIsGoneThereIsNone) {
  upsert(a_, {{"mail", i32(1)}});
  upsert(b_, {{"name", i32(1)}});
  EXPECT_FALSE(claim_of_all().is_zero());
  remove(a_);
  EXPECT_TRUE(claim_of_all().is_zero());
}

TEST_F(ClaimTest, WhoWritesWhereTwoBirthsStandClaims) {
  insert(a_, {{"mail", i32(1)}});
  insert(b_, {{"mail", i32(2)}});
  exchange();
  keeps(c_);
  EXPECT_EQ(claim_of_all(), newest());
}

TEST_F(ClaimTest, StaysAloneOfARowThatIsStable) {
  born();
  claims(b_);
  inc(c_, "visits", i32(2));
  const Dot claimed = claim_of_all();
  exchange();
  DocumentState state = a_.load("d");
  VersionVector all = stamps(state);
  ASSERT_TRUE(collect(state, all, all));
  EXPECT_EQ(stable_row(state), "");
  const std::string row = stable_row(state, true);
  EXPECT_LE(row.size(), 50u);
  auto kept = load_row(row);
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(claim_of(*kept), claimed);
  EXPECT_EQ(strip(*kept), row);
  fill(*kept, stored(a_));
  EXPECT_EQ(strip(*kept), row);
  EXPECT_EQ(document_of(*kept), std::string(stored(a_).bytes()));
}

// ---- of all orders in which writes can come

struct AnyWrite {
  Dot dot;
  Keys keys = Keys::kClaims;
  bool yields = false;
  VersionVector seen;
};

// By the rule alone: what counts, and all that is beside something that does.
Dot since_when(const std::vector<AnyWrite>& writes) {
  std::vector<bool> counts(writes.size());
  const auto beside = [&](const AnyWrite& a, const AnyWrite& b) {
    return a.dot != b.dot && !a.seen.covers(b.dot) && !b.seen.covers(a.dot);
  };
  bool grows = true;
  while (grows) {
    grows = false;
    for (size_t i = 0; i < writes.size(); ++i) {
      const AnyWrite& one = writes[i];
      bool now = one.yields || one.keys == Keys::kClaims;
      for (size_t k = 0; k < writes.size() && !now && one.keys != Keys::kNone; ++k) {
        now =
            beside(one, writes[k]) && (writes[k].yields || (one.keys == Keys::kKeeps && counts[k]));
      }
      grows = grows || now != counts[i];
      counts[i] = now;
    }
  }
  Dot since;
  for (size_t i = 0; i < writes.size(); ++i) {
    if (counts[i]) since = std::max(since, writes[i].dot);
  }
  return since;
}

TEST(Holding, IsTheSameInWhateverOrderWritesCome) {
  for (uint64_t seed = 1; seed <= 20000 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    struct Site {
      VersionVector has;
      Incarnation held{{commit(1)}, {}};
    };
    std::vector<Site> sites(4);
    std::vector<AnyWrite> writes;
    const auto take = [&](Site& site, const AnyWrite& write, const VersionVector* seen) {
      if (write.yields) note_removal(site.held, write.dot, Removal::kExpiry, seen);
      if (!write.yields) {
        note_write(site.held.holding, site.held.removals, write.dot, write.keys, seen);
      }
      site.has.raise(write.dot.origin, write.dot.hlc);
    };
    // Some of what a site lacks, causes first.
    const auto hear = [&](Site& site, bool all) {
      bool found = true;
      while (found) {
        found = false;
        const size_t begin = random() % std::max<size_t>(1, writes.size());
        for (size_t i = 0; i < writes.size(); ++i) {
          const AnyWrite& each = writes[(begin + i) % writes.size()];
          if (site.has.covers(each.dot) || !site.has.includes(each.seen)) continue;
          if (!all && random() % 2 == 0) continue;
          take(site, each, &each.seen);
          found = all;
        }
      }
    };
    const bool removes = seed % 2 == 0;
    for (Hlc at = 2; at < 14; ++at) {
      const size_t which = random() % 3;
      Site& author = sites[which];
      hear(author, false);
      AnyWrite write{commit(at, static_cast<uint8_t>(which + 1)), Keys::kKeeps, false, author.has};
      const size_t kind = random() % 10;
      write.yields = removes && kind == 0;
      write.keys = kind < 2 ? Keys::kClaims : kind < 6 ? Keys::kKeeps : Keys::kPasses;
      writes.push_back(write);
      take(author, write, nullptr);
    }
    for (Site& site : sites) {
      hear(site, true);
      EXPECT_EQ(site.held.holding.since, since_when(writes));
    }
  }
}

}  // namespace
}  // namespace outrigger::merge
