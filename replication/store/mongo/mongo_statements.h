// Merged documents as the statements of raw delete and update commands.
//
// Two things a plain replacement cannot store (seen on 6.0.5): a zero timestamp at the top level
// (the server puts the clock there) and a top-level name starting with '$' (refused, code 52, when
// the document exists). A pipeline of {$replaceWith: {$literal: ...}} stores both, but aborts the
// server when a document, old or new, repeats a field name, so it is used only where none does.
#pragma once

#include <string>

#include "replication/store/store.h"

namespace outrigger::mongo {

// Leaves room for the command around it.
inline constexpr size_t kStatementBytesMax = bson::kStoredBytesMax + 12 * 1024;

[[nodiscard]] bool needs_literal(const bson::Document& document);

// The document of a kReplaceOrInsert or kInsert, its _id in front.
[[nodiscard]] std::string whole_document(const StoreWrite& write);
// Statements of `delete` and `update`.
[[nodiscard]] std::string removal(const StoreWrite& write);
[[nodiscard]] std::string modification(const StoreWrite& write);
[[nodiscard]] std::string replacement(const StoreWrite& write, const std::string& whole,
                                      bool literal);

}  // namespace outrigger::mongo
