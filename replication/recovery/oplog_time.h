// How far the oplog need not be read again: what the outbox notes under kOplogTime. The bytes:
// FORMATS.md, section 9.
#pragma once

#include <string>
#include <string_view>

#include "config/result.h"
#include "replication/store/store.h"

namespace outrigger {

[[nodiscard]] std::string encode_oplog_time(const Timestamp& time);
// Errors: kCorrupt.
[[nodiscard]] Result<Timestamp> decode_oplog_time(std::string_view bytes);

}  // namespace outrigger
