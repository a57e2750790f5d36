#include "proxy/mongo/wire/header.h"

#include "proxy/mongo/wire/cursor.h"

namespace outrigger::wire {

std::optional<MsgHeader> read_header(Bytes bytes) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  Cursor cursor(bytes);
  MsgHeader header;
  header.message_length = cursor.int32();
  header.request_id = cursor.int32();
  header.response_to = cursor.int32();
  header.op_code = static_cast<OpCode>(cursor.int32());
  return header;
}

void append_header(std::string& out, const MsgHeader& header) {
  append_int32(out, header.message_length);
  append_int32(out, header.request_id);
  append_int32(out, header.response_to);
  append_int32(out, static_cast<int32_t>(header.op_code));
}

namespace {
void patch(std::string& message, size_t offset, int32_t v) {
  OUTRIGGER_ASSERT(message.size() >= kHeaderBytes);
  std::memcpy(message.data() + offset, &v, sizeof v);
}
}  // namespace

void patch_length(std::string& out) { patch(out, 0, static_cast<int32_t>(out.size())); }
void patch_request_id(std::string& message, int32_t request_id) { patch(message, 4, request_id); }
void patch_response_to(std::string& message, int32_t response_to) {
  patch(message, 8, response_to);
}

}  // namespace outrigger::wire
