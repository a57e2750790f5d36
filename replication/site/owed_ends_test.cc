// What a write leaves behind when whoever began it goes: a stamp, a prepare, the note of a backend.
#include <gtest/gtest.h>

#include "replication/site/site_parts.h"
#include "replication/site/state/meta_keys.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

class OwedEndsTest : public ::testing::Test {
 protected:
  TestSite paris_{"paris", {"oslo", "paris"}, memory_outbox()};
};

TEST(UndecidedWriteDeathTest, AWriteThatIsForgottenIsNoticed) {
  EXPECT_DEATH(UndecidedWrite(LocalWrite{1, {}}), "is_owed_");
  UndecidedWrite moved_to;
  {
    UndecidedWrite write(LocalWrite{2, {}});
    moved_to = std::move(write);
  }
  EXPECT_DEATH(moved_to = UndecidedWrite(), "is_owed_");
  moved_to.leave_to_recovery();
}

TEST_F(OwedEndsTest, ARecordThatIsBegunAndForgottenHoldsNothingBack) {
  {
    const auto begun = paris_.replica->parts().writes.begin_record();
    ASSERT_TRUE(begun.has_value());
  }
  paris_.insert(1, {});
  EXPECT_EQ(paris_.status().open_writes, 0u);
  const auto segments = read_segments(*paris_.replica, {}, 1000);
  ASSERT_EQ(segments->size(), 1u);
  EXPECT_EQ(segments->front().records.size(), 1u);
}

TEST_F(OwedEndsTest, ANoteOfABackendGoesWithItUnlessAWriteIsInDoubt) {
  const auto noted = [&] { return paris_.outbox->scan_meta(meta_keys::kBackend)->size(); };
  const std::string lsid(16, 'x');
  {
    auto note = paris_.replica->note_backend(lsid, "127.0.0.1:5000");
    ASSERT_TRUE(note.has_value() && *note);
    outbox::BackendNote kept;
    kept = std::move(*note);
    EXPECT_FALSE(*note);
    EXPECT_EQ(noted(), 1u);
    kept.set_in_doubt(true);
    kept.set_in_doubt(false);
  }
  EXPECT_EQ(noted(), 0u);
  {
    auto note = paris_.replica->note_backend(lsid, "127.0.0.1:5000");
    ASSERT_TRUE(note.has_value());
    note->set_in_doubt(true);
  }
  EXPECT_EQ(noted(), 1u);
}

}  // namespace
}  // namespace outrigger
