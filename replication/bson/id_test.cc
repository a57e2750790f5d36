#include "replication/bson/id.h"

#include <gtest/gtest.h>

namespace outrigger::bson {
namespace {

std::string_view why(Writer& document) {
  return why_no_id(make_document(document.finish()).view());
}

TEST(BsonId, SomeTypesAreNone) {
  EXPECT_EQ(why_no_id(Value{Type::kUndefined, {}}), "undefined");
  EXPECT_EQ(why_no_id(OwnedValue(Type::kArray, Writer().finish()).view()), "an array");
  EXPECT_EQ(why_no_id(Value{Type::kRegex, std::string_view("a\0\0", 3)}), "a regular expression");
  EXPECT_EQ(why_no_id(make_int32(1).view()), "");
  EXPECT_EQ(why_no_id(Value{Type::kNull, {}}), "");
}

TEST(BsonId, AnObjectThatBeginsAsAnOperatorIsNone) {
  EXPECT_NE(why(Writer().int32("$x", 1)), "");
  EXPECT_NE(why(Writer().int32("$eq", 1).int32("a", 1)), "");
  EXPECT_EQ(why_no_id(make_document(Writer().finish()).view()), "");
  EXPECT_EQ(why(Writer().int32("a", 1)), "");
  EXPECT_EQ(why(Writer().int32("a", 1).int32("$x", 1)), "") << "it may be asked for";
}

TEST(BsonId, ACompleteReferenceIsOne) {
  EXPECT_EQ(why(Writer().string("$ref", "c").int32("$id", 1)), "");
  EXPECT_EQ(why(Writer().string("$ref", "c").int32("$id", 1).string("$db", "d")), "");
  EXPECT_EQ(why(Writer().string("$ref", "c").int32("$id", 1).int32("a", 1)), "");
  EXPECT_NE(why(Writer().string("$ref", "c")), "");
  EXPECT_NE(why(Writer().int32("$ref", 1).int32("$id", 1)), "");
  EXPECT_NE(why(Writer().int32("$id", 1).string("$ref", "c")), "");
  EXPECT_NE(why(Writer().string("$ref", "c").int32("$id", 1).int32("$db", 1)), "");
}

}  // namespace
}  // namespace outrigger::bson
