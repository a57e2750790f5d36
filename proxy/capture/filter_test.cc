// What of a filter goes out again once its document is known.
#include "proxy/capture/filter.h"

#include <gtest/gtest.h>

#include <vector>

#include "proxy/capture/capture_testing.h"
#include "proxy/capture/ids/id_bytes.h"

namespace outrigger::testing {
namespace {

using bson::Document;
using bson::Writer;

// A filter of one field; `fill` writes it.
std::string lasting(const Fill& fill, const Fill& let = {}) {
  std::optional<bson::OwnedValue> values;
  if (let) values = bson::make_document(doc(let));
  const std::string filter = doc(fill);
  return lasting_part(Document(filter),
                      values ? std::optional<bson::Value>(values->view()) : std::nullopt);
}

void less_than_chance(Writer& w) {
  w.open_document("$expr").open_array("$lt");
  w.open_document("0").open_document("$rand").close().close().real("1", 0.5);
  w.close().close();
}

const Fill kIsNew = [](Writer& w) { w.string("state", "new"); };

TEST(Filter, WhatIsAFunctionOfTheDocumentIsSaidAgain) {
  EXPECT_EQ(lasting(kIsNew), doc(kIsNew));
  const Fill ranges = [](Writer& w) {
    w.open_document("n").int32("$gt", 1).close();
    w.open_array("$or").document("0", Document(doc(kIsNew))).close();
    w.open_document("$expr").open_array("$eq").string("0", "$a").string("1", "$$ROOT.b");
    w.close().close();
  };
  EXPECT_EQ(lasting(ranges), doc(ranges));
}

TEST(Filter, WhatDependsOnTimeChanceOrCodeIsNot) {
  const std::vector<Fill> varying = {
      less_than_chance,
      [](Writer& w) { w.real("$sampleRate", 0.5); },
      [](Writer& w) { w.string("$where", "true"); },
      [](Writer& w) {
        w.open_document("$expr").open_document("$function").string("lang", "js").close().close();
      },
      [](Writer& w) {
        w.open_document("$expr").open_array("$lt").string("0", "$at").string("1", "$$NOW");
        w.close().close();
      },
      [](Writer& w) { w.string("$expr", "$$CLUSTER_TIME"); },
      [](Writer& w) {  // deep inside something that is else a function of the document
        w.open_array("$nor").open_document("0");
        w.open_document("$expr").open_document("$let").open_document("vars");
        w.string("at", "$$NOW").close().boolean("in", true).close().close().close().close();
      }};
  for (const Fill& one : varying) {
    EXPECT_EQ(lasting(one), doc([](Writer&) {})) << bson::to_json(Document(doc(one)));
    EXPECT_EQ(lasting([&](Writer& w) {
                one(w);
                kIsNew(w);
              }),
              doc(kIsNew));
    EXPECT_EQ(lasting([&](Writer& w) {
                w.open_array("$and").document("0", Document(doc(one)));
                w.document("1", Document(doc(kIsNew))).close();
              }),
              doc(kIsNew));
  }
}

TEST(Filter, OneHalfOfAnExpressionMayBeSaidAgain) {
  const std::string kept = doc([](Writer& w) {
    w.open_document("$expr").open_array("$eq").string("0", "$state").string("1", "new");
    w.close().close();
  });
  EXPECT_EQ(lasting([&](Writer& w) {
              w.open_document("$expr").open_array("$and");
              w.value("0", Document(kept).first()->value);
              w.open_document("1").open_document("$rand").close().close();
              w.close().close();
            }),
            kept);
}

TEST(Filter, AValueOfTheCommandIsDrawnAnewForEachCommand) {
  const Fill uses_it = [](Writer& w) {
    w.open_document("$expr").open_array("$lt").string("0", "$n").string("1", "$$limit");
    w.close().close();
  };
  const Fill drawn = [](Writer& w) {
    w.open_document("limit").open_document("$rand").close().close();
  };
  const Fill fixed = [](Writer& w) { w.int32("limit", 5); };
  EXPECT_EQ(lasting(uses_it, fixed), doc(uses_it));
  EXPECT_EQ(lasting(uses_it, drawn), doc([](Writer&) {}));
  EXPECT_EQ(lasting(kIsNew, drawn), doc(kIsNew));
}

TEST(Filter, TextThatOnlyLooksLikeAVariableIsText) {
  const Fill text = [](Writer& w) {
    w.string("state", "$$NOW");
    w.open_document("$expr").open_array("$eq").string("0", "$a");
    w.open_document("1").string("$literal", "$$NOW").close().close().close();
    w.open_document("$comment").int32("$rand", 1).close();
  };
  EXPECT_EQ(lasting(text), doc(text));
}

TEST(Filter, WhatIsOfTheIdAloneIsKnown) {
  EXPECT_EQ(lasting([](Writer& w) {
              w.open_document("_id").int32("$gt", 1).close();
              w.int32("_id.part", 1);
              kIsNew(w);
            }),
            doc(kIsNew));
}

TEST(Filter, ADocumentIsNamedByItsBytesWhereACollationFindsOthers) {
  const bson::OwnedValue id = bson::make_string("$Ab");
  const std::string plain = filter_of_document(id.view(), Document(doc(kIsNew)), TellApart::kNot);
  EXPECT_EQ(bson::to_json(Document(plain)), R"({"_id": {"$eq": "$Ab"}, "state": "new"})");
  const std::string exact =
      filter_of_document(id.view(), Document(doc(kIsNew)), TellApart::kByExpression);
  EXPECT_EQ(bson::to_json(*Document(exact).find("$expr")),
            R"({"$and": [{"$eq": ["$_id", {"$literal": "$Ab"}]}, )"
            R"({"$eq": [{"$type": "$_id"}, "string"]}, {"$eq": [{"$strLenBytes": "$_id"}, 3]}, )"
            R"({"$eq": [{"$indexOfBytes": ["$_id", {"$literal": "$Ab"}]}, 0]}]})");
}

TEST(Filter, APatternTellsAnIdWhereNoExpressionMay) {
  const auto filter_of = [](const bson::OwnedValue& id) {
    EXPECT_TRUE(has_id_patterns(id.view()));
    return bson::to_json(
        Document(filter_of_document(id.view(), Document(doc()), TellApart::kByPattern)));
  };
  EXPECT_EQ(filter_of(bson::make_string("a.\xc3\x89")),
            "{\"_id\": {\"$eq\": \"a.\xc3\x89\"}, \"_id\": {\"$regex\": "
            "\"\\\\Aa\\\\.\xc3\x89\\\\z\"}}");
  const std::string nested =
      doc([](Writer& w) { w.int32("n", 1).open_document("k").string("s", "x").close(); });
  EXPECT_NE(filter_of(bson::make_document(nested)).find(R"("_id.k.s": {"$regex": "\\Ax\\z"}})"),
            std::string::npos);
}

TEST(Filter, NotEveryIdHasPatterns) {
  const auto has = [](const Fill& fill) {
    return has_id_patterns(bson::make_document(doc(fill)).view());
  };
  EXPECT_TRUE(has([](Writer& w) { w.open_array("a").int32("0", 1).close(); }));
  EXPECT_FALSE(has([](Writer& w) { w.open_array("a").string("0", "x").close(); }));
  EXPECT_FALSE(has([](Writer& w) { w.string("a.b", "x"); }));
  EXPECT_FALSE(has([](Writer& w) { w.string("", "x"); }));
  EXPECT_FALSE(has_id_patterns(bson::make_string("\xff").view()));
}

TEST(Filter, AnIdIsKnownOnlyByEqualityThatNeedsNoCollation) {
  const std::string number = by_id(5);
  EXPECT_TRUE(filter_id(Document(number), false));
  const std::string text = doc([](Writer& w) { w.string("_id", "x"); });
  EXPECT_TRUE(filter_id(Document(text), true));
  EXPECT_FALSE(filter_id(Document(text), false));
  const std::string range = doc([](Writer& w) { w.open_document("_id").int32("$gt", 1).close(); });
  EXPECT_FALSE(filter_id(Document(range), true));
  const std::string null = doc([](Writer& w) { w.null("_id"); });
  EXPECT_FALSE(filter_id(Document(null), true));
}

TEST(Filter, NarrowingKeepsTheWholeFilter) {
  const bson::OwnedValue id = bson::make_int32(9);
  const std::string plain = doc([](Writer& w) { w.string("city", "Oslo"); });
  const std::string narrowed = narrow_filter(Document(plain), id.view());
  EXPECT_TRUE(Document(narrowed).has("_id"));
  EXPECT_TRUE(Document(narrowed).has("city"));
  const std::string range = doc([](Writer& w) { w.open_document("_id").int32("$gt", 1).close(); });
  const std::string both = narrow_filter(Document(range), id.view());
  EXPECT_TRUE(Document(both).has("$and"));
}

}  // namespace
}  // namespace outrigger::testing
