#include "replication/recovery/oplog_time.h"

#include "replication/record/bytes.h"

namespace outrigger {

std::string encode_oplog_time(const Timestamp& time) {
  ByteWriter out;
  out.u32_be(time.seconds);
  out.u32_be(time.increment);
  return out.take();
}

Result<Timestamp> decode_oplog_time(std::string_view bytes) {
  ByteReader in(bytes, "oplog time");
  Timestamp time;
  time.seconds = in.u32_be();
  time.increment = in.u32_be();
  in.end();
  if (!in.ok()) return in.error();
  return time;
}

}  // namespace outrigger
