// What an error of MongoDB says about the write it answers, decided in one table of its codes.
//
// The problem: an error is not always "nothing happened". An interruption can be noticed after the
// document was written, and findAndModify computes its answer after it wrote. Nor is a refusal
// always a verdict: a write block ends, a primary comes back. Three kinds are told apart, and what
// the table does not know is taken for the one that is looked at.
//
// Of one document's write: a command of several answers each for itself, or is interrupted between
// two of them. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace outrigger {

enum class StoreErrorKind : uint8_t {
  kDidNotHappen,     // refused; sent again, it is refused again
  kMayHaveHappened,  // look at the document, then say
  kPasses,           // it did not happen, for a reason that goes away: wait, then send it again
};

struct StoreError {
  int32_t code = 0;
  const char* name = "";  // MongoDB's
  StoreErrorKind kind = StoreErrorKind::kMayHaveHappened;
  // Expressions and projections fail with it, too: so may one that computes an answer.
  bool of_expressions = false;
};

// All that are known, by code.
[[nodiscard]] std::span<const StoreError> store_errors();

// Of a write that answers with counts.
[[nodiscard]] StoreErrorKind store_error_kind(int32_t code);
// Of a findAndModify that projects the document it answers with, after it has written it.
[[nodiscard]] StoreErrorKind store_error_kind_behind_projection(int32_t code);
// Does the reason go away, so that the same write may be taken later? Then a stream holds: what is
// written is absolute, so it does not matter whether it happened. Unknown codes do not pass.
[[nodiscard]] bool store_error_passes(int32_t code);

// Does the store take no command that names the collection it means (`collectionUUID`)? One that
// has done so may not any more: it goes by its feature compatibility version.
[[nodiscard]] bool store_refuses_names(int32_t code, std::string_view message);

// Does the store's user lack a right?
[[nodiscard]] bool store_error_is_about_rights(int32_t code);

// Does no store take a document like this, or none with an index that is there: arrays in two
// fields of one index, or too large? What merging made may be so although nobody wrote it.
[[nodiscard]] bool store_error_is_about_the_document(int32_t code);

}  // namespace outrigger
