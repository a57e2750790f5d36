// What rules of paths make of the shape of an update.
#include "proxy/capture/capture_testing.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;
using testing::doc;
using testing::Fill;
using testing::op;
using Form = UpdateShape::Form;

UpdateShape read_shape(const std::string& update) {
  return read_update_shape({bson::Type::kDocument, update}, false);
}

ReplicateRule rules_of(const std::vector<std::pair<Path, PathType>>& fields) {
  ReplicateRule rule;
  for (const auto& [pattern, type] : fields) rule.fields.push_back({pattern, type});
  return rule;
}

TEST(ShapeUnderRules, WhatIsAssignedWhateverTheOperatorNeedsTheDocumentAfterwards) {
  const ReplicateRule rule = rules_of({{{"n"}, PathType::kLww}, {{"tags"}, PathType::kLww}});
  UpdateShape counted = read_shape(op("$inc", "n", 1));
  follow_rules(counted, MergeRules(rule));
  EXPECT_EQ(counted.form, Form::kPostImage);
  EXPECT_EQ(counted.touched, std::vector<Path>{{"n"}});
  EXPECT_TRUE(counted.operations.empty());
  UpdateShape pushed = read_shape(op("$pull", "tags", 1));
  EXPECT_TRUE(pushed.edits_unknown());
  follow_rules(pushed, MergeRules(rule));
  EXPECT_FALSE(pushed.edits_unknown());
  UpdateShape set = read_shape(op("$set", "n", 1));
  follow_rules(set, MergeRules(rule));
  EXPECT_EQ(set.form, Form::kLiteral);
}

TEST(ShapeUnderRules, AReplacementIsWhatItChangesWhereTheRuleSaysSo) {
  ReplicateRule rule = rules_of({});
  const std::string replacement = doc([](Writer& w) { w.int32("n", 1); });
  UpdateShape shape = read_shape(replacement);
  follow_rules(shape, MergeRules(rule));
  EXPECT_EQ(shape.form, Form::kReplacement);
  rule.replaces = ReplacePolicy::kDiff;
  follow_rules(shape, MergeRules(rule));
  EXPECT_EQ(shape.form, Form::kDiff);
}

TEST(ShapeUnderRules, WhatNamesTheFieldOfVersionsIsTheDocumentAfterwards) {
  ReplicateRule rule = rules_of({});
  rule.version_field = {"meta", "v"};
  const auto is_version = [&](const std::string& update) {
    UpdateShape shape = read_shape(update);
    follow_rules(shape, MergeRules(rule));
    EXPECT_EQ(shape.form == Form::kPostImage && !shape.edits_unknown(), shape.is_version);
    return shape.is_version;
  };
  EXPECT_TRUE(is_version(op("$inc", "meta.v", 1)));
  EXPECT_TRUE(is_version(op("$set", "meta.v", 8)));
  EXPECT_TRUE(is_version(op("$max", "meta.v", 8)));
  EXPECT_TRUE(is_version(op("$set", "meta", 1)));
  EXPECT_TRUE(is_version(op("$unset", "meta.v.x", 1)));
  EXPECT_FALSE(is_version(op("$inc", "meta.w", 1)));
  EXPECT_FALSE(is_version(op("$setOnInsert", "meta.v", 0)));
}

TEST(ShapeUnderRules, APartOfAnAtomicValueTouchesTheWhole) {
  const ReplicateRule rule = rules_of({{{"at"}, PathType::kAtomic}});
  const std::string update = doc([](Writer& w) {
    w.open_document("$set").int32("at.lat", 1).int32("at.lon", 2).close();
    w.open_document("$inc").int32("moves", 1).close();
    w.open_document("$unset").int32("note", 1).close();
  });
  UpdateShape shape = read_shape(update);
  follow_rules(shape, MergeRules(rule));
  EXPECT_EQ(shape.touched, (std::vector<Path>{{"at"}, {"note"}}));
  ASSERT_EQ(shape.operations.size(), 1u);
  EXPECT_EQ(shape.operations[0].path, Path{"moves"});
  const std::string after = doc([](Writer& w) {
    w.open_document("at").int32("lat", 1).int32("lon", 2).int32("z", 3).close();
  });
  const auto found = changes_from_image(shape, Document(after));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].path, Path{"at"});
  EXPECT_EQ(bson::to_json(found[0].value.view()), R"({"lat": 1, "lon": 2, "z": 3})");
}

TEST(ShapeUnderRules, WhatAPipelineDidInsideAnAtomicValueIsTheWhole) {
  const ReplicateRule rule = rules_of({{{"at"}, PathType::kAtomic}, {{"l"}, PathType::kLww}});
  const auto document = [](int32_t lat, int32_t lon, int32_t size) {
    return doc([&](Writer& w) {
      w.open_document("at").int32("lat", lat).int32("lon", lon).int32("z", 3).close();
      w.open_array("l");
      for (int32_t i = 0; i < size; ++i) w.int32(bson::index_name(static_cast<size_t>(i)), i);
      w.close();
    });
  };
  const std::string before = document(1, 1, 1);
  const std::string after = document(2, 2, 2);
  auto found = changes_from_diff(Document(before), Document(after));
  ASSERT_EQ(found.size(), 3u);
  follow_rules(found, MergeRules(rule), Document(after));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].path, Path{"at"});
  EXPECT_EQ(found[1].kind, Operation::kAssign);
}

