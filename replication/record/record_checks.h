// May this record be applied here? What a decoder accepts is well formed, yet a member that is
// broken, of another version or not well may name what no store takes, what must not travel, or a
// past that cannot be. Such a record is set aside alone and the stream goes on: it must neither
// stop the applier nor reach the store.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "replication/record/record.h"

namespace outrigger {

struct RecordRules {
  std::function<bool(std::string_view ns)> replicates;
  std::function<bool(const SiteId& site)> is_member;
};

// What is wrong with it, for people; empty: nothing.
[[nodiscard]] std::string wrong_with(const Record& record, const RecordRules& rules);

// Could a store have a collection of this name? Empty: yes.
[[nodiscard]] std::string wrong_with_namespace(std::string_view ns);

}  // namespace outrigger
