// What every Store must do, as tests that run against each of them: MemoryStore in memory/,
// MongoStore on real mongods in integration/. A binary links store_contract, names its stores
// with INSTANTIATE_TEST_SUITE_P(..., StoreContract, ...), and gets all cases.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "replication/store/store.h"

namespace outrigger {

struct StoreMaker {
  std::string name;
  std::function<std::unique_ptr<Store>()> make;
  friend void PrintTo(const StoreMaker& maker, std::ostream* out) { *out << maker.name; }
};

class StoreContract : public testing::TestWithParam<StoreMaker> {
 protected:
  void SetUp() override;

  // ---- verbs; all in a namespace of the test's own
  void given(const std::string& document);
  [[nodiscard]] std::vector<WriteOutcome> write(const std::vector<StoreWrite>& writes);
  [[nodiscard]] StoreWrite replace(const std::string& document) const;
  [[nodiscard]] StoreWrite insert(const std::string& document) const;
  [[nodiscard]] StoreWrite update(bson::OwnedValue id, std::vector<StoreWrite::Set> set,
                                  std::vector<Path> unset = {}) const;
  [[nodiscard]] StoreWrite remove(bson::OwnedValue id) const;
  // The document as relaxed JSON; "none" when there is none.
  [[nodiscard]] std::string stored(const bson::OwnedValue& id);

  std::unique_ptr<Store> store_;
  std::string ns_;
};

// gtest's name for a store.
[[nodiscard]] std::string store_name(const testing::TestParamInfo<StoreMaker>& info);

}  // namespace outrigger
