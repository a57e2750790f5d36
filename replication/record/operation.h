// What a commit does to a document or to one path of it: one vocabulary on the whole way from the
// app's update to what peers merge. A capture reads operations from the request (change.h), a
// prepare promises them (prepare.h), an effect tells them (effect.h).
//
// The values are the codes in the bytes of an effect (FORMATS.md, section 3), so they never change
// and a new one takes the next number. A prepare has codes of its own (prepare.cc).
#pragma once

#include <cstdint>

namespace outrigger {

enum class Operation : uint8_t {
  kUnknown = 0,    // of a prepare alone: what it leaves at the path, only the document tells
  kBirth = 1,      // a new incarnation, named by the record's dot
  kWeakBirth = 2,  // likewise, of what merges (an upsert): its fields stand beside those of others
  kRemove = 3,     // the document: every incarnation the record had observed (see Removal)
  kAssign = 4,     // path := value; an empty path: the whole document is replaced
  kUnset = 5,      // the field at path and all below it
  kIncrement = 6,  // a number is added to what stands at path
  kEdit = 7,       // elements of the array at path are taken away, changed, added
};

// Why a removal gives way to what its author had not seen of the document; the code in its bytes.
enum class Removal : uint8_t {
  kPlain = 0,       // it does not: whatever stands there goes
  kUpdateWins = 1,  // an update stands against it; that it lost is told
  kExpiry = 2,      // likewise, and nobody wanted it but a clock: nothing is told
};

// What a write to a document is to the keys of unique indexes (but that of _id) that it holds. Its
// author says so, who has the document locked and knows the indexes; everybody else believes it
// (merge/holding/holding.h). Of several writes as one the smallest holds. The code in its bytes.
enum class Keys : uint8_t {
  kClaims = 0,  // it may have changed them
  kKeeps = 1,   // it wrote where they stand, and they are as they were
  kPasses = 2,  // it wrote elsewhere
  kNone = 3,    // there are no such indexes
};

[[nodiscard]] constexpr bool is_birth(Operation operation) {
  return operation == Operation::kBirth || operation == Operation::kWeakBirth;
}

}  // namespace outrigger
