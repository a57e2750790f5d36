// OP_MSG: flag bits, then sections in ANY order (the legacy shell and mongod's own client put
// document sequences first), then an optional CRC-32C. Parsing yields a view of the message and
// checks everything that mongod checks, with mongod's codes, so a refused message is answered
// alike:
//   13     kind 2, the internal security token
//   15     section lengths that do not fit, or documents nested too deeply
//   17     no OP_MSG (closes)
//   22     document malformed
//   223    unknown low flag bit (closes)
//   233    more than two sequences (closes)
//   288    checksum wrong (closes)
//   40430  two bodies
//   40431  sequence named twice
//   40432  unknown section kind
//   40433  field in body and sequence
//   40587  no body
// (All seen on mongod 6.0.5.)
#pragma once

#include <vector>

#include "proxy/mongo/wire/header.h"

namespace outrigger::wire {

inline constexpr uint32_t kChecksumPresent = 1u << 0;
inline constexpr uint32_t kMoreToCome = 1u << 1;
inline constexpr uint32_t kExhaustAllowed = 1u << 16;

// A kind 1 section: documents that belong to the command as the array field `identifier`.
struct Sequence {
  std::string_view identifier;
  Bytes bytes;  // the documents, back to back
  std::vector<bson::Document> documents;
};

// Borrows the message's bytes.
struct OpMsg {
  MsgHeader header;
  uint32_t flags = 0;
  bson::Document body;
  std::vector<Sequence> sequences;  // at most 2, in the order received
  bool sequences_first = false;     // a sequence stood before the body

  [[nodiscard]] bool more_to_come() const { return (flags & kMoreToCome) != 0; }
  [[nodiscard]] bool exhaust_allowed() const { return (flags & kExhaustAllowed) != 0; }
  // First key of the body ("" for an empty one): the command, case as sent.
  [[nodiscard]] std::string_view command_name() const;
  // "$db" of the body, "" when it is missing or no string.
  [[nodiscard]] std::string_view database() const;
  [[nodiscard]] const Sequence* sequence(std::string_view identifier) const;
};

// "database.collection" of a command on a collection; else empty.
[[nodiscard]] std::string ns_of(const OpMsg& parsed);

// `message` is one whole message with opcode OP_MSG (another opcode: error 17).
// Every document is validated once, here.
[[nodiscard]] WireResult<OpMsg> parse_op_msg(Bytes message);

// The same without looking into documents deeper than their lengths: for replies of our own backend
// which are passed on. Walking such documents stays safe, it just may end early.
[[nodiscard]] WireResult<OpMsg> parse_op_msg_trusted(Bytes message);

// Flag bits of a message whose first 20 bytes are at hand (streamed replies): nothing if fewer.
[[nodiscard]] std::optional<uint32_t> peek_op_msg_flags(Bytes message_start);

// A sequence to be written; `documents` back to back, as in Sequence::bytes.
struct SequenceOut {
  std::string_view identifier;
  Bytes documents;
};

// One whole message: body first, then the sequences. With kChecksumPresent in `flags` the checksum
// is computed and appended.
[[nodiscard]] std::string build_op_msg(int32_t request_id, int32_t response_to, uint32_t flags,
                                       const bson::Document& body,
                                       const std::vector<SequenceOut>& sequences = {});

}  // namespace outrigger::wire
