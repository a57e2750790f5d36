// The bytes of a row: what is remembered of one document besides the document itself.
//
//   row         := 0x01 flags origins clock incarnations        version 1
//   flags       := byte            bit 0: detached
//   origins     := n { site[16] epoch[8, little-endian] }       as used below, each once
//   clock       := hlc[8, little-endian]                        what stamps are counted from
//   incarnations:= n { births registers counters asserted }
//   births      := n { dot }                                    ascending
//   registers   := n { path dot content [value] entries }       ascending by path; entries:
//   baseline counters    := n { path entries }                           ascending by path, never
//   empty asserted    := n { path dot }                               ascending by path content :=
//   byte            0 absent, 1 document, 2 value follows, 3 what the document shows entries     :=
//   n { dot last value }                         ascending by dot; value: a number dot         := 0
//   | origin+1 zigzag(hlc - clock)             0: stamp zero last        := zigzag(hlc - clock)
//   path        := shared n { length bytes }                    shared: leading names as in the
//   path
//                                                               before it in the same list
//   value       := type length bytes                            as in BSON
//   n, length, shared, origin+1, zigzag: LEB128 varints of at most 64 bits
//
// Example: {a: 1, n: 7} where `a` was set last by commit (h, o), everything else stable:
//   01 00  01 o[24]  h[8]  01  01 00  01 [00 01 01 'a'  01 00  03  00]  00  00
// Nothing may follow the last byte. A row with values it does not need is legal; a row with
// anything out of order, repeated or out of range is corrupt.
#pragma once

#include <string>

#include "replication/merge/merge.h"

namespace outrigger::merge {

inline constexpr uint8_t kRowVersion = 1;

// As is; `strip` decides what belongs into a row.
[[nodiscard]] std::string encode_row(const DocumentState& state);

}  // namespace outrigger::merge
