// A namespace that the store's user may not read or write, while it may others.
#include "replication/outbox/ledger.h"
#include "replication/testing/applier_fixture.h"

namespace outrigger {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kSecret = "hr.people";

class ApplierRightsTest : public ApplierTest {
 protected:
  // At oslo, as the app does it.
  void write(DocumentChange change) {
    change.ns = kSecret;
    auto pending = oslo_.begin(std::move(change));
    oslo_.store(*pending);
    oslo_.settle(std::move(pending));
    oslo_.flush();
    oslo_.clock.advance_ms(1);
  }
  void insert_secret(int id) { write(TestSite::inserting(id, {{"n", number(0)}})); }
  void raise_secret(int id, int by) { write(TestSite::incrementing(id, "n", by)); }
  void set_secret(int id, int value) { write(TestSite::setting(id, "n", number(value))); }

  int64_t secret(int id) const {
    const auto found = paris_.mongod.document(kSecret, number(id));
    return found ? bson::Document(*found).find("n")->to_int64().value_or(-1) : -1;
  }
  void try_again() {
    paris_.applier->try_aside_again();
    paris_.apply_all();
  }
};

TEST_F(ApplierRightsTest, ANamespaceThatMayNotBeReadHoldsTheStreamAndSaysWhatToGrant) {
  paris_.mongod.forbid(kSecret);
  insert_secret(1);
  raise_secret(1, 5);
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.status().quarantined, 0u);
  ASSERT_THAT(paris_.status().held, SizeIs(1));
  EXPECT_THAT(paris_.status().held.front(), HasSubstr("lacks find on hr.people (role readWrite"));
  paris_.restart();
  paris_.mongod.permit(kSecret);
  exchange(paris_, oslo_);
  EXPECT_EQ(secret(1), 5);
  EXPECT_THAT(paris_.status().held, IsEmpty());
}

TEST_F(ApplierRightsTest, DocumentsThatMayBeReadButNotWrittenAreSetAside) {
  paris_.mongod.forbid(kSecret, true);
  insert_secret(1);
  insert_secret(2);
  oslo_.insert(3, {{"n", number(3)}});
  exchange(paris_, oslo_);
  EXPECT_EQ(paris_.number(3, "n"), 3);
  EXPECT_EQ(paris_.status().not_applied, 2u);
  ASSERT_THAT(paris_.status().alarms, SizeIs(1));
  EXPECT_THAT(paris_.status().alarms.front(), HasSubstr("lacks insert on hr.people"));
  paris_.mongod.permit(kSecret);
  try_again();
  EXPECT_EQ(secret(1), 0);
  EXPECT_EQ(secret(2), 0);
  EXPECT_EQ(paris_.status().not_applied, 0u);
  EXPECT_THAT(paris_.status().alarms, IsEmpty());
}

TEST_F(ApplierRightsTest, AUserThatMayNowhereReadHoldsTheStream) {
  oslo_.insert(1, {});
  offer();
  paris_.mongod.fail_next(1, ErrorCode::kRefused);  // no namespace is named as forbidden
  EXPECT_EQ(step(), StepOutcome::kTrouble);
  EXPECT_EQ(paris_.status().quarantined, 0u);
  EXPECT_THAT(paris_.status().held, SizeIs(1));
  EXPECT_EQ(step(), StepOutcome::kApplied);
}

}  // namespace
}  // namespace outrigger
