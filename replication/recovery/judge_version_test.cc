// What is found out after a crash, where an app counts versions of its documents.
#include <gtest/gtest.h>

#include "replication/recovery/judge_paths.h"

namespace outrigger {
namespace {

using Kind = DocumentChange::Kind;

class JudgeVersion : public ::testing::Test {
 protected:
  JudgeVersion() { prepared_.version_field = {"meta", "v"}; }
  // What is then recorded of a change of this kind, at this path.
  DocumentChange told(Kind kind, const Path& path = {}) const {
    DocumentChange change;
    change.kind = kind;
    if (!path.empty()) change.changes.emplace_back().path = path;
    if (path.empty()) change.document = stored_;
    tell_version(change, prepared_, stored_);
    return change;
  }

  PreparedDocument prepared_;
  std::string stored_ =
      bson::Writer().int32("_id", 1).open_document("meta").int32("v", 8).close().finish();
};

TEST_F(JudgeVersion, IsTheDocumentWhereItsFieldWasWrittenAboveOrBelow) {
  for (const Path& path : {Path{"meta", "v"}, Path{"meta"}, Path{"meta", "v", "x"}}) {
    const DocumentChange change = told(Kind::kUpdate, path);
    EXPECT_EQ(change.kind, Kind::kReplace);
    EXPECT_TRUE(change.is_version);
    EXPECT_EQ(change.document, stored_);
  }
}

TEST_F(JudgeVersion, IsNotWhatAnUpsertOrAPipelineDidElsewhere) {
  const DocumentChange change = told(Kind::kUpdate, {"meta", "seen"});
  EXPECT_EQ(change.kind, Kind::kUpdate);
  EXPECT_FALSE(change.is_version);
  EXPECT_EQ(change.changes.size(), 1u);
}

TEST_F(JudgeVersion, IsWhateverIsKnownAsAWholeAndHasTheField) {
  EXPECT_TRUE(told(Kind::kReplace).is_version);
  EXPECT_EQ(told(Kind::kUpsert).kind, Kind::kInsert);
  prepared_.version_field = {"other"};
  EXPECT_FALSE(told(Kind::kReplace).is_version);
  EXPECT_EQ(told(Kind::kUpsert).kind, Kind::kUpsert);
}

}  // namespace
}  // namespace outrigger
