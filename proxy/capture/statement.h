// A write command taken apart: what each statement asks for, wherever its data stood (body array or
// document sequence). Everything borrows from the message.
//
// Pure. What is malformed is refused here with mongod's codes, before anything is sent: a write
// that cannot be decoded cannot be captured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/mongo/commands.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/mongo/wire/op_msg.h"
#include "replication/store/session_token.h"

namespace outrigger {

// How an app's own session names the command, when it does.
struct AppSession {
  std::optional<bson::Value> lsid;  // as sent
  std::string lsid_id;              // 16 bytes of lsid.id; empty when absent or no UUID
  uint64_t user = 0;                // SessionKey::user; of lsid.uid where the app gives one
  bool names_user = false;          // the app says whose session it is; by default its own
  std::optional<int64_t> txn_number;
  bool in_transaction = false;  // autocommit: false
  bool starts_transaction = false;
  // The number is of the command alone, which may be sent again.
  [[nodiscard]] bool is_retryable() const { return txn_number && !in_transaction; }
};

struct Statement {
  size_t index = 0;                   // in the app's command
  int32_t stmt_id = 0;                // as mongod counts it, for retries
  bson::Document raw;                 // the statement as sent; for an insert the document
  bson::Document filter;              // q; findAndModify: query
  std::optional<bson::Value> update;  // u: document or array
  bool multi = false;                 // update multi, delete limit 0
  bool upsert = false;
  bool remove = false;
  bson::Document collation;  // empty when none was given
  bool has_collation = false;
  std::optional<bson::Value> array_filters;
  std::optional<bson::Value> hint;
  std::optional<bson::Value> sort;
};

struct WriteCommand {
  CommandKind kind = CommandKind::kInsert;
  std::string_view name;  // the first key, as spelt
  std::string_view database;
  std::string_view collection;
  std::string ns;  // "database.collection"
  bson::Document body;
  bool ordered = true;
  std::vector<Statement> statements;  // at least one
  AppSession session;
  std::optional<bson::Value> let;
  int64_t max_time_ms = 0;      // 0: as long as it takes
  bool strict_api = false;      // apiStrict: fields of our own would be refused
  bool expires = false;         // its deletes are of what has expired, and nobody's wish
  bool unacknowledged = false;  // writeConcern w: 0 (then no reply is expected with more_to_come)
};

// `message` must be one of the four captured commands.
[[nodiscard]] wire::WireResult<WriteCommand> parse_write(const wire::OpMsg& message,
                                                         CommandKind kind);

// Under which its result is remembered for a retry; nothing: the app gave it no number.
[[nodiscard]] std::optional<std::string> retry_key(const WriteCommand& command,
                                                   const Statement& statement);

// Of any command.
[[nodiscard]] AppSession read_session(const bson::Document& body);

}  // namespace outrigger
