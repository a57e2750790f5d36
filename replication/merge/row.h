// The bytes of a row: what is remembered of one document besides the document itself.
//
// Stamps are counted from the largest one, paths share their beginnings, and what the store shows
// is not written again: a document just inserted costs 33 bytes however many fields it has, one
// field changed since some 48, each further one 8 or so. (On disk an origin, 24 of them, is a
// number: outbox/rocks/row_origins.h.) The bytes: FORMATS.md, section 5.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "replication/merge/merge.h"

namespace outrigger::merge {

// The upper half of the first byte; the lower says which kind of row it is.
inline constexpr uint8_t kRowVersion = 2;
enum RowKind : uint8_t {
  kGeneral = kRowVersion << 4,
  kOpaque = kGeneral | 1,
  kInserted = kGeneral | 2,
  kInsertedOpaque = kGeneral | 3,
  kNames = kGeneral | 4,      // as a general one, of nothing but the names of elements
  kPlain = kGeneral | 5,      // of a document everybody knows: values given to fields, nothing else
  kReplacing = kGeneral | 6,  // as a general one, with what was replaced elsewhere
  kSums = kGeneral | 7,       // as a plain one, with counters
  kCount = kGeneral | 8,      // as a plain one, of one counter and nothing else
};

inline constexpr uint8_t kDetachedFlag = 1;
inline constexpr uint8_t kOpaqueFlag = 2;
inline constexpr uint8_t kListsFlag = 4;
inline constexpr uint8_t kContestsFlag = 8;
inline constexpr uint8_t kYieldsFlag = 16;
inline constexpr uint8_t kHoldingFlag = 32;
inline constexpr uint8_t kBoundsFlag = 64;
inline constexpr uint8_t kOverwrittenFlag = 128;

// As is; `strip` decides what belongs into a row. Without an incarnation: the row of an opaque one.
[[nodiscard]] std::string encode_row(const DocumentState& state);

// Nothing in it can be forgotten.
[[nodiscard]] bool is_at_rest(std::string_view row);
// One of those that are counted: not of names alone, which may stay as long as their document.
[[nodiscard]] bool counts(std::string_view row);

// The commit that gave birth to the document, where the row says that and nothing more, as a
// birth_row() of one that is not opaque does.
[[nodiscard]] std::optional<Dot> birth_in_row(std::string_view row);

// Where its origins stand, one behind the other, 24 bytes each: whatever row it is. What follows
// them need not be there. Nothing: it has none, or is no row.
struct OriginsInRow {
  size_t begin = 0;
  size_t count = 0;
};
[[nodiscard]] std::optional<OriginsInRow> origins_in_row(std::string_view row);
inline constexpr size_t kOriginBytes = 24;

}  // namespace outrigger::merge
