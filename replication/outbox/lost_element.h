// Where what lost in an element of an array stands by now: its entry names the element
// (record/path.h), the store knows positions only.
//
// What is remembered of the document says which element stands where, as long as it speaks of the
// array that the store shows: the reader of both may have met a write in between. Where the array
// has a key, that tells the element, too. A name that is a position (of an element that came with
// its array) says nothing about an array that was assigned since, and that it was, nobody may
// remember: then the element must look as it did when the value was lost.
//
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "replication/merge/merge.h"
#include "replication/outbox/ledger.h"

namespace outrigger {

struct ElementNow {
  enum class Kind : uint8_t {
    kStands,
    kGone,
    kUnsure,  // what stands there now may be another one
    kMoving,  // what is remembered is of another array than the document's: to be read again
  };
  Kind kind = Kind::kGone;
  size_t position = 0;  // kStands
};

// Of an entry whose path leads into an element. `remembered`: the document's row. `key`: the field
// that tells the elements of the array apart, if each has one.
[[nodiscard]] ElementNow element_now(const LedgerEntry& entry,
                                     const merge::DocumentState& remembered, std::string_view key,
                                     const bson::Document& document);

// Why what lost there is not written back, and the way out; empty: it may be.
[[nodiscard]] std::string why_no_place(const Path& path, ElementNow::Kind kind);

}  // namespace outrigger
