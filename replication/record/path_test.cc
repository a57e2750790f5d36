#include "replication/record/path.h"

#include <gtest/gtest.h>

#include "replication/causality/stamp_testing.h"

namespace outrigger {
namespace {

const Dot kAdded{0x1122334455667788, {{7}, 9}};

TEST(ElementPath, NamesComeBackAndAreOneForEachElement) {
  for (const ElementId& id :
       {ElementId{Dot(), 0}, ElementId{Dot(), 70000}, ElementId{kAdded, 0}, ElementId{kAdded, 3}}) {
    const std::string name = element_name(id);
    EXPECT_TRUE(is_element_name(name));
    EXPECT_EQ(element_named(name), id);
    EXPECT_FALSE(element_named(name + "x"));
    EXPECT_FALSE(element_named(name.substr(0, name.size() - 1)));
  }
  // Of no commit, and yet with room for one: a second name for what has one.
  std::string padded = element_name({kAdded, 0});
  std::fill(padded.begin() + 5, padded.begin() + 13, '\0');
  EXPECT_FALSE(element_named(padded));
}

TEST(ElementPath, LeadsIntoOneElementOfAnArrayThatHasAPath) {
  const std::string element = element_name({Dot(), 2});
  EXPECT_TRUE(is_legal_path({"a", element}));
  EXPECT_TRUE(is_legal_path({"a", "b", element, "q", ""}));
  EXPECT_FALSE(is_legal_path({element, "a"}));
  EXPECT_FALSE(is_legal_path({"a", element, element}));
  EXPECT_FALSE(is_legal_path({"a", element, "b", element}));
  EXPECT_FALSE(is_legal_path({"a", std::string("b\0", 2)}));
  EXPECT_FALSE(is_legal_path({"a", std::string("\0b", 2)}));
  EXPECT_FALSE(is_legal_path(Path(kPathDepthMax + 1, "a")));
  EXPECT_EQ(element_in({"a", "b", element, "q"}), 2u);
  EXPECT_EQ(path_of_array({"a", "b", element, "q"}), (Path{"a", "b"}));
  EXPECT_EQ(path_of_array({"a", "b"}), (Path{"a", "b"}));
}

TEST(ElementPath, HasATextForPeople) {
  EXPECT_EQ(path_text({"items", element_name({Dot(), 2}), "qty"}), "items.(2).qty");
  const std::string first = path_text({"items", element_name({kAdded, 0}), "qty"});
  const std::string second = path_text({"items", element_name({kAdded, 1}), "qty"});
  EXPECT_EQ(first.substr(0, 8), "items.(+");
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace outrigger
