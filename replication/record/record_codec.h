// Records as bytes: alone in the outbox, and in stretches on a link. Small first, because both the
// disk and the line between sites are paid per byte; hostile-proof, because a peer may be broken.
//
// Everything that repeats stands once in a table and is referred to by a varint index; stamps are
// written as distances from the record's own; a record's dependencies are written as corrections
// of a guess: those of the record before it in the same segment, and its own origin at hlc - 1.
//
//   entry     = header origin:varint hlc:varint body          ; encode_record
//   batch     = header count:varint segment*                  ; encode_segments
//   header    = version:u8 (2) flags:u8 origins namespaces paths
//               flags bit 0 is kept for a chain hash over batches, bit 1: bodies end with
//               `retired`; every other set bit is refused today
//   origins   = count:varint { site:16 bytes, epoch:u64 little-endian }*
//   namespaces= count:varint bytes*                           ; "db.collection"
//   paths     = count:varint { shared:varint fresh:varint bytes* }*
//               the first `shared` names of the path before it, then `fresh` names of its own
//   segment   = origin:varint after:varint (through - after):varint count:varint record*
//   record    = (hlc - previous):varint body      ; previous: of the segment, else after
//   body      = deps count:varint document* [retired]
//   deps      = count:varint { origin*2:varint stamp | origin*2+1:varint }*   ; set | not in it
//   document  = namespace:varint value count:varint effect*
//   effect    = tag:u8 [path:varint] [value] [baselines] [counter]
//               tag = kind | has_baselines << 3
//               path: kAssign, kUnset, kIncrement; value: kBirth, kWeakBirth, kAssign;
//               counter: kIncrement
//   baselines = count:varint { path:varint count:varint counter* }*
//   counter   = origin:varint first:stamp last:stamp sum:value
//   retired   = count:varint { origin:varint stamp }*         ; behind the documents of each body
//   stamp     = varint: zigzag(the record's hlc - the stamp), in 64-bit two's complement
//   value     = type:u8 [length:varint] BSON bytes            ; no length where the type fixes it
//   bytes     = length:varint raw
//   varint    = LEB128: 7 bits a byte, low bits first, top bit set on all but the last
//
// Worked example: `$set {n: 7}` on t.a/_id 1, alone, at hlc 5 of origin (site 00.., epoch 2), the
// deps being exactly {own origin: 4}:
//   02 00                                   version, flags
//   01 00*16 02 00 00 00 00 00 00 00        one origin
//   01 03 74 2e 61                          one namespace, "t.a"
//   01 00 01 01 6e                          one path: nothing shared, one name, "n"
//   00 05                                   origin 0, hlc 5
//   00                                      deps: the guess {origin 0: 4} was right
//   01 00 10 01 00 00 00                    one document in namespace 0, _id int32 1
//   01 04 00 10 07 00 00 00                 one effect: kAssign, path 0, int32 7
// An insert of {_id: 1} in its place has no path (00) and the effect
//   01 01 03 0e 0e 00 00 00 10 5f 69 64 00 01 00 00 00 00
// that is kBirth and a document of 14 bytes. A heartbeat of that origin, (5, 9]:
//   02 00, one origin, 00, 00, then 01 | 00 05 04 00.
//
// Not chosen: one effect for each field of a new document (a path costs more than the value, and no
// field is merged before another birth or a replacement meets it), protobuf (its own validation
// would still be needed for every value), a dictionary kept across batches (a lost or relayed batch
// could then not be read alone; LZ4 on the link finds what repeats between batches).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/record/record.h"

namespace outrigger {

inline constexpr uint8_t kRecordFormatVersion = 2;
inline constexpr uint8_t kFlagRetires = 2;

// What a decoder accepts. Writers stay far below: a run is at most 1,000 statements and 4 MiB.
struct RecordLimits {
  size_t bytes_max = 128u << 20;               // of the encoded input
  size_t decoded_bytes_max = size_t{1} << 30;  // of memory the result may take, tables included
  size_t segments_max = 4096;
  size_t records_max = 1u << 20;    // of one batch
  size_t documents_max = 1u << 18;  // of one record
  size_t effects_max = 1u << 22;    // of one record
  size_t origins_max = 4096;
  size_t namespace_bytes_max = 1024;
  size_t path_depth_max = 200;
  bool checks_documents = true;  // false: of our own log, for a peer, who will check them
};

// One record, readable without anything else: the value in the outbox's entries.
[[nodiscard]] std::string encode_record(const Record& record);
[[nodiscard]] Result<Record> decode_record(std::string_view bytes, const RecordLimits& limits = {});

// Stretches of logs, for the link. Records must be of their segment's origin, with strictly
// ascending stamps in (after, through] (asserted: what we send is ours to keep right).
[[nodiscard]] std::string encode_segments(std::span<const Segment> segments);
// The same of one record that stands in the outbox as `entry`, by copying its bytes: after `after`
// of its origin comes it, and up to `through` nothing else. kCorrupt.
[[nodiscard]] Result<std::string> entry_as_segments(std::string_view entry, Hlc after, Hlc through);
// Errors: kCorrupt, with the byte offset in the reason. What is returned is well formed: indexes
// resolved, stamps in order and in range, every value valid BSON of its type, counters numeric.
[[nodiscard]] Result<std::vector<Segment>> decode_segments(std::string_view bytes,
                                                           const RecordLimits& limits = {});

}  // namespace outrigger
