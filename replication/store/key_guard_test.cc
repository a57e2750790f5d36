// Which index is which, whatever of it is said and however it is guarded.
#include "replication/store/key_guard.h"

#include <gtest/gtest.h>

#include "replication/store/relaxed_indexes.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;

std::string mail(bool is_unique = false, bool is_sparse = false, const char* field = "mail") {
  Writer out;
  out.open_document("key").int32(field, 1).close().string("name", "mail_1");
  if (is_unique) out.boolean("unique", true);
  if (is_sparse) out.boolean("sparse", true);
  return out.finish();
}

std::string collated(int strength, bool in_full) {
  Writer out;
  out.open_document("key").int32("mail", 1).close().string("name", "mail_1");
  out.open_document("collation").string("locale", "en").int32("strength", strength);
  if (in_full) out.boolean("caseLevel", false).string("version", "57.1");
  return out.close().finish();
}

bool same(const std::string& a, const std::string& b) {
  return is_same_index(Document(a), Document(b));
}

TEST(KeyGuard, IsSaidOfAnIndexAndTakenOffIt) {
  EXPECT_EQ(guard_of(Document(mail())), KeyGuard::kNone);
  EXPECT_EQ(guard_of(Document(mail(true))), KeyGuard::kAll);
  for (const KeyGuard guard : {KeyGuard::kAll, KeyGuard::kNew, KeyGuard::kNone}) {
    const std::string guarded = with_guard(Document(mail(true)), guard);
    EXPECT_EQ(guard_of(Document(guarded)), guard);
    EXPECT_EQ(with_guard(Document(guarded), KeyGuard::kNone), mail());
  }
}

TEST(KeyGuard, WhatIsIndexedTellsIndexesApartAndNotHow) {
  EXPECT_TRUE(same(mail(true), mail(false)));
  EXPECT_FALSE(same(mail(), mail(false, true)));
  EXPECT_FALSE(same(mail(), mail(false, false, "phone")));
  EXPECT_FALSE(same(mail(), collated(2, false)));
  EXPECT_TRUE(same(collated(2, false), collated(2, true)));
  EXPECT_FALSE(same(collated(2, false), collated(1, true)));
}

TEST(KeyGuard, IsForMongoDB6AlsoByTheVersionAsOfWhichItBehaves) {
  constexpr int32_t kSix = 17;
  EXPECT_TRUE(can_guard_keys(kSix, "6.0"));
  EXPECT_TRUE(can_guard_keys(kSix, ""));
  EXPECT_TRUE(can_guard_keys(kSix + 4, "10.0"));
  EXPECT_FALSE(can_guard_keys(kSix, "5.0"));
  EXPECT_FALSE(can_guard_keys(kSix - 1, ""));
}

TEST(RelaxedIndexes, AreShownAsUniqueUntilTheyAreDroppedOrOthers) {
  RelaxedIndexes relaxed;
  const std::string listed = with_guard(Document(mail()), KeyGuard::kNew);
  EXPECT_EQ(relaxed.shown("a.b", Document(listed)), listed);
  relaxed.put("a.b", mail());
  EXPECT_EQ(relaxed.shown("a.b", Document(listed)), mail(true));
  EXPECT_EQ(relaxed.shown("a.c", Document(listed)), listed);
  EXPECT_EQ(relaxed.shown("a.b", Document(mail(false, true))), mail(false, true));
  relaxed.erase("a.b", "mail_1");
  EXPECT_EQ(relaxed.shown("a.b", Document(listed)), listed);
}

TEST(RelaxedIndexes, AreBuiltUntilTheyAreDroppedAndNotWhileSomebodyHoldsThem) {
  using Begun = RelaxedIndexes::Begun;
  RelaxedIndexes relaxed;
  EXPECT_EQ(relaxed.begin_build("shop.users", "k"), Begun::kGone);
  relaxed.put("shop.users", bson::Writer().string("name", "k").finish());
  EXPECT_EQ(relaxed.begin_build("shop.users", "k"), Begun::kYes);
  EXPECT_TRUE(relaxed.is_being_built("shop.users", "k"));
  {
    const HeldBuilds one(relaxed, "shop.users");
    const HeldBuilds another(relaxed, "shop.users");
    EXPECT_TRUE(relaxed.is_being_built("shop.users", "k")) << "it goes on";
    relaxed.end_build("shop.users", "k");
    EXPECT_FALSE(relaxed.is_being_built("shop.users", "k"));
    EXPECT_EQ(relaxed.begin_build("shop.users", "k"), Begun::kHeld);
  }
  EXPECT_EQ(relaxed.begin_build("shop.users", "k"), Begun::kYes);
  relaxed.end_build("shop.users", "k");
  relaxed.erase("shop.users", "k");
  EXPECT_EQ(relaxed.begin_build("shop.users", "k"), Begun::kGone);
}

}  // namespace
}  // namespace outrigger
