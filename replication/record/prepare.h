// A prepare is the promise kept before a write is sent to the store: which stamp it has, what it
// depends on, how the store would know it again, and what it is about to do to which documents.
// After a crash it is all recovery has, so it must be enough to settle the write either way: by
// finding it in the oplog (session), or by adopting the current values of the paths it names.
//
// It is written before MongoDB has seen the command, so it holds whatever an app may ask, also what
// MongoDB will refuse: an _id that is an array, a path of a thousand names, a namespace that is
// none. Whatever can be written can be read again: a prepare that could not be read would keep the
// sidecar from starting.
//
// A transaction is prepared whole when it is to be committed: its documents then hold all that it
// does to them, in order, so that its record can be made of the prepare alone.
//
// The bytes: FORMATS.md, section 4.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/record/effect.h"

namespace outrigger {

// A session that names nothing.
inline constexpr std::string_view kNoSession{
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0", 33};

struct PreparedPath {
  Operation kind = Operation::kUnknown;  // or kAssign, kUnset, kIncrement, kEdit
  Path path;
  // kAssign: the new one; kIncrement: the delta; kEdit: the array of what is added behind all
  // others; otherwise null.
  bson::OwnedValue value;
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
  // is enough to know it again; the store has the rest (of a transaction, and of a measurement: the
  // document). kUpdate:
  // as it was before, where that is known; the difference tells more than the present values.
  // kRemove: likewise, of one that yields.
  std::string document;
  Removal removal = Removal::kPlain;  // kRemove
  // Whatever it turns out to have done is recorded as the whole document afterwards.
  bool told_whole = false;
  Path version_field =
      {};  // so it is, too, if it has changed what is there; empty: nothing is such
  friend bool operator==(const PreparedDocument&, const PreparedDocument&) = default;
};

struct Prepare {
  Hlc hlc = 0;
  Origin origin;  // whose stamp it is: recovery runs under a newer epoch
  VersionVector deps;
  // By which the store would know the write again: the store's own token (store/session_token.h),
  // nothing but bytes to everybody else.
  std::string session{kNoSession};
  // All of it happened or nothing. A document may be named twice: removed, then made again.
  bool transaction = false;
  std::string app{};  // Record::app
  std::vector<PreparedDocument> documents;
  friend bool operator==(const Prepare&, const Prepare&) = default;
};

// 16 bytes that tell documents apart, whatever their _id and wherever it stands in them.
[[nodiscard]] std::string document_digest(const bson::Document& document);

[[nodiscard]] std::string encode_prepare(const Prepare& prepare);

// What makes one retryable statement one record. The value is what is needed to answer again: a
// BSON document, opaque to the replica.
struct RetryEntry {
  std::string key;  // the store's own (store/session_token.h)
  std::string value;
};

// Errors: kCorrupt with the byte offset. Values and documents returned are valid BSON.
[[nodiscard]] Result<Prepare> decode_prepare(std::string_view bytes);

}  // namespace outrigger
