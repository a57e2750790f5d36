// The bytes of a row: what is remembered of one document besides the document itself.
//
//   row          := general | inserted | opaque
//   opaque       := 0x21                          nothing but that the document is opaque
//   inserted     := (0x22 | 0x23) origin hlc[8]   born whole by that commit, nothing since;
//                                                 0x23: opaque
//   general      := 0x20 flags origins clock incarnations
//   flags        := byte                          bit 0: detached, bit 1: opaque
//   origins      := n { origin }                  as used below, each once, ascending
//   origin       := site[16] epoch[8, little-endian]
//   clock        := hlc[8, little-endian]         what stamps are counted from
//   incarnations := n { births floor registers counters asserted }
//   births       := n { dot }                     ascending
//   floor        := length bytes                  a document, or nothing: what the store shows
//   registers    := n { path dot content [value | bytes] entries }    ascending by path;
//                                                 entries: the baseline
//   counters     := n { path entries }            ascending by path, never empty
//   asserted     := n { path dot }                ascending by path
//   content      := byte                          0 absent, 1 empty document, 2 value follows,
//                                                 3 what the document shows, 4 document follows
//   entries      := n { dot last value }          ascending by dot; value: a number
//   dot          := 0 | origin+1 zigzag(hlc - clock)      0: stamp zero
//   last         := zigzag(hlc - clock)
//   path         := shared n { length bytes }     shared: leading names as in the path before it in
//                                                 the same list
//   value        := type length bytes             as in BSON
//   bytes        := length bytes                  a document
//   n, length, shared, origin+1, zigzag: LEB128 varints of at most 64 bits
//
// A document just inserted costs 33 bytes however many fields it has. Example: {a: 1, n: 7} where
// `a` was set last by commit (h, o), everything else stable:
//   20 00  01 o[24]  h[8]  01  01 00  00  01 [00 01 01 'a'  01 00  03  00]  00  00
// Nothing may follow the last byte. A row with values it does not need is legal; a row with
// anything out of order, repeated or out of range is corrupt.
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
};

inline constexpr uint8_t kDetachedFlag = 1;
inline constexpr uint8_t kOpaqueFlag = 2;
// Beside the values of Content: a kDocument with fields, as it stands in a row.
inline constexpr uint8_t kDocumentFollows = 4;

// As is; `strip` decides what belongs into a row. Without an incarnation: the row of an opaque one.
[[nodiscard]] std::string encode_row(const DocumentState& state);

// The commit that gave birth to the document, where the row says that and nothing more, as a
// birth_row() of one that is not opaque does.
[[nodiscard]] std::optional<Dot> birth_in_row(std::string_view row);

}  // namespace outrigger::merge
