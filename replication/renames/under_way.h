// Documents of writes whose end is still to be told: what they should be is left to whoever tells.
#pragma once

#include <set>
#include <string>

#include "config/result.h"
#include "replication/record/prepare.h"

namespace outrigger {

// Of the documents that it names.
[[nodiscard]] std::set<std::string> row_keys_of(const Prepare& prepare);

class UnderWay {
 public:
  // Errors: kCorrupt.
  [[nodiscard]] Status add(const Prepare& prepare);
  [[nodiscard]] bool has(const std::string& row_key) const {
    return documents_.contains(row_key) || is_renamed(row_key);
  }
  // Nobody knows yet which of two names has it.
  [[nodiscard]] bool is_renamed(const std::string& row_key) const;

 private:
  std::set<std::string> documents_;   // by row key
  std::set<std::string> namespaces_;  // of renames
};

}  // namespace outrigger
