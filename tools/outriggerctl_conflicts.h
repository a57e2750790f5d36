// Pages of /conflicts as outriggerctl gathers them: those entries that are asked for, and where the
// next page begins. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace outrigger::ctl {

// Empty: of any.
struct ConflictFilter {
  std::string ns;
  std::string state;
};

struct ConflictPage {
  std::vector<std::string> entries;  // JSON, a line each
  std::string next;                  // empty: this is the last
};

// The body of /conflicts. Errors: kCorrupt when it is none.
[[nodiscard]] Result<ConflictPage> conflict_page(std::string_view json,
                                                 const ConflictFilter& filter);
// The page as such a body.
[[nodiscard]] std::string conflicts_json(const ConflictPage& page);

}  // namespace outrigger::ctl
