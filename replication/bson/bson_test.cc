#include "replication/bson/bson.h"

#include <bson/bson.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <simdjson.h>

#include "replication/bson/random_document.h"

namespace outrigger::bson {
namespace {

std::string one_of_each_scalar() {
  return Writer()
      .int32("i", -5)
      .int64("l", 1LL << 40)
      .real("d", 2.5)
      .boolean("b", true)
      .null("n")
      .string("s", std::string_view("a\0b", 3))
      .date("t", 1500)
      .timestamp("ts", 7, 9)
      .object_id("o", "abcdefghijkl")
      .binary("bin", 4, std::string_view("\0\1", 2))
      .finish();
}

TEST(Document, GivesEveryValueBackAsWritten) {
  const std::string bytes = one_of_each_scalar();
  const Document document(bytes);
  EXPECT_EQ(document.find("i")->as_int32(), -5);
  EXPECT_EQ(document.find("l")->as_int64(), 1LL << 40);
  EXPECT_EQ(document.find("d")->as_double(), 2.5);
  EXPECT_TRUE(document.find("b")->as_bool());
  EXPECT_EQ(document.find("n")->type, Type::kNull);
  EXPECT_EQ(document.find("s")->as_string(), std::string_view("a\0b", 3));
  EXPECT_EQ(document.find("o")->bytes, "abcdefghijkl");
  EXPECT_EQ(document.find("bin")->bytes, std::string_view("\2\0\0\0\4\0\1", 7));
  EXPECT_FALSE(document.has("missing"));
  EXPECT_EQ(document.first()->name, "i");
}

TEST(Document, OfNothingIsTheEmptyDocument) {
  EXPECT_TRUE(Document().empty());
  EXPECT_EQ(Document().bytes(), std::string_view("\5\0\0\0\0", 5));
  EXPECT_TRUE(validate(Document().bytes()).has_value());
  EXPECT_EQ(Writer().finish(), Document().bytes());
  EXPECT_TRUE(Document().begin().ok());
  EXPECT_FALSE(Document().first().has_value());
}

TEST(Document, FindGivesTheFirstOfEqualNames) {
  const std::string bytes = Writer().int32("a", 1).int32("a", 2).finish();
  EXPECT_EQ(Document(bytes).find("a")->as_int32(), 1);
}

TEST(Document, FindTellsNamesApartByLengthAndBytes) {
  const std::string bytes =
      Writer().int32("abcdefgh", 1).int32("abcdefghi", 2).int32("", 3).finish();
  EXPECT_EQ(Document(bytes).find("abcdefghi")->as_int32(), 2);
  EXPECT_EQ(Document(bytes).find("")->as_int32(), 3);
  EXPECT_FALSE(Document(bytes).has("abcdefg"));
}

// Every prefix and every single changed byte is walked without reading outside (ASan watches), and
// the iterator says whether the end was the document's own.
TEST(Document, WalkingDamagedBytesEndsInsteadOfReadingOutside) {
  const std::string bytes = one_of_each_scalar();
  for (size_t length = 0; length < bytes.size(); ++length) {
    const std::string cut(bytes.data(), length);
    const Document document{Bytes(cut)};
    auto it = document.begin();
    while (it != document.end()) ++it;
    EXPECT_EQ(it.ok(), length == 0) << length;
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (const int flip : {1, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      size_t count = 0;
      for (const Element& element : Document(damaged)) count += element.name.size() + 1;
      EXPECT_LE(count, bytes.size());
    }
  }
}

std::optional<Value> walked_to(const Document& document, std::string_view name) {
  for (const Element& element : document) {
    if (element.name == name) return element.value;
  }
  return std::nullopt;
}

void expect_found_as_walked(Bytes bytes) {
  const std::string copy(bytes);  // its own block, for ASan
  const Document document{Bytes(copy)};
  for (const char* name : {"i", "l", "d", "b", "n", "s", "t", "ts", "o", "bin", "x", ""}) {
    const auto found = document.find(name);
    const auto walked = walked_to(document, name);
    ASSERT_EQ(found.has_value(), walked.has_value()) << name;
    if (!found) continue;
    EXPECT_EQ(found->type, walked->type) << name;
    EXPECT_EQ(found->bytes.data(), walked->bytes.data()) << name;
    EXPECT_EQ(found->bytes.size(), walked->bytes.size()) << name;
  }
}

TEST(Document, FindFindsWhatWalkingDoesInDamagedBytesToo) {
  const std::string bytes = one_of_each_scalar();
  expect_found_as_walked(bytes);
  for (size_t length = 0; length < bytes.size(); ++length) {
    expect_found_as_walked(bytes.substr(0, length));
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (const int flip : {1, 2, 0x10, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      expect_found_as_walked(damaged);
    }
  }
}

TEST(Writer, ClosesNestedLevelsWithTheirLengths) {
  const std::string bytes = Writer()
                                .open_document("a")
                                .open_array("b")
                                .int32("0", 1)
                                .open_document("1")
                                .close()
                                .close()
                                .close()
                                .int32("z", 2)
                                .finish();
  ASSERT_TRUE(validate(bytes).has_value());
  const auto a = Document(bytes).find("a");
  ASSERT_EQ(a->type, Type::kDocument);
  const auto b = a->as_document().find("b");
  ASSERT_EQ(b->type, Type::kArray);
  EXPECT_EQ(b->as_document().find("0")->as_int32(), 1);
  EXPECT_TRUE(b->as_document().find("1")->as_document().empty());
  EXPECT_EQ(Document(bytes).find("z")->as_int32(), 2);
}

TEST(Writer, IsFreshAfterFinish) {
  Writer writer;
  (void)writer.int32("a", 1).finish();
  EXPECT_EQ(writer.int32("b", 2).finish(), Writer().int32("b", 2).finish());
}

TEST(Writer, AppendAllCopiesElementsAtTheOpenLevel) {
  const std::string inner = Writer().int32("a", 1).null("b").finish();
  const std::string bytes = Writer()
                                .open_document("x")
                                .append_all(Document(inner))
                                .append_all(Document())
                                .close()
                                .finish();
  EXPECT_EQ(Document(bytes).find("x")->bytes, inner);
}

TEST(Value, ToInt64TakesOnlyWholeNumbersInRange) {
  EXPECT_EQ(make_int32(-7).view().to_int64(), -7);
  EXPECT_EQ(make_int64(INT64_MIN).view().to_int64(), INT64_MIN);
  EXPECT_EQ(make_double(3.0).view().to_int64(), 3);
  EXPECT_EQ(make_double(-0x1p63).view().to_int64(), INT64_MIN);
  EXPECT_FALSE(make_double(0x1p63).view().to_int64().has_value());
  EXPECT_FALSE(make_double(3.5).view().to_int64().has_value());
  EXPECT_FALSE(make_double(0.0 / 0.0).view().to_int64().has_value());
  EXPECT_EQ(make_bool(true).view().to_int64(), 1);
  EXPECT_FALSE(make_string("3").view().to_int64().has_value());
}

TEST(Value, TruthIsMongos) {
  EXPECT_FALSE(make_bool(false).view().truthy());
  EXPECT_FALSE(make_int32(0).view().truthy());
  EXPECT_FALSE(make_double(-0.0).view().truthy());
  EXPECT_FALSE((Value{Type::kNull, {}}.truthy()));
  EXPECT_FALSE((Value{Type::kUndefined, {}}.truthy()));
  EXPECT_TRUE(make_double(0.0 / 0.0).view().truthy());
  EXPECT_TRUE(make_string("").view().truthy());
  EXPECT_TRUE(make_document(std::string(Document().bytes())).view().truthy());
}

// Our walk and libbson's see the same names, types and nesting.
void walk_both(const Document& ours, bson_iter_t& theirs) {
  for (const Element& element : ours) {
    ASSERT_TRUE(bson_iter_next(&theirs));
    EXPECT_EQ(element.name, bson_iter_key(&theirs));
    EXPECT_EQ(static_cast<uint8_t>(element.value.type),
              static_cast<uint8_t>(bson_iter_type(&theirs)));
    if (!element.value.is_container()) continue;
    bson_iter_t child;
    ASSERT_TRUE(bson_iter_recurse(&theirs, &child));
    walk_both(element.value.as_document(), child);
  }
  EXPECT_FALSE(bson_iter_next(&theirs));
}

TEST(Properties, WrittenDocumentsAreValidAndIterateBackToTheSameBytes) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    const std::string bytes = testing::RandomDocument(seed).next();
    RC_ASSERT(validate(bytes).has_value());
    Writer copy;
    for (const Element& element : Document(bytes)) copy.element(element);
    RC_ASSERT(copy.finish() == bytes);
  }));
}

