// Which paths of a document an oplog entry touched. Only names are taken from it, the values come
// from the document itself: position-based array edits mean nothing elsewhere.
//
//   diff       = { u: {field: value}, i: {field: value}, d: {field: false},
//                  s<field>: diff | array diff }
//   array diff = { a: true, l: length, u<index>: value, s<index>: diff }
//
// Before MongoDB 5.0 ($v: 1) it names paths as an update does, {$set: {"a.b": value}, $unset: ..}.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "replication/record/effect.h"

namespace outrigger {

// `o` of an update entry. Nothing: a whole replacement, or a form not known here.
[[nodiscard]] std::optional<std::vector<Path>> oplog_update_paths(std::string_view o);

}  // namespace outrigger
