#include "proxy/capture/harmless.h"

#include <algorithm>

#include "proxy/capture/run.h"
#include "proxy/mongo/wire/error_reply.h"
#include "replication/store/store_errors.h"

namespace outrigger {
namespace {

using bson::Document;

// Fields of a command that explain takes no part of.
bool is_generic(std::string_view name) {
  return name.starts_with('$') || name == "lsid" || name == "txnNumber" || name == "stmtId" ||
         name == "stmtIds" || name == "writeConcern" || name == "readConcern" ||
         name == "maxTimeMS" || name == "comment" || name == "autocommit" ||
         name.substr(0, 3) == "api";
}

constexpr std::string_view kDocuments = "documents";

std::string repeated(bson::Bytes bytes, size_t count) {
  std::string out;
  out.reserve(bytes.size() * count);
  for (size_t i = 0; i < count; ++i) out.append(bytes);
  return out;
}

bool names_transaction(std::string_view name) {
  return name == "lsid" || name == "txnNumber" || name == "autocommit" ||
         name == "startTransaction" || name == "readConcern" || name == "stmtId" ||
         name == "stmtIds";
}

}  // namespace

bool knows_guard(CommandKind kind) { return kind != CommandKind::kFindAndModify; }

std::string guarded_command(const wire::OpMsg& parsed, const Uuid& nobodys, int32_t request_id,
                            Told told) {
  const bool in_transaction = read_session(parsed.body).in_transaction;
  const bool is_emptied = parsed.command_name() == "insert";
  bson::Writer out;
  for (const bson::Element& field : parsed.body) {
    if (field.name == kCollectionUuid || field.name == "apiStrict") continue;
    if (is_emptied && field.name == kDocuments && field.value.type == bson::Type::kArray) {
      out.open_array(kDocuments);
      for (const bson::Element& each : field.value.as_document()) {
        each.value.type == bson::Type::kDocument ? out.document(each.name, Document())
                                                 : out.element(each);
      }
      out.close();
      continue;
    }
    if (in_transaction && names_transaction(field.name)) continue;
    if (told == Told::kFirst && field.name == "ordered" && field.value.type == bson::Type::kBool) {
      continue;
    }
    out.element(field);
  }
  out.binary(kCollectionUuid, kUuidSubtype,
             std::string_view(reinterpret_cast<const char*>(nobodys.data()), nobodys.size()));
  std::vector<wire::SequenceOut> sequences;
  std::string empty;
  for (const wire::Sequence& sequence : parsed.sequences) {
    const bool has_documents = is_emptied && sequence.identifier == kDocuments;
    if (has_documents) empty += repeated(Document().bytes(), sequence.documents.size());
    sequences.push_back({sequence.identifier, has_documents ? bson::Bytes(empty) : sequence.bytes});
  }
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()), sequences);
}

std::string command_of_nothing(const WriteCommand& command, std::string_view nothing,
                               int32_t request_id) {
  bson::Writer out;
  out.string(command.name, command.collection);
  if (command.kind == CommandKind::kFindAndModify) {
    out.open_document("query").object_id("_id", nothing).close().boolean("remove", true);
  } else if (command.kind == CommandKind::kDelete) {
    out.open_array("deletes").open_document("0").open_document("q").object_id("_id", nothing);
    out.close().int32("limit", 1).close().close();
  } else {
    out.open_array("updates").open_document("0").open_document("q").object_id("_id", nothing);
    out.close().open_document("u").open_document("$set").int32("n", 0).close().close();
    out.close().close();
  }
  out.string("$db", command.database);
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()));
}

std::string explaining_command(const WriteCommand& command, const Statement& statement,
                               int32_t request_id) {
  bson::Writer out;
  out.open_document("explain");
  for (const bson::Element& field : command.body) {
    const bool is_array = field.name == "updates" || field.name == "deletes";
    if (!is_generic(field.name) && !is_array) out.element(field);
  }
  if (command.kind != CommandKind::kFindAndModify) {
    out.open_array(command.kind == CommandKind::kUpdate ? "updates" : "deletes");
    out.document("0", statement.raw).close();
  }
  out.close().string("verbosity", "queryPlanner").string("$db", command.database);
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()));
}

bool is_of_the_guard(const Document& refusal) {
  const int code = wire::code_of(refusal);
  if (code == wire::code::kCollectionUuidMismatch) return true;
  const auto text = refusal.find("errmsg");
  if (!text || text->type != bson::Type::kString) return false;
  const bool is_named = text->as_string().find(kCollectionUuid) != std::string_view::npos;
  return (code == wire::code::kUnknownField && is_named) ||
         store_refuses_names(code, text->as_string());
}

bool met_the_guard(CommandKind kind, const Document& body) {
  const RunReply said = read_run_reply(kind, body);
  if (!said.ok) return is_of_the_guard(body) || wire::code_of(body) == wire::code::kUnknownField;
  return std::any_of(
      said.errors.begin(), said.errors.end(), [&](const RunReply::WriteError& error) {
        // What a time series says of an empty document.
        const bool has_no_time =
            kind == CommandKind::kInsert && wire::code_of(error.error) == wire::code::kBadValue;
        return is_of_the_guard(error.error) || has_no_time;
      });
}

std::string without_guard(const Document& refusal) {
  bson::Writer out;
  for (const bson::Element& field : refusal) {
    if (field.name != "errmsg" || field.value.type != bson::Type::kString) {
      out.element(field);
      continue;
    }
    std::string text(field.value.as_string());
    const size_t at = text.find(std::string(", ") + std::string(kCollectionUuid) + ": ");
    const size_t end = at == std::string::npos ? at : text.find(')', at);
    if (end != std::string::npos) text.erase(at, end + 1 - at);
    out.string("errmsg", text);
  }
  return out.finish();
}

}  // namespace outrigger
