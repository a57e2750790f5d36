#include "replication/site/state/unsynced_documents.h"

#include <gtest/gtest.h>

#include "replication/outbox/memory/memory_outbox.h"
#include "replication/store/session_token.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

const auto kDocument = UnsyncedDocuments::slot_of("shop.carts", "1");

TEST(UnsyncedDocuments, AWriteCountsUntilASyncCoversIt) {
  UnsyncedDocuments documents;
  EXPECT_FALSE(documents.has_any(kDocument));
  documents.settled(kDocument, 7, true);
  documents.synced(6);
  EXPECT_TRUE(documents.has_any(kDocument));
  EXPECT_TRUE(documents.has_recoverable_by_content(kDocument));
  documents.synced(7);
  EXPECT_FALSE(documents.has_any(kDocument));
  EXPECT_FALSE(documents.has_recoverable_by_content(kDocument));
}

TEST(UnsyncedDocuments, WhatTheStoreKnowsByNumberIsToldApart) {
  UnsyncedDocuments documents;
  documents.settled(kDocument, 1, true);
  documents.settled(kDocument, 2, false);
  documents.synced(1);
  EXPECT_TRUE(documents.has_any(kDocument));
  EXPECT_FALSE(documents.has_recoverable_by_content(kDocument));
}

TEST(UnsyncedDocuments, OtherDocumentsAreNotConcerned) {
  UnsyncedDocuments documents;
  documents.settled(kDocument, 1, true);
  EXPECT_FALSE(documents.has_any(UnsyncedDocuments::slot_of("shop.carts", "2")));
  EXPECT_FALSE(documents.has_any(UnsyncedDocuments::slot_of("shop.orders", "1")));
}

TEST(UnsyncedDocuments, AReplicaKnowsThemUntilTheDiskHasThem) {
  auto outbox = std::make_shared<outbox::MemoryOutbox>();
  TestSite site("paris", {"paris", "oslo"}, [outbox] { return outbox; });
  const std::string key = bson::canonical_key(bson::make_int32(1).view());
  const auto unsynced = [&] { return site.replica->unsynced(kTestNs, key); };
  const auto write = [&](int64_t txn_number) {
    SessionKey session;
    session.txn_number = txn_number;
    Prepare prepare;
    prepare.session = session_token(session);
    PreparedDocument& document = prepare.documents.emplace_back();
    document.ns = kTestNs;
    document.id = bson::make_int32(1);
    outbox->cork();
    auto begun = site.replica->begin(std::move(prepare));
    EXPECT_TRUE(site.replica->settle(*begun, {TestSite::inserting(1, {})}, {}));
  };
  EXPECT_EQ(unsynced(), Unsynced::kNone);
  write(-1);
  EXPECT_EQ(unsynced(), Unsynced::kRecoverableByContent);
  outbox->uncork();
  site.flush();
  EXPECT_EQ(unsynced(), Unsynced::kNone);
  write(7);
  EXPECT_EQ(unsynced(), Unsynced::kRecoverableFromOplog);
  outbox->uncork();
  site.flush();
}

}  // namespace
}  // namespace outrigger
