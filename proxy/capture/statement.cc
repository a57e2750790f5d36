#include "proxy/capture/statement.h"

#include <fmt/format.h>

#include "config/limits.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Type;
using bson::Value;
using wire::wire_fail;
using wire::WireResult;

using limits::kStatementsMax;
constexpr int kMissingField = 40414;

std::string_view array_field(CommandKind kind) {
  if (kind == CommandKind::kInsert) return "documents";
  return kind == CommandKind::kUpdate ? "updates" : "deletes";
}

tl::unexpected<wire::WireError> missing(std::string_view command, std::string_view field) {
  return wire_fail(kMissingField, fmt::format("BSON field '{}.{}' is missing but a required field",
                                              command, field));
}

tl::unexpected<wire::WireError> wrong_type(std::string_view command, std::string_view field,
                                           std::string_view expected) {
  return wire_fail(wire::code::kTypeMismatch,
                   fmt::format("BSON field '{}.{}' is the wrong type, expected type '{}'", command,
                               field, expected));
}

bool truthy_field(const Document& document, std::string_view name) {
  const auto value = document.find(name);
  return value && value->truthy();
}

// Reads what update and delete statements share.
void read_common(const Document& raw, Statement& out) {
  for (const bson::Element& field : raw) {
    if (field.name == "collation" && field.value.type == Type::kDocument) {
      out.collation = field.value.as_document();
      out.has_collation = true;
    } else if (field.name == "arrayFilters") {
      out.array_filters = field.value;
    } else if (field.name == "hint") {
      out.hint = field.value;
    } else if (field.name == "sort") {
      out.sort = field.value;
    }
  }
}

WireResult<Statement> read_update(const Document& raw) {
  Statement out;
  out.raw = raw;
  const auto q = raw.find("q");
  if (!q) return missing("update.updates", "q");
  if (q->type != Type::kDocument) return wrong_type("update.updates", "q", "object");
  out.filter = q->as_document();
  out.update = raw.find("u");
  if (!out.update) return missing("update.updates", "u");
  if (!out.update->is_container()) {
    return wire_fail(wire::code::kFailedToParse,
                     "Update argument must be either an object or an array");
  }
  for (const char* name : {"multi", "upsert"}) {
    const auto flag = raw.find(name);
    if (flag && flag->type != Type::kBool) return wrong_type("update.updates", name, "bool");
  }
  out.multi = truthy_field(raw, "multi");
  out.upsert = truthy_field(raw, "upsert");
  read_common(raw, out);
  if (out.hint && out.hint->type != Type::kString && out.hint->type != Type::kDocument) {
    return wire_fail(wire::code::kFailedToParse, "Hint must be a string or an object");
  }
  return out;
}

WireResult<Statement> read_delete(const Document& raw) {
  Statement out;
  out.raw = raw;
  out.remove = true;
  const auto q = raw.find("q");
  if (!q) return missing("delete.deletes", "q");
  if (q->type != Type::kDocument) return wrong_type("delete.deletes", "q", "object");
  out.filter = q->as_document();
  const auto limit = raw.find("limit");
  if (!limit) return missing("delete.deletes", "limit");
  // As mongod reads it: what is no number is 0, and that means all.
  const auto count = limit->is_number() ? limit->to_int64() : 0;
  if (!count || (*count != 0 && *count != 1)) {
    return wire_fail(
        wire::code::kFailedToParse,
        "The limit field in delete objects must be 0 or 1. Got " + bson::to_json(*limit, 100));
  }
  out.multi = *count == 0;
  read_common(raw, out);
  return out;
}

