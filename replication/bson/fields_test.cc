#include "replication/bson/fields.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace outrigger::bson {
namespace {

std::string numbered(const std::vector<int>& names) {
  Writer out;
  for (const int name : names) out.int32("f" + std::to_string(name), name);
  return out.finish();
}

std::vector<int> up_to(int count) {
  std::vector<int> names(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) names[static_cast<size_t>(i)] = i;
  return names;
}

TEST(RepeatedNames, AreFoundAtAnyDistance) {
  for (const int count : {2, 12, 16, 17, 18, 500}) {
    std::vector<int> names = up_to(count);
    EXPECT_FALSE(repeats_names(Document(numbered(names)), Levels::kTop)) << count;
    names.back() = 0;
    EXPECT_TRUE(repeats_names(Document(numbered(names)), Levels::kTop)) << count;
  }
}

TEST(RepeatedNames, AreFoundAtTheLevelsAskedFor) {
  Writer inner;
  inner.int32("a", 1).int32("a", 2);
  const std::string twice = inner.finish();
  EXPECT_FALSE(repeats_names(Document(Writer().int32("a", 1).finish())));
  EXPECT_TRUE(repeats_names(Document(twice)));
  Writer below;
  below.open_document("x").document("y", Document(twice)).close();
  const std::string in_documents = below.finish();
  EXPECT_FALSE(repeats_names(Document(in_documents), Levels::kTop));
  EXPECT_TRUE(repeats_names(Document(in_documents)));
  EXPECT_TRUE(repeats_names(Document(in_documents), Levels::kAll));
  Writer array;
  array.open_array("x").document("0", Document(twice)).close();
  const std::string in_array = array.finish();
  EXPECT_FALSE(repeats_names(Document(in_array)));
  EXPECT_TRUE(repeats_names(Document(in_array), Levels::kAll));
}

TEST(FieldFinder, FindsWhatASearchFindsInAnyOrder) {
  std::mt19937 random(7);
  std::vector<int> names = up_to(300);
  std::shuffle(names.begin(), names.end(), random);
  names.push_back(5);  // twice: the first counts
  const std::string bytes = numbered(names);
  const Document document(bytes);
  FieldFinder finder(document);
  std::vector<int> asked = up_to(310);
  std::shuffle(asked.begin(), asked.end(), random);
  for (const int name : asked) {
    const std::string text = "f" + std::to_string(name);
    const auto found = finder.find(text);
    const auto wanted = document.find(text);
    ASSERT_EQ(found.has_value(), wanted.has_value());
    if (found) {
      EXPECT_EQ(found->bytes.data(), wanted->bytes.data());
    }
  }
}

TEST(FieldFinder, CostsAsManyLooksAsThereAreFieldsAndNames) {
  for (const int count : {1'000, 10'000}) {
    const std::string bytes = numbered(up_to(count));
    FieldFinder forward{Document(bytes)};
    FieldFinder backward{Document(bytes)};
    for (int i = 0; i < count; ++i) (void)forward.find("f" + std::to_string(i));
    for (int i = count - 1; i >= 0; --i) (void)backward.find("f" + std::to_string(i));
    EXPECT_LE(forward.looked_at(), static_cast<size_t>(2 * count));
    EXPECT_LE(backward.looked_at(), static_cast<size_t>(8 * count));
  }
}

TEST(PathFinder, WalksThroughDocumentsOnly) {
  Writer out;
  out.open_document("a").int32("b", 1).open_array("l").int32("0", 2).close().close().int32("c", 3);
  const std::string bytes = out.finish();
  PathFinder finder{Document(bytes)};
  using Names = std::vector<std::string>;
  EXPECT_EQ(finder.find(Names{"a", "b"})->as_int32(), 1);
  EXPECT_FALSE(finder.find(Names{"a", "l", "0"}));
  EXPECT_FALSE(finder.find(Names{"c", "x"}));
  EXPECT_TRUE(finder.find(Names{"a", "l"}));
  EXPECT_EQ(finder.find(Names{})->bytes, Bytes(bytes));
}

}  // namespace
}  // namespace outrigger::bson
