// OP_QUERY lives on for the first handshake message: drivers send the legacy hello with it, before
// they know what the server speaks. Since 5.1 mongod takes a handful of commands this way and
// answers everything else with 352; we do the same towards every backend, since 4.4 and 5.0 would
// execute insert/update/delete that arrive here, past the capture.
#pragma once

#include "proxy/mongo/wire/header.h"

namespace outrigger::wire {

// Borrows the message's bytes.
struct OpQuery {
  MsgHeader header;
  int32_t flags = 0;
  std::string_view full_collection_name;  // "admin.$cmd"
  std::string_view database;              // in front of the first dot
  bool is_command = false;                // the collection is "$cmd"
  int32_t number_to_skip = 0;
  int32_t number_to_return = 0;
  bson::Document command;  // unwrapped from {$query: ..} or {query: ..}
  bson::Document wrapper;  // as sent; holds $readPreference when wrapped
  bool wrapped = false;

  [[nodiscard]] std::string_view command_name() const;
};

// Errors: 17 wrong lengths or opcode (closes), 22 malformed document, 40621 `$db` in the command.
[[nodiscard]] WireResult<OpQuery> parse_op_query(Bytes message);

// Nothing, or the error and text of mongod 6.0: 352 for a command other than hello isMaster
// ismaster _isSelf authenticate buildInfo buildinfo saslStart saslContinue, 5739101 for what is no
// command (its reply is an OP_REPLY with kReplyQueryFailure), 16979 for numberToReturn not 1 or -1.
[[nodiscard]] std::optional<WireError> refuse_op_query(const OpQuery& query);

[[nodiscard]] std::string build_op_query(int32_t request_id, std::string_view database,
                                         const bson::Document& command, int32_t flags = 0);

}  // namespace outrigger::wire
