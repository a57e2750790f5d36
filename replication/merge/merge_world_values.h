// What the app of a small world writes.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "replication/bson/bson.h"

namespace outrigger::merge {

class RandomValues {
 public:
  // `random` is borrowed. add_only: nothing that keeps increments from adding up exactly.
  RandomValues(std::mt19937_64& random, bool add_only) : random_(random), add_only_(add_only) {}

  [[nodiscard]] bson::OwnedValue value();
  [[nodiscard]] bson::OwnedValue delta();
  [[nodiscard]] bson::OwnedValue id(const std::string& id);

 private:
  size_t pick(size_t count) { return random_() % count; }

  std::mt19937_64& random_;
  const bool add_only_;
  int32_t counter_ = 0;
};

}  // namespace outrigger::merge
