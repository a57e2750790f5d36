// What waits to be applied, and whose promises stand behind it.
#include "replication/site/state/inbox.h"

#include <gtest/gtest.h>

namespace outrigger {
namespace {

const Origin kOslo{SiteId{1}, 7};

class InboxTest : public ::testing::Test {
 protected:
  // A promise that there is nothing after `after` up to `through`.
  void promise(Hlc after, Hlc through, Word word) {
    const auto none = [](Hlc) { return true; };
    const auto good = [](const Record&) { return std::string(); };
    ASSERT_TRUE(inbox_.offer(Segment{kOslo, after, through, {}}, after, word, none, good));
  }
  // What the applier would take now.
  std::vector<Inbox::Promised> taken() const {
    const auto never = [](Hlc) { return false; };
    const auto all = [](const Record&) { return true; };
    return deliver(inbox_.front(10), VersionVector(), {}, never, all).promised;
  }

  Inbox inbox_{1 << 20};
};

TEST_F(InboxTest, AnOwnPromiseOutlastsTheHearsayThatWasUnderWay) {
  promise(5, 8, Word::kHearsay);
  const auto under_way = taken();
  ASSERT_EQ(under_way.size(), 1u);
  promise(5, 8, Word::kOwn);
  inbox_.drop_applied({}, under_way);
  ASSERT_EQ(taken().size(), 1u);
  EXPECT_EQ(taken()[0].word, Word::kOwn);
  inbox_.drop_applied({}, taken());
  EXPECT_TRUE(taken().empty());
}

}  // namespace
}  // namespace outrigger
