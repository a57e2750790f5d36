#include <bson/bson.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "replication/bson/bson.h"
#include "replication/bson/random_document.h"

namespace outrigger::bson {
namespace {

bool valid(const std::string& bytes) { return validate(bytes).has_value(); }

// {a: <value of `type`>}
std::string with(uint8_t type, std::string_view value) {
  std::string body(1, static_cast<char>(type));
  body.append("a").push_back('\0');
  body.append(value).push_back('\0');
  std::string bytes = make_int32(static_cast<int32_t>(body.size() + 4)).bytes;
  return bytes + body;
}

std::string operator""_b(const char* text, size_t length) { return {text, length}; }

TEST(Validate, TakesEveryType) {
  const std::pair<int, std::string> kValues[] = {
      {0x01, std::string(8, 'x')},
      {0x02, "\2\0\0\0a\0"_b},
      {0x03, "\5\0\0\0\0"_b},
      {0x04, "\5\0\0\0\0"_b},
      {0x05, "\1\0\0\0\0x"_b},
      {0x05, "\0\0\0\0\200"_b},
      {0x06, ""},
      {0x07, std::string(12, 'x')},
      {0x08, "\1"_b},
      {0x09, std::string(8, 'x')},
      {0x0a, ""},
      {0x0b, "a\0i\0"_b},
      {0x0b, "\0\0"_b},
      {0x0c, "\1\0\0\0\0abcdefghijkl"_b},
      {0x0d, "\1\0\0\0\0"_b},
      {0x0e, "\1\0\0\0\0"_b},
      {0x0f, "\16\0\0\0\1\0\0\0\0\5\0\0\0\0"_b},
      {0x10, std::string(4, 'x')},
      {0x11, std::string(8, 'x')},
      {0x12, std::string(8, 'x')},
      {0x13, std::string(16, 'x')},
      {0xff, ""},
      {0x7f, ""},
  };
  for (const auto& [type, value] : kValues) {
    const std::string bytes = with(static_cast<uint8_t>(type), value);
    EXPECT_TRUE(valid(bytes)) << type;
    ASSERT_TRUE(Document(bytes).first().has_value()) << type;
    EXPECT_EQ(Document(bytes).first()->value.bytes, value) << type;
    // One byte less or more of the value never fits.
    if (!value.empty()) {
      EXPECT_FALSE(valid(with(static_cast<uint8_t>(type), value.substr(0, value.size() - 1))))
          << type;
    }
    EXPECT_FALSE(valid(with(static_cast<uint8_t>(type), value + "\1"))) << type;
  }
}

TEST(Validate, RefusesEveryByteThatIsNoType) {
  for (int type = 1; type < 256; ++type) {
    const bool known = type <= 0x13 || type == 0x7f || type == 0xff;
    if (!known) {
      EXPECT_FALSE(valid(with(static_cast<uint8_t>(type), ""))) << type;
    }
  }
}

TEST(Validate, RefusesHostileLengths) {
  const std::pair<const char*, std::string> kCases[] = {
      {"no bytes", ""},
      {"four bytes", "\4\0\0\0"_b},
      {"length 4", "\4\0\0\0\0"_b},
      {"length 0", "\0\0\0\0\0"_b},
      {"length -1", "\377\377\377\377\0"_b},
      {"length int32 minimum", "\0\0\0\200\0"_b},
      {"length int32 maximum", "\377\377\377\177\0"_b},
      {"one byte too many", "\5\0\0\0\0\0"_b},
      {"no terminator", "\5\0\0\0\1"_b},
      {"terminator too early", "\7\0\0\0\0\0\0"_b},
      {"name without end", "\7\0\0\0\12a\0"_b},
      {"string length 0", with(0x02, "\0\0\0\0\0"_b)},
      {"string length -1", with(0x02, "\377\377\377\377\0"_b)},
      {"string length maximum", with(0x02, "\377\377\377\177\0"_b)},
      {"string takes the terminator", with(0x02, "\3\0\0\0a\0"_b)},
      {"string without NUL", with(0x02, "\2\0\0\0aa"_b)},
      {"binary length -1", with(0x05, "\377\377\377\377\0"_b)},
      {"binary length minimum", with(0x05, "\0\0\0\200\0"_b)},
      {"binary too long", with(0x05, "\2\0\0\0\0a"_b)},
      {"bool 2", with(0x08, "\2"_b)},
      {"regex without options", with(0x0b, "a\0i"_b)},
      {"inner length 4", with(0x03, "\4\0\0\0\0"_b)},
      {"inner length too long", with(0x03, "\6\0\0\0\0"_b)},
      {"inner length too short", with(0x03, "\5\0\0\0\0\0"_b)},
      {"inner without terminator", with(0x03, "\5\0\0\0\1"_b)},
      {"inner bad type", with(0x03, "\7\0\0\0\x55\0\0"_b)},
      {"scope longer than its value", with(0x0f, "\16\0\0\0\1\0\0\0\0\6\0\0\0\0\0"_b)},
      {"scope with room behind", with(0x0f, "\17\0\0\0\1\0\0\0\0\5\0\0\0\0\0"_b)},
      {"scope code takes all", with(0x0f, "\16\0\0\0\6\0\0\0\0\5\0\0\0\0"_b)},
      {"scope value too short", with(0x0f, "\15\0\0\0\1\0\0\0\0\5\0\0\0"_b)},
      {"scope bad type inside", with(0x0f, "\20\0\0\0\1\0\0\0\0\7\0\0\0\x55\0\0"_b)},
  };
  for (const auto& [what, bytes] : kCases) EXPECT_FALSE(valid(bytes)) << what;
}

TEST(Validate, RefusesEveryTruncationAndSaysWhere) {
  const std::string bytes = testing::RandomDocument(4).next();
  ASSERT_GT(bytes.size(), 60u);
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(valid(bytes.substr(0, length)));
    if (length < 5) continue;
    // The same with a length that agrees.
    std::string patched =
        make_int32(static_cast<int32_t>(length)).bytes + bytes.substr(4, length - 4);
    EXPECT_EQ(valid(patched), false) << length;
  }
  const auto status = validate(with(0x08, "\2"_b));
  EXPECT_NE(status.error().message().find("at byte 7 of 9"), std::string::npos)
      << status.error().message();
}

std::string nested(size_t levels) {
  std::string bytes;
  for (size_t i = 0; i <= levels; ++i) {
    bytes += make_int32(static_cast<int32_t>(5 + 8 * (levels - i))).bytes;
    if (i < levels) bytes += "\3a\0"_b;
  }
  return bytes.append(levels + 1, '\0');
}

TEST(Validate, LimitsNestingWithoutRecursion) {
  EXPECT_TRUE(valid(nested(kDepthMax)));
  const auto status = validate(nested(kDepthMax + 1));
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kUnsupported);
  EXPECT_TRUE(validate(nested(100'000), 100'000).has_value());
  EXPECT_FALSE(validate(nested(100'001), 100'000).has_value());
  EXPECT_FALSE(valid(nested(100'000)));
  std::string damaged = nested(100'000);
  damaged[damaged.size() - 50'000] = 1;
  EXPECT_FALSE(validate(damaged, 100'000).has_value());
}

TEST(Validate, OtherWalkersSurviveDeepNesting) {
  const std::string deep = nested(100'000);
  EXPECT_FALSE(to_json(Document(deep), 1 << 20).empty());
  EXPECT_FALSE(canonical_key({Type::kDocument, deep}).empty());
  std::string other = deep;
  other[5] = 'b';
  EXPECT_FALSE(equal_unordered(Document(deep), Document(other)));
}

// libbson's iterator, driven to the end at every level.
bool libbson_walks(bson_iter_t& iter) {
  while (bson_iter_next(&iter)) {
    bson_iter_t child;
    const bool container = BSON_ITER_HOLDS_DOCUMENT(&iter) || BSON_ITER_HOLDS_ARRAY(&iter);
    if (container && (!bson_iter_recurse(&iter, &child) || !libbson_walks(child))) return false;
    if (BSON_ITER_HOLDS_CODEWSCOPE(&iter)) {
      uint32_t length, scope_length;
      const uint8_t* scope;
      (void)bson_iter_codewscope(&iter, &length, &scope_length, &scope);
      if (!bson_iter_init_from_data(&child, scope, scope_length) || !libbson_walks(child)) {
        return false;
      }
    }
  }
  return iter.err_off == 0;
}

// What we accept after damage libbson reads too. (Not the other way round: libbson 1.23 accepts
// documents that end early and embedded ones without terminator, mongod does not.)
TEST(Properties, DamagedDocumentsThatAreValidAreReadByLibbson) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    testing::RandomDocument random(seed);
    std::string bytes = random.next();
    for (uint64_t i = random.below(3); i < 3; ++i) {
      bytes[4 + random.below(bytes.size() - 4)] = static_cast<char>(random.below(128));
    }
    bson_t theirs;
    if (!bson_init_static(&theirs, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size())) {
      RC_ASSERT(!valid(bytes));
      return;
    }
    bson_iter_t iter;
    const bool accepted = bson_iter_init(&iter, &theirs) && libbson_walks(iter);
    // libbson looks into binary subtype 2; we, like mongod, do not.
    const bool may_hold_subtype_2 = bytes.find("\0\0\0\2"_b) != std::string::npos;
    if (valid(bytes) && !accepted && !may_hold_subtype_2) RC_FAIL(to_json(Document(bytes)));
  }));
}

TEST(Properties, ValidDocumentsWalkToTheirEnd) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    testing::RandomDocument random(seed);
    std::string bytes = random.next();
    bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    if (!valid(bytes)) return;
    auto it = Document(bytes).begin();
    while (it != Document(bytes).end()) ++it;
    RC_ASSERT(it.ok());
    (void)to_json(Document(bytes));
    (void)canonical_key({Type::kDocument, bytes});
  }));
}

}  // namespace
}  // namespace outrigger::bson