TEST(Properties, LibbsonReadsTheSame) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    const std::string bytes = testing::RandomDocument(seed).next();
    bson_t theirs;
    RC_ASSERT(
        bson_init_static(&theirs, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
    RC_ASSERT(bson_validate(&theirs, BSON_VALIDATE_NONE, nullptr));
    bson_iter_t iter;
    RC_ASSERT(bson_iter_init(&iter, &theirs));
    walk_both(Document(bytes), iter);
    RC_ASSERT(!::testing::Test::HasFailure());
  }));
}

TEST(Value, ABinaryIsItsBytesWhateverItsSubtype) {
  const std::string bytes =
      Writer().binary("b", 5, "ab").binary("none", 0, "").int32("n", 1).finish();
  const Document document(bytes);
  EXPECT_EQ(document.find("b")->binary(), "ab");
  EXPECT_EQ(document.find("none")->binary(), "");
  EXPECT_EQ(document.find("n")->binary(), "");
}

TEST(ToJson, WritesRelaxedExtendedJson) {
  const std::string bytes = Writer()
                                .int32("i", 1)
                                .real("d", 1)
                                .real("nan", 0.0 / 0.0)
                                .string("s", "q\"\\\n\x01é\xff")
                                .date("t", 1500)
                                .date("old", -1)
                                .timestamp("ts", 7, 9)
                                .binary("bin", 0, "ab")
                                .value("re", Value{Type::kRegex, Bytes("a\0i\0", 4)})
                                .open_array("a")
                                .null("0")
                                .boolean("1", false)
                                .close()
                                .finish();
  EXPECT_EQ(
      to_json(Document(bytes)),
      R"({"i": 1, "d": 1.0, "nan": {"$numberDouble": "NaN"}, "s": "q\"\\\n\u0001é\ufffd", )"
      R"("t": {"$date": "1970-01-01T00:00:01.500Z"}, "old": {"$date": {"$numberLong": "-1"}}, )"
      R"("ts": {"$timestamp": {"t": 7, "i": 9}}, )"
      R"("bin": {"$binary": {"base64": "YWI=", "subType": "00"}}, )"
      R"("re": {"$regularExpression": {"pattern": "a", "options": "i"}}, "a": [null, false]})");
}

