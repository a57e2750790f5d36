#include "proxy/mongo/wire/op_reply.h"

#include "proxy/mongo/wire/cursor.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger::wire {

WireResult<OpReply> parse_op_reply(Bytes message) {
  OpReply reply;
  const auto header = read_header(message);
  if (!header || header->op_code != OpCode::kReply ||
      static_cast<size_t>(header->message_length) != message.size()) {
    return wire_fail(code::kProtocolError, "not one whole OP_REPLY", true);
  }
  reply.header = *header;
  Cursor cursor(message.substr(kHeaderBytes));
  reply.flags = cursor.int32();
  reply.cursor_id = cursor.int64();
  reply.starting_from = cursor.int32();
  const int32_t count = cursor.int32();
  if (cursor.failed()) return wire_fail(code::kProtocolError, "OP_REPLY is cut off", true);
  while (!cursor.at_end()) {
    const bson::Document document = cursor.document();
    if (cursor.failed()) {
      return wire_fail(code::kInvalidBson, "OP_REPLY holds a document of the wrong length", true);
    }
    if (auto valid = bson::validate(document.bytes()); !valid) {
      return wire_fail(code::kInvalidBson, valid.error().message(), true);
    }
    reply.documents.push_back(document);
  }
  if (count < 0 || reply.documents.size() != static_cast<size_t>(count)) {
    return wire_fail(code::kProtocolError,
                     "OP_REPLY announces " + std::to_string(count) + " documents and holds " +
                         std::to_string(reply.documents.size()),
                     true);
  }
  return reply;
}

std::string build_op_reply(int32_t request_id, int32_t response_to, const bson::Document& body,
                           int32_t flags) {
  std::string out;
  append_header(out, {0, request_id, response_to, OpCode::kReply});
  append_int32(out, flags);
  append_int32(out, 0);  // cursorID, two halves
  append_int32(out, 0);
  append_int32(out, 0);  // startingFrom
  append_int32(out, 1);  // numberReturned
  out.append(body.bytes());
  patch_length(out);
  return out;
}

}  // namespace outrigger::wire
