// OP_REPLY answers OP_QUERY: flags, cursor id, position, count, documents. A command's reply has
// exactly one document and the flag AwaitCapable.
#pragma once

#include <vector>

#include "proxy/mongo/wire/header.h"

namespace outrigger::wire {

inline constexpr int32_t kReplyQueryFailure = 2;
inline constexpr int32_t kReplyAwaitCapable = 8;

// Borrows the message's bytes.
struct OpReply {
  MsgHeader header;
  int32_t flags = 0;
  int64_t cursor_id = 0;
  int32_t starting_from = 0;
  std::vector<bson::Document> documents;  // as many as numberReturned said
};

// Errors: 17 wrong lengths or opcode, 22 malformed document.
[[nodiscard]] WireResult<OpReply> parse_op_reply(Bytes message);

// responseFlags 8, cursorID 0, startingFrom 0, numberReturned 1: what mongod sends for a command.
[[nodiscard]] std::string build_op_reply(int32_t request_id, int32_t response_to,
                                         const bson::Document& body,
                                         int32_t flags = kReplyAwaitCapable);

}  // namespace outrigger::wire