WireResult<Statement> read_find_and_modify(const Document& body) {
  Statement out;
  out.raw = body;
  if (const auto query = body.find("query")) {
    if (query->type != Type::kDocument) return wrong_type("findAndModify", "query", "object");
    out.filter = query->as_document();
  }
  if (const auto sort = body.find("sort"); sort && sort->type != Type::kDocument) {
    return wrong_type("findAndModify", "sort", "object");
  }
  out.remove = truthy_field(body, "remove");
  out.upsert = truthy_field(body, "upsert");
  out.update = body.find("update");
  read_common(body, out);
  if (out.remove && out.update) {
    return wire_fail(wire::code::kFailedToParse, "Cannot specify both an update and remove=true");
  }
  if (!out.remove && !out.update) {
    return wire_fail(wire::code::kFailedToParse,
                     "Either an update or remove=true must be specified");
  }
  if (out.remove && out.upsert) {
    return wire_fail(wire::code::kFailedToParse,
                     "Cannot specify both upsert=true and remove=true ");
  }
  if (out.remove && truthy_field(body, "new")) {
    return wire_fail(wire::code::kFailedToParse,
                     "Cannot specify both new=true and remove=true; 'remove' always returns the "
                     "deleted document");
  }
  if (out.update && !out.update->is_container()) {
    return wire_fail(wire::code::kFailedToParse,
                     "Update argument must be either an object or an array");
  }
  return out;
}

WireResult<Statement> read_statement(CommandKind kind, const Document& raw) {
  if (kind == CommandKind::kUpdate) return read_update(raw);
  if (kind == CommandKind::kDelete) return read_delete(raw);
  Statement insert;
  insert.raw = raw;
  return insert;
}

// stmtId of the first statement, or stmtIds for each: what an app or another proxy may send.
void number_statements(const Document& body, std::vector<Statement>& statements) {
  const auto first = body.find("stmtId");
  const auto each = body.find("stmtIds");
  const auto base = first ? first->to_int64().value_or(0) : 0;
  for (size_t i = 0; i < statements.size(); ++i) {
    statements[i].index = i;
    statements[i].stmt_id = static_cast<int32_t>(base + static_cast<int64_t>(i));
  }
  if (!each || each->type != Type::kArray) return;
  size_t i = 0;
  for (const bson::Element& id : each->as_document()) {
    if (i == statements.size()) return;
    statements[i++].stmt_id = static_cast<int32_t>(id.value.to_int64().value_or(0));
  }
}

WireResult<std::vector<Statement>> read_statements(const wire::OpMsg& message, CommandKind kind,
                                                   std::string_view name) {
  std::vector<Statement> out;
  if (kind == CommandKind::kFindAndModify) {
    auto statement = read_find_and_modify(message.body);
    if (!statement) return tl::unexpected(statement.error());
    out.push_back(std::move(*statement));
    return out;
  }
  const std::string_view field = array_field(kind);
  std::vector<Document> in_body;
  const std::vector<Document>* documents = &in_body;
  if (const wire::Sequence* sequence = message.sequence(field)) {
    documents = &sequence->documents;
  } else {
    const auto array = message.body.find(field);
    if (!array) return missing(name, field);
    if (array->type != Type::kArray) return wrong_type(name, field, "array");
    for (const bson::Element& item : array->as_document()) {
      if (item.value.type != Type::kDocument) {
        return wrong_type(name, fmt::format("{}.{}", field, item.name), "object");
      }
      in_body.push_back(item.value.as_document());
    }
  }
  if (documents->empty() || documents->size() > kStatementsMax) {
    return wire_fail(wire::code::kInvalidLength,
                     fmt::format("Write batch sizes must be between 1 and {}. Got {} operations.",
                                 kStatementsMax, documents->size()));
  }
  out.reserve(documents->size());
  for (const Document& raw : *documents) {
    auto statement = read_statement(kind, raw);
    if (!statement) return tl::unexpected(statement.error());
    out.push_back(std::move(*statement));
  }
  return out;
}

}  // namespace

AppSession read_session(const Document& body) {
  AppSession out;
  for (const bson::Element& field : body) {
    if (field.name == "lsid" && field.value.type == Type::kDocument) {
      out.lsid = field.value;
      const auto id = field.value.as_document().find("id");
      // A binary value: int32 length, subtype, data.
      if (id && id->type == Type::kBinary && id->bytes.size() == 4 + 1 + 16) {
        out.lsid_id = std::string(id->bytes.substr(5));
      }
      const auto uid = field.value.as_document().find("uid");
      if (uid && uid->type == Type::kBinary && uid->bytes.size() == 4 + 1 + 32) {
        out.user = user_in_digest(uid->bytes.substr(5));
        out.names_user = true;
      }
    } else if (field.name == "txnNumber") {
      out.txn_number = field.value.to_int64();
    } else if (field.name == "autocommit") {
      out.in_transaction = !field.value.truthy();
    } else if (field.name == "startTransaction") {
      out.starts_transaction = field.value.truthy();
    }
  }
  return out;
}

