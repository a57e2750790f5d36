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

// Of which path /explain is to tell.
struct PathAsked {
  std::string ns;
  std::string id;    // JSON
  std::string path;  // empty: the whole document
};
// That of an entry: the body of /conflicts?name=. Errors: kCorrupt; kRefused: it has none.
[[nodiscard]] Result<PathAsked> path_of_conflict(std::string_view json);

// An _id as a person types it, as JSON: what is none is a text, 24 hex digits an ObjectId.
[[nodiscard]] std::string id_json(const std::string& typed);
// For a query: every byte but letters and digits as %XX.
[[nodiscard]] std::string percent_coded(const std::string& text);

}  // namespace outrigger::ctl
