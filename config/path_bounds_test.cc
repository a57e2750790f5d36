#include <cmath>

#include "config/bounds.h"
#include "config/loader_testing.h"
#include "config/merge_rules.h"
#include "config/policy.h"

namespace outrigger {
namespace {

using testing::errors_of;
using testing::kMinimal;

std::string with_stock(const std::string& word) {
  return std::string(kMinimal) + "replicate:\n  - namespace: shop.goods\n    fields: {stock: '" +
         word + "'}\n";
}

TEST(Bounds, AreTwoNumbersOfWhichOneMayBeInfinite) {
  EXPECT_EQ(parse_bounds("0, 500"), (Bounds{0, 500}));
  EXPECT_EQ(parse_bounds("-1.5,2e3"), (Bounds{-1.5, 2000}));
  EXPECT_EQ(parse_bounds(" 0 , inf "), (Bounds{0, INFINITY}));
  EXPECT_EQ(parse_bounds("-inf, 5"), (Bounds{-INFINITY, 5}));
  EXPECT_EQ(parse_bounds("7, 7"), (Bounds{7, 7}));
  EXPECT_FALSE(std::signbit(parse_bounds("-0, 1")->low));
  EXPECT_TRUE(parse_bounds("0, 9007199254740992"));
}

TEST(Bounds, ThatCannotBeMeantAreNone) {
  for (const char* text : {"", "0", "0,", ",1", "5, 1", "a, b", "0, 1, 2", "-inf, inf", "inf, inf",
                           "-inf, -inf", "inf, 1", "nan, 1", "0, nan", "0x1, 2", "infinity, 1",
                           "0, 9007199254740993e1", "0, 1e999", "0 1", "1.2.3, 4"}) {
    EXPECT_FALSE(parse_bounds(text)) << text;
  }
  EXPECT_FALSE(are_bounds({NAN, 1}));
  EXPECT_FALSE(are_bounds({1, NAN}));
  EXPECT_FALSE(are_bounds({INFINITY, INFINITY}));
}

TEST(Bounds, AreReadBackAsTheyAreWritten) {
  for (const char* text : {"0, 500", "-inf, 5", "0.5, inf", "-3, -3"}) {
    EXPECT_EQ(text_of(*parse_bounds(text)), "[" + std::string(text) + "]");
  }
}

TEST(Bounds, OfAPathAreAPartOfThePolicyAndOfWhatOthersAreTold) {
  const auto settings = parse_settings(with_stock("bounded[0, 500]"), "a.yaml");
  ASSERT_TRUE(settings) << describe(settings.error());
  const Policy policy(*settings);
  const PathRuling ruling = policy.merge_rules("shop.goods").at({"stock"});
  EXPECT_EQ(ruling.type, PathType::kBounded);
  EXPECT_EQ(ruling.rule->bounds, (Bounds{0, 500}));
  EXPECT_FALSE(is_assigned(ruling.type));
  EXPECT_EQ(policy.merge_rules("shop.goods").at({"stock", "x"}).rule, nullptr);
  EXPECT_EQ(policy.lines()[3], "namespace: shop.goods, field: stock = bounded[0, 500]");
  EXPECT_NE(settings->rules_text.find("bounded[0, 500]"), std::string::npos);
  const auto other = parse_settings(with_stock("bounded[0, 501]"), "a.yaml");
  EXPECT_NE(Policy(*other).hash(), policy.hash());
}

TEST(Bounds, AreExplained) {
  const auto settings = parse_settings(with_stock("bounded[-inf, 5]"), "a.yaml");
  const std::string text = explain_path(*settings, "a.yaml", "shop.goods", "stock");
  EXPECT_NE(text.find("'stock = bounded[-inf, 5]' decides: as a counter, but where the sum"),
            std::string::npos)
      << text;
}

TEST(Bounds, ThatAreNoneAreRefusedWithWhatTheyCanBe) {
  for (const char* word : {"bounded", "bounded[5]", "bounded[5, 1]", "bounded[-inf, inf]",
                           "bounded(0, 1)", "bounded[0, many]"}) {
    EXPECT_NE(errors_of(with_stock(word))
                  .find("f.yaml:6: replicate[0].fields.stock: expected bounded[LOW, HIGH]: two "
                        "numbers of at most 2^53, the lower one first, one of them may be -inf or "
                        "inf, found '" +
                        std::string(word) + "'"),
              std::string::npos)
        << errors_of(with_stock(word));
  }
}

}  // namespace
}  // namespace outrigger