namespace {

// Those we could not carry over into a command of our own.
WireResult<void> check_session(const Document& body, const AppSession& session) {
  if (session.lsid.has_value() != body.has("lsid") || (session.lsid && session.lsid_id.empty())) {
    return wrong_type("OperationSessionInfo", "lsid", "object");
  }
  const auto number = body.find("txnNumber");
  if (!number) return {};
  if (number->type != Type::kInt64) return wrong_type("OperationSessionInfo", "txnNumber", "long");
  if (!session.lsid) {
    return wire_fail(wire::code::kInvalidOptions,
                     "Transaction number requires a session ID to also be specified");
  }
  return {};
}

WireResult<void> check_statement_ids(const Document& body, size_t statements) {
  const auto each = body.find("stmtIds");
  if (!each) return {};
  size_t ids = 0;
  if (each->type == Type::kArray) {
    for (const bson::Element& id : each->as_document()) ids += id.value.is_number() ? 1 : 0;
  }
  if (ids == statements && !body.has("stmtId")) return {};
  return wire_fail(wire::code::kInvalidLength,
                   "Number of statement ids must match the number of batch entries");
}

bool is_collection_name(std::string_view name) {
  return !name.empty() && name.front() != '.' && name.find('\0') == std::string_view::npos;
}

}  // namespace

WireResult<WriteCommand> parse_write(const wire::OpMsg& message, CommandKind kind) {
  WriteCommand out;
  const auto command = message.body.first();
  if (!command || command->value.type != Type::kString) {
    return wire_fail(wire::code::kInvalidNamespace,
                     "collection name has invalid type: expected a string");
  }
  out.kind = kind;
  out.name = command->name;
  out.database = message.database();
  out.collection = command->value.as_string();
  if (out.database.empty() && !message.body.has("$db")) return missing(out.name, "$db");
  if (out.database.empty() || !is_collection_name(out.collection)) {
    return wire_fail(
        wire::code::kInvalidNamespace,
        fmt::format("Invalid namespace specified '{}.{}'", out.database, out.collection));
  }
  out.ns.append(out.database).append(".").append(out.collection);
  out.body = message.body;
  if (const auto ordered = message.body.find("ordered")) out.ordered = ordered->truthy();
  if (kind == CommandKind::kFindAndModify) out.ordered = true;
  out.let = message.body.find("let");
  if (const auto strict = message.body.find("apiStrict")) out.strict_api = strict->truthy();
  if (const auto limit = message.body.find("maxTimeMS"); limit && limit->is_number()) {
    const int64_t ms = limit->to_int64().value_or(0);
    if (ms > 0 && ms <= INT32_MAX) out.max_time_ms = ms;  // mongod refuses the rest
  }
  out.session = read_session(message.body);
  if (auto session = check_session(message.body, out.session); !session) {
    return tl::unexpected(session.error());
  }
  if (const auto concern = message.body.find("writeConcern")) {
    if (concern->type != Type::kDocument) return wrong_type(out.name, "writeConcern", "object");
    const auto w = concern->as_document().find("w");
    const auto j = concern->as_document().find("j");
    out.unacknowledged = w && w->is_number() && w->to_int64() == 0 && !(j && j->truthy());
  }
  auto statements = read_statements(message, kind, out.name);
  if (!statements) return tl::unexpected(statements.error());
  out.statements = std::move(*statements);
  if (auto ids = check_statement_ids(message.body, out.statements.size()); !ids) {
    return tl::unexpected(ids.error());
  }
  number_statements(message.body, out.statements);
  return out;
}

std::optional<std::string> retry_key(const WriteCommand& command, const Statement& statement) {
  const AppSession& app = command.session;
  if (!app.is_retryable() || app.lsid_id.empty()) return std::nullopt;
  return retry_key(command.ns, app.lsid_id, app.user, *app.txn_number, statement.stmt_id);
}

}  // namespace outrigger
