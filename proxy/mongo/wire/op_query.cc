#include "proxy/mongo/wire/op_query.h"

#include <algorithm>
#include <array>

#include "proxy/mongo/wire/cursor.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger::wire {
namespace {

constexpr std::string_view kCommandCollection = "$cmd";

// What mongod since 5.1 still takes; spelled exactly so.
constexpr std::array<std::string_view, 9> kAllowed = {"hello",     "isMaster",     "ismaster",
                                                      "_isSelf",   "authenticate", "buildInfo",
                                                      "buildinfo", "saslStart",    "saslContinue"};

std::string upgrade_hint() {
  return " The client driver may require an upgrade. For more details see "
         "https://dochub.mongodb.org/core/legacy-opcode-removal";
}

// {$query: {...}, $readPreference: ...}: the command is inside. Old drivers wrote `query`.
void unwrap(OpQuery& query) {
  const auto first = query.wrapper.first();
  if (!first || (first->name != "$query" && first->name != "query")) return;
  if (first->value.type != bson::Type::kDocument) return;
  query.wrapped = true;
  query.command = first->value.as_document();
}

}  // namespace

std::string_view OpQuery::command_name() const {
  const auto first = command.first();
  return first ? first->name : std::string_view();
}

WireResult<OpQuery> parse_op_query(Bytes message) {
  OpQuery query;
  const auto header = read_header(message);
  if (!header || header->op_code != OpCode::kQuery ||
      static_cast<size_t>(header->message_length) != message.size()) {
    return wire_fail(code::kProtocolError, "not one whole OP_QUERY", true);
  }
  query.header = *header;
  Cursor cursor(message.substr(kHeaderBytes));
  query.flags = cursor.int32();
  query.full_collection_name = cursor.cstring();
  query.number_to_skip = cursor.int32();
  query.number_to_return = cursor.int32();
  if (cursor.failed()) return wire_fail(code::kProtocolError, "OP_QUERY is cut off", true);
  query.wrapper = cursor.document();
  if (!cursor.failed() && !cursor.at_end()) (void)cursor.document();  // fields to return: unused
  if (cursor.failed() || !cursor.at_end()) {
    return wire_fail(code::kInvalidBson, "OP_QUERY holds a document of the wrong length");
  }
  if (auto valid = bson::validate(query.wrapper.bytes()); !valid) {
    return wire_fail(code::kInvalidBson, valid.error().message());
  }
  const size_t dot = query.full_collection_name.find('.');
  query.database = query.full_collection_name.substr(0, dot);
  query.is_command = dot != std::string_view::npos &&
                     query.full_collection_name.substr(dot + 1) == kCommandCollection;
  query.command = query.wrapper;
  if (query.is_command) unwrap(query);
  if (query.is_command && query.command.has("$db")) {
    return wire_fail(40621, "$db is not allowed in OP_QUERY requests");
  }
  return query;
}

std::optional<WireError> refuse_op_query(const OpQuery& query) {
  if (!query.is_command) {
    return WireError{code::kLegacyOpQuery, "OP_QUERY is no longer supported." + upgrade_hint(),
                     false};
  }
  if (query.number_to_return != 1 && query.number_to_return != -1) {
    return WireError{16979,
                     "Bad numberToReturn (" + std::to_string(query.number_to_return) +
                         ") for $cmd type ns - can only be 1 or -1",
                     false};
  }
  const std::string_view name = query.command_name();
  if (std::find(kAllowed.begin(), kAllowed.end(), name) != kAllowed.end()) return std::nullopt;
  return WireError{code::kUnsupportedOpQueryCommand,
                   "Unsupported OP_QUERY command: " + std::string(name) + "." + upgrade_hint(),
                   false};
}

std::string build_op_query(int32_t request_id, std::string_view database,
                           const bson::Document& command, int32_t flags) {
  std::string out;
  append_header(out, {0, request_id, 0, OpCode::kQuery});
  append_int32(out, flags);
  out.append(database).append(".").append(kCommandCollection).push_back('\0');
  append_int32(out, 0);
  append_int32(out, -1);
  out.append(command.bytes());
  patch_length(out);
  return out;
}

}  // namespace outrigger::wire
