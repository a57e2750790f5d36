// A prepare is the promise kept before a write is sent to the store: which stamp it has, what it
// depends on, how mongod would know it again, and what it is about to do to which documents. After
// a crash it is all recovery has, so it must be enough to settle the write either way: by finding
// it in the oplog (session), or by adopting the current values of the paths it names.
//
// It is written before MongoDB has seen the command, so it holds whatever an app may ask, also what
// MongoDB will refuse: an _id that is an array, a path of a thousand names, a namespace that is
// none. Whatever can be written can be read again: a prepare that could not be read would keep the
// sidecar from starting.
//
// The bytes: FORMATS.md, section 4.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/record/effect.h"

namespace outrigger {

// How mongod names one retryable statement: the oplog carries all three.
struct SessionKey {
  std::array<uint8_t, 16> lsid{};  // lsid.id, a UUID; all zero: none
  // Whose session it is: two users may give theirs the same id. The first eight bytes of lsid.uid,
  // mongod's digest of the user, big-endian. 0: it is ours.
  uint64_t user = 0;
  int64_t txn_number = -1;        // -1: none
  std::vector<int32_t> stmt_ids;  // of the prepare's statements, in their order
  friend bool operator==(const SessionKey&, const SessionKey&) = default;
};

struct PreparedPath {
  Operation kind = Operation::kUnknown;  // or kAssign, kUnset, kIncrement
  Path path;
  bson::OwnedValue value;  // kAssign: the new one; kIncrement: the delta; otherwise null
  friend bool operator==(const PreparedPath&, const PreparedPath&) = default;
};

struct PreparedDocument {
  enum class What : uint8_t { kInsert = 1, kUpdate = 2, kReplace = 3, kRemove = 4, kUpsert = 5 };
  std::string ns;
  bson::OwnedValue id;
  What what = What::kUpdate;
  std::vector<PreparedPath> paths;  // what a kUpdate or kUpsert may touch
  bool whole = false;  // `paths` cannot tell: any part of the document may have changed
  // kReplace: the new document; kUpsert: that, or nothing. kInsert: document_digest() of it, which
  // is enough to know it again; the store has the rest. kUpdate: as it was before, where that is
  // known; the difference tells more than the present values.
  std::string document;
  friend bool operator==(const PreparedDocument&, const PreparedDocument&) = default;
};

struct Prepare {
  Hlc hlc = 0;
  Origin origin;  // whose stamp it is: recovery runs under a newer epoch
  VersionVector deps;
  SessionKey session;
  std::vector<PreparedDocument> documents;
  friend bool operator==(const Prepare&, const Prepare&) = default;
};

// 16 bytes that tell documents apart, whatever their _id and wherever it stands in them.
[[nodiscard]] std::string document_digest(const bson::Document& document);

[[nodiscard]] std::string encode_prepare(const Prepare& prepare);

// SessionKey::user of lsid.uid, 32 bytes; 0 for anything else.
[[nodiscard]] uint64_t user_in_digest(std::string_view uid);

// The key of a retryable statement in the retry table (FORMATS.md, section 7). What another user or
// another collection gives the same numbers is another statement.
[[nodiscard]] std::string retry_key(std::string_view ns, std::string_view lsid_id, uint64_t user,
                                    int64_t txn_number, int32_t stmt_id);
// Of one of the prepare's documents.
[[nodiscard]] std::string retry_key(const Prepare& prepare, size_t document);

// What makes one retryable statement one record. The value is what is needed to answer again: a
// BSON document, opaque to the replica.
struct RetryEntry {
  std::string key;  // retry_key
  std::string value;
};

// Errors: kCorrupt with the byte offset. Values and documents returned are valid BSON.
[[nodiscard]] Result<Prepare> decode_prepare(std::string_view bytes);

}  // namespace outrigger
