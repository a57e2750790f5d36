// What a running outrigger says of itself in JSON, as lines for a person at a terminal.
//
// Pure: JSON in, text out. Everything shown may come from documents of an app or from another
// site, so no byte of it may steer the terminal: control characters are shown as '?'.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.h"

namespace outrigger::ctl {

struct Look {
  bool colours = false;
  size_t value_columns_max = 40;  // longer values are cut and end with "..."
};

// Each takes the body of /status; `now_ms` (wall clock) turns moments into ages. The text ends with
// a newline. Errors: kCorrupt when `json` is not what an outrigger says.
[[nodiscard]] Result<std::string> status_text(std::string_view json, int64_t now_ms, Look look);
[[nodiscard]] Result<std::string> peers_text(std::string_view json, int64_t now_ms, Look look);

// The body of /conflicts, a page of them, newest first as it comes; `status` is the body of
// /status, which knows the names of sites (empty: stamps are shown as they are). Errors: kCorrupt.
[[nodiscard]] Result<std::string> conflicts_text(std::string_view json, std::string_view status,
                                                 Look look);

// The body of /conflicts?name=, one of them: all of it. Errors: kCorrupt.
[[nodiscard]] Result<std::string> conflict_text(std::string_view json, std::string_view status,
                                                Look look);

// The body of /explain: who wrote what when, and what lost. Errors: kCorrupt.
[[nodiscard]] Result<std::string> path_text(std::string_view json, std::string_view status,
                                            Look look);

// The body of /quarantine: a table, and all of one record. Errors: kCorrupt, kNotFound.
[[nodiscard]] Result<std::string> quarantine_text(std::string_view json, Look look);
[[nodiscard]] Result<std::string> quarantined_record(std::string_view json, std::string_view name);

}  // namespace outrigger::ctl
