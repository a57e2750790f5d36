#include "replication/record/prepare.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "replication/record/record_testing.h"

namespace outrigger {
namespace {

RC_GTEST_PROP(PrepareCodec, ComesBackAsItWent, (uint32_t seed)) {
  const Prepare prepare = RecordMaker(seed).prepare();
  const auto decoded = decode_prepare(encode_prepare(prepare));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == prepare);
}

RC_GTEST_PROP(PrepareCodec, EveryCutIsRefused, (uint32_t seed)) {
  const std::string bytes = encode_prepare(RecordMaker(seed).prepare());
  for (size_t length = 0; length < bytes.size(); ++length) {
    RC_ASSERT(!decode_prepare(std::string_view(bytes).substr(0, length)));
  }
  RC_ASSERT(!decode_prepare(bytes + '\0'));
}

RC_GTEST_PROP(PrepareCodec, WhatAFlippedByteLeavesReadableIsAValidPrepare, (uint32_t seed)) {
  std::string bytes = encode_prepare(RecordMaker(seed).prepare());
  const size_t step = 1 + bytes.size() / 150;
  for (size_t at = seed % step; at < bytes.size(); at += step) {
    char& byte = bytes[at];
    const char before = byte;
    byte = static_cast<char>(byte ^ (1 << (seed % 8)));
    if (const auto decoded = decode_prepare(bytes)) {
      RC_ASSERT(decode_prepare(encode_prepare(*decoded)).value() == *decoded);
    }
    byte = before;
  }
}

TEST(Prepare, NumbersOfASessionHaveAtMost32Bits) {
  Prepare prepare;
  prepare.session.back() = 1;
  prepare.session.append("\xff\xff\xff\xff\x0f");
  std::string bytes = encode_prepare(prepare);
  EXPECT_TRUE(decode_prepare(bytes));
  bytes.replace(bytes.find('\x0f'), 1, 1, '\x10');
  EXPECT_FALSE(decode_prepare(bytes));
}

TEST(Prepare, ADigestIsOfAllButTheId) {
  const auto digest = [](const bson::Writer& writer) {
    return document_digest(bson::Document(bson::Writer(writer).finish()));
  };
  const std::string plain = digest(bson::Writer().int32("_id", 1).int32("a", 1).null("b"));
  EXPECT_EQ(plain.size(), 16u);
  EXPECT_EQ(digest(bson::Writer().string("_id", "x").int32("a", 1).null("b")), plain);
  EXPECT_EQ(digest(bson::Writer().int32("a", 1).int32("_id", 1).null("b")), plain);
  EXPECT_EQ(digest(bson::Writer().int32("a", 1).null("b")), plain);
  EXPECT_NE(digest(bson::Writer().int32("_id", 1).int32("a", 2).null("b")), plain);
  EXPECT_NE(digest(bson::Writer().int32("_id", 1).int32("a", 1)), plain);
  EXPECT_NE(digest(bson::Writer().int32("_id", 1)), digest(bson::Writer().null("a")));
  EXPECT_EQ(digest(bson::Writer().int32("_id", 1)), digest(bson::Writer()));
}

TEST(Prepare, WhateverAnAppMayAskForCanBeReadAgain) {
  Prepare prepare;
  prepare.hlc = 1;
  PreparedDocument document;
  document.ns = std::string("d\0b.", 5);
  document.id = {bson::Type::kArray, bson::Writer().int32("0", 1).finish()};
  document.what = PreparedDocument::What::kUpsert;
  for (const size_t depth : {0, 1, 200, 201, 1'000}) {
    document.paths.push_back({Operation::kAssign, Path(depth, "a"), {}});
  }
  prepare.documents.push_back(document);
  const auto decoded = decode_prepare(encode_prepare(prepare));
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
  EXPECT_EQ(*decoded, prepare);
}

}  // namespace
}  // namespace outrigger
