// What an apply batch is about to make of the store, kept from the moment its rows are written
// until the store has everything: after a crash in between it is done again, whole. Values are
// absolute, so doing it again changes nothing.
//
//   intent    = version:u8 (1) count:u32 { origin:24 bytes hlc:u64 }* count:u32 document*
//   document  = ns:bytes type:u8 id:bytes present:u8 document:bytes
//   bytes     = length:u32 raw                      ; numbers are little-endian
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/bson/bson.h"
#include "replication/version_vector.h"

namespace outrigger {

struct IntendedDocument {
  std::string ns;
  bson::OwnedValue id;
  std::optional<std::string> document;  // nothing: it is to go
  friend bool operator==(const IntendedDocument&, const IntendedDocument&) = default;
};

struct ApplyIntent {
  VersionVector after;  // the entries of the durable vector that move when it is done
  std::vector<IntendedDocument> documents;
  friend bool operator==(const ApplyIntent&, const ApplyIntent&) = default;
};

[[nodiscard]] std::string encode_intent(const ApplyIntent& intent);
// Errors: kCorrupt.
[[nodiscard]] Result<ApplyIntent> decode_intent(std::string_view bytes);

}  // namespace outrigger