// An array of documents with this field, of these values.
Fill array_by(std::string_view path, std::string_view field, const std::vector<int32_t>& values) {
  return [=](Writer& w) {
    w.open_array(path);
    for (size_t i = 0; i < values.size(); ++i) {
      w.open_document(bson::index_name(i)).int32(field, values[i]).close();
    }
    w.close();
  };
}
UpdateShape given(const std::string& array, const ReplicateRule& rule) {
  const std::string update = doc([&](Writer& w) { w.document("$set", Document(array)); });
  UpdateShape shape = read_shape(update);
  follow_rules(shape, MergeRules(rule));
  shape.given_arrays.clear();  // they borrow from it
  return shape;
}

TEST(ShapeUnderRules, AnArrayIsEditedWhereItsElementsAreToldApart) {
  const ReplicateRule none = rules_of({});
  EXPECT_TRUE(given(doc(array_by("l", "_id", {1, 2})), none).edits_unknown());
  EXPECT_EQ(given(doc(array_by("l", "_id", {1, 1})), none).form, Form::kLiteral);
  EXPECT_EQ(given(doc(array_by("l", "sku", {1, 2})), none).form, Form::kLiteral);
  EXPECT_EQ(given(doc(array_by("l", "_id", {})), none).form, Form::kLiteral);
  ReplicateRule by_sku = rules_of({{{"l"}, PathType::kKeyed}});
  by_sku.fields.front().key = "sku";
  EXPECT_EQ(given(doc(array_by("l", "sku", {1, 2})), by_sku).edits.at({"l"}).key, "sku");
  EXPECT_TRUE(given(doc(array_by("l", "sku", {})), by_sku).edits_unknown());
  EXPECT_EQ(given(doc(array_by("l", "_id", {1, 2})), by_sku).form, Form::kLiteral);
  const ReplicateRule assigned = rules_of({{{"l"}, PathType::kLww}});
  EXPECT_EQ(given(doc(array_by("l", "_id", {1})), assigned).form, Form::kLiteral);
}

TEST(ShapeUnderRules, WhereNoSuchArrayWasItIsAssigned) {
  const UpdateShape shape = given(doc(array_by("l", "_id", {1, 2})), rules_of({}));
  const std::string after = doc(array_by("l", "_id", {1, 2}));
  const auto kind_after = [&](const std::string& before) {
    const auto changes = changes_from_image(shape, Document(after), Document(before));
    return changes.at(0).kind;
  };
  EXPECT_EQ(kind_after(doc(array_by("l", "_id", {2}))), Operation::kEdit);
  EXPECT_EQ(kind_after(doc(array_by("l", "_id", {}))), Operation::kEdit);
  EXPECT_EQ(kind_after(doc(array_by("l", "_id", {2, 2}))), Operation::kAssign);
  EXPECT_EQ(kind_after(doc(array_by("m", "_id", {2}))), Operation::kAssign);
  EXPECT_EQ(changes_from_image(shape, Document(after)).at(0).kind, Operation::kAssign);
}

TEST(ShapeUnderRules, OfAPushThatSortsItIsKnownWhatTellsElementsApart) {
  const std::string before = doc(array_by("l", "_id", {1, 2}));
  const auto key_after = [&](const std::string& after, bool sorts) {
    const std::string update = doc([&](Writer& w) {
      w.open_document("$push").open_document("l").open_array("$each").close();
      w.int32(sorts ? "$sort" : "$position", 1).close().close();
    });
    const ReplicateRule none = rules_of({});
    UpdateShape shape = read_shape(update);
    follow_rules(shape, MergeRules(none));
    const PathChange change = changes_from_image(shape, Document(after), Document(before)).at(0);
    EXPECT_EQ(change.edit, ArrayEdit::kMoves);
    return change.key;
  };
  EXPECT_EQ(key_after(doc(array_by("l", "_id", {2, 1})), true), "_id");
  EXPECT_EQ(key_after(doc(array_by("l", "_id", {2, 1})), false), "");
  EXPECT_EQ(key_after(doc(array_by("l", "sku", {2, 1})), true), "");
}

TEST(ShapeUnderRules, WhatAPipelineMakesOfAnArrayIsToldByItsElements) {
  const std::string before = doc(array_by("l", "_id", {1, 2}));
  const std::string after = doc(array_by("l", "_id", {2, 3}));
  auto found = changes_from_diff(Document(before), Document(after));
  follow_rules(found, MergeRules(rules_of({})), Document(after));
  EXPECT_EQ(found.at(0).edit, ArrayEdit::kKeyed);
  EXPECT_EQ(found.at(0).key, "_id");
  found = changes_from_diff(Document(before), Document(after));
  follow_rules(found, MergeRules(rules_of({{{"l"}, PathType::kSet}})), Document(after));
  EXPECT_EQ(found.at(0).edit, ArrayEdit::kAddsSet);
}

}  // namespace
}  // namespace outrigger
