#include "replication/bson/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace outrigger {
namespace {

TEST(Crc32c, MatchesPublishedVectors) {  // RFC 3720, B.4
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(Crc32c, TableAndInstructionAgreeAtEveryLengthAndAlignment) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes.push_back(static_cast<char>(i * 37 + 11));
  for (size_t from = 0; from < 9; ++from) {
    for (size_t length = 0; from + length <= bytes.size(); ++length) {
      const std::string_view part = std::string_view(bytes).substr(from, length);
      EXPECT_EQ(crc32c(part, 5), internal::crc32c_table(part, 5));
    }
  }
}

TEST(Crc32c, ContinuesOverPieces) {
  const std::string bytes = "one message in two pieces";
  for (size_t split = 0; split <= bytes.size(); ++split) {
    const uint32_t first = crc32c(bytes.substr(0, split));
    EXPECT_EQ(crc32c(bytes.substr(split), first), crc32c(bytes));
  }
}

}  // namespace
}  // namespace outrigger
