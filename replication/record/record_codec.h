// Records as bytes: alone in the outbox, and in stretches on a link. Small first, because both the
// disk and the line between sites are paid per byte; hostile-proof, because a peer may be broken.
//
// Everything that repeats stands once in a table and is referred to by a varint index; stamps are
// written as distances from the record's own; a record's dependencies are written as corrections
// of a guess: those of the record before it in the same segment, and its own origin at hlc - 1.
// The bytes: FORMATS.md, section 3.
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
inline constexpr uint8_t kFlagYields = 4;  // its documents name removals that yield
inline constexpr uint8_t kFlagRules = 8;
inline constexpr uint8_t kFlagApps = 16;  // its records tell which apps wrote
inline constexpr uint8_t kFlagNews = 32;
inline constexpr uint8_t kFlagsKnown =
    kFlagRetires | kFlagYields | kFlagRules | kFlagApps | kFlagNews;

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
  size_t path_depth_max = kPathDepthMax;
  bool checks_documents = true;  // false: of our own log, for a peer, who will check them
};

// One record, readable without anything else: the value in the outbox's entries.
[[nodiscard]] std::string encode_record(const Record& record);
[[nodiscard]] Result<Record> decode_record(std::string_view bytes, const RecordLimits& limits = {});
// False: no Record::app is in it.
[[nodiscard]] inline bool names_app(std::string_view entry) {
  return entry.size() > 1 && (static_cast<uint8_t>(entry[1]) & kFlagApps) != 0;
}

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
