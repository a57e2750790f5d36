// The worked examples of FORMATS.md, each tied to the code that writes such bytes and reads them.
// formats_test.cc takes the bytes out of the document and compares.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "replication/bson/bson.h"
#include "replication/causality/stamp.h"

namespace outrigger::formats {

// One string of bytes, or a key and the value that stands under it.
using Parts = std::vector<std::string>;

struct Example {
  std::string name;
  std::function<Parts()> encode;
  std::function<void(const Parts&)> check;  // that these bytes are read as what was described
};

// Of a value that can be compared.
template <typename Value, typename Encode, typename Decode>
Example example(std::string name, Value value, Encode encode, Decode decode) {
  return {std::move(name), [value, encode] { return Parts{encode(value)}; },
          [value, decode](const Parts& parts) {
            const auto decoded = decode(parts.at(0));
            ASSERT_TRUE(decoded) << decoded.error().message();
            EXPECT_TRUE(*decoded == value);
          }};
}

// The members of every example. The epochs are small so that their bytes are easy to see.
inline Origin origin_of_site(uint8_t byte, uint64_t epoch) {
  Origin origin;
  origin.site.fill(byte);
  origin.epoch = epoch;
  return origin;
}
inline const Origin kOslo = origin_of_site(0xaa, 2);
inline const Origin kRome = origin_of_site(0xbb, 3);

[[nodiscard]] std::vector<Example> record_examples();
[[nodiscard]] std::vector<Example> prepare_examples();
[[nodiscard]] std::vector<Example> row_examples();
[[nodiscard]] std::vector<Example> site_examples();
[[nodiscard]] std::vector<Example> outbox_examples();
[[nodiscard]] std::vector<Example> link_examples();

}  // namespace outrigger::formats