TEST(ToJson, CutsAtTheLimitAndNotInsideACharacter) {
  const std::string bytes = Writer().string("s", "ééééééééé").finish();
  EXPECT_EQ(to_json(Document(bytes), 10), "{\"s\": \"é...");
  EXPECT_EQ(to_json(Document(bytes), 9), "{\"s\": \"é...");
  EXPECT_EQ(to_json(Document(bytes), 8), "{\"s\": \"...");
}

TEST(ToJson, IsAlwaysWellFormed) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    const std::string bytes = testing::RandomDocument(seed).next();
    const std::string json = to_json(Document(bytes), 1 << 20);
    simdjson::dom::parser parser;
    RC_ASSERT(parser.parse(json).error() == simdjson::SUCCESS);
    std::string damaged = bytes;
    damaged[seed % damaged.size()] ^= 0x41;
    RC_ASSERT(parser.parse(to_json(Document(damaged), 1 << 20)).error() == simdjson::SUCCESS);
  }));
}

TEST(EqualUnordered, IgnoresFieldOrderAtEveryLevelButNotArrayOrder) {
  const auto nested = [](bool flip) {
    Writer writer;
    if (flip) writer.int32("z", 1);
    writer.open_document("d").open_array("a").open_document("0");
    flip ? writer.int32("y", 2).int32("x", 1) : writer.int32("x", 1).int32("y", 2);
    writer.close().close().close();
    if (!flip) writer.int32("z", 1);
    return writer.finish();
  };
  const std::string a = nested(false), b = nested(true);
  ASSERT_NE(a, b);
  EXPECT_TRUE(equal_unordered(Document(a), Document(b)));
  const auto list = [](int x, int y) {
    return Writer().open_array("a").int32("0", x).int32("1", y).close().finish();
  };
  EXPECT_FALSE(equal_unordered(Document(list(1, 2)), Document(list(2, 1))));
}

TEST(EqualUnordered, TellsTypesValuesNamesAndCountsApart) {
  const std::string base = Writer().int32("a", 1).int32("b", 2).finish();
  const std::string others[] = {
      Writer().int64("a", 1).int32("b", 2).finish(),
      Writer().int32("a", 2).int32("b", 1).finish(),
      Writer().int32("a", 1).int32("c", 2).finish(),
      Writer().int32("a", 1).finish(),
      Writer().int32("a", 1).int32("b", 2).int32("b", 2).finish(),
      Writer()
          .int32("a", 1)
          .value("b", Value{Type::kTimestamp, Bytes("\2\0\0\0\0\0\0\0", 8)})
          .finish()};
  for (const std::string& other : others) {
    EXPECT_FALSE(equal_unordered(Document(base), Document(other))) << to_json(Document(other));
  }
}

}  // namespace
}  // namespace outrigger::bson
