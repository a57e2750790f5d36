#include "proxy/capture/run.h"

#include <algorithm>

#include "replication/series/measurement.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

std::string_view sequence_name(CommandKind kind) {
  if (kind == CommandKind::kInsert) return "documents";
  return kind == CommandKind::kUpdate ? "updates" : "deletes";
}

bool is_replaced(const Run& run, std::string_view field) {
  if (field == "maxTimeMS" && run.max_time_ms) return true;
  const bool names_transaction =
      field == "autocommit" || field == "startTransaction" || field == "readConcern";
  if (names_transaction && run.command->session.in_transaction) return true;
  if (field == "lsid" || field == "txnNumber" || field == "stmtId" || field == "stmtIds" ||
      field == "writeConcern") {
    return true;
  }
  if (run.command->kind == CommandKind::kFindAndModify) return false;
  return field == sequence_name(run.command->kind) || (field == "ordered" && run.is_of_many());
}

void write_session(bson::Writer& out, const Run& run, const RunSession& session) {
  const AppSession& app = run.command->session;
  if (!session.transaction.empty()) {
    out.append_all(Document(session.transaction));
    return;
  }
  if (!session.own) {
    if (app.lsid) out.value("lsid", *app.lsid);
    // mongod would pass over one that it has seen, and not say so.
    if (run.is_of_series) return;
    out.int64("txnNumber", *app.txn_number);
    if (run.command->kind == CommandKind::kFindAndModify) {
      out.int32("stmtId", run.items.front().statement->stmt_id);
      return;
    }
    out.open_array("stmtIds");
    for (size_t i = 0; i < run.items.size(); ++i) {
      out.int32(bson::index_name(i), run.items[i].statement->stmt_id);
    }
    out.close();
    return;
  }
  const auto* bytes = reinterpret_cast<const char*>(session.lsid.data());
  out.open_document("lsid").binary("id", 4, std::string_view(bytes, 16)).close();
  if (session.txn_number) out.int64("txnNumber", *session.txn_number);
}

// Does the command itself say that it be answered only once it is journaled?
bool waits_for_journal(const Document& body) {
  const auto concern = body.find("writeConcern");
  if (!concern || concern->type != Type::kDocument) return false;
  const auto j = concern->as_document().find("j");
  const auto fsync = concern->as_document().find("fsync");  // does as much; both are refused
  return (j && j->truthy()) || (fsync && fsync->truthy());
}

// An unacknowledged write is sent as an acknowledged one: what it did must be known. `w` is left to
// the default where the app leaves it.
void write_concern_of(bson::Writer& out, const Run& run) {
  if (run.command->unacknowledged) {
    out.open_document("writeConcern").int32("w", 1).close();
  } else {
    write_concern(out, run.command->body, run.concern);
  }
}

// The hint was for finding the document; that is done, and another index than that of _id would be
// walked for every document again.
bool is_narrowed(const RunItem& item, bool probe) { return !probe && !item.filter.empty(); }

std::string statement_bytes(const RunItem& item, bool probe) {
  const Statement& statement = *item.statement;
  bson::Writer out;
  for (const Element& field : statement.raw) {
    if (field.name == "q" && !item.filter.empty()) {
      out.document("q", Document(item.filter));
    } else if (field.name == "multi" && !probe) {
      if (!statement.multi) out.element(field);
    } else if (field.name == "limit" && !probe) {
      out.int32("limit", 1);
    } else if (field.name == "upsert" && item.upsert_changed) {
      out.boolean("upsert", item.upsert);
    } else if ((field.name == "collation" && item.drops_collation) ||
               (field.name == "hint" && is_narrowed(item, probe))) {
      continue;
    } else {
      out.element(field);
    }
  }
  if (item.collates_simply) out.open_document("collation").string("locale", "simple").close();
  return out.finish();
}

void write_find_and_modify(bson::Writer& out, const RunItem& item, const Element& field) {
  if (field.name == "query" && !item.filter.empty()) {
    out.document("query", Document(item.filter));
  } else if (field.name == "upsert" && item.upsert_changed) {
    out.boolean("upsert", item.upsert);
  } else if (field.name == "collation" && item.drops_collation) {
    return;
  } else if ((field.name == "sort" || field.name == "hint") && !item.filter.empty()) {
    return;
  } else {
    out.element(field);
  }
}

// mongod fills it in when it stands at the top of an inserted document.
bool is_empty_time(const Value& value) {
  return value.type == Type::kTimestamp && value.bytes == std::string_view("\0\0\0\0\0\0\0\0", 8);
}

// Does a document show that such an update made it what it is?
bool shows(const UpdateShape& shape, const Statement& statement) {
  if (shape.form == UpdateShape::Form::kReplacement) {
    for (const Element& field : statement.update->as_document()) {
      if (is_empty_time(field.value)) return false;
    }
    return true;
  }
  const auto& operations = shape.operations;
  return shape.form == UpdateShape::Form::kLiteral && !operations.empty() &&
         std::all_of(operations.begin(), operations.end(),
                     [](const auto& operation) { return operation.kind == Operation::kAssign; });
}

PreparedDocument prepare_item(const Run& run, const RunItem& item) {
  using What = PreparedDocument::What;
  const WriteCommand& command = *run.command;
  PreparedDocument out;
  out.ns = command.ns;
  out.id = item.id;
  if (command.kind == CommandKind::kInsert) {
    out.what = What::kInsert;
    if (run.is_of_series) out.ns = series::measurements_of(command.ns);
    out.document = run.is_of_series ? item.measurement : document_digest(inserted(item));
    return out;
  }
  if (item.statement->remove) {
    // Looked for, and not there: it is an update of nothing.
    if (run.removal() != Removal::kPlain && item.was.empty()) return out;
    out.what = What::kRemove;
    out.removal = run.removal();
    out.document = item.was;
    return out;
  }
  const bool may_insert = item.upsert && !item.there.value_or(false);
  out.what = may_insert ? What::kUpsert : What::kUpdate;
  const UpdateShape& shape = *item.shape;
  if (shape.form == UpdateShape::Form::kReplacement) {
    out.what = may_insert ? What::kUpsert : What::kReplace;
    out.document = std::string(item.statement->update->bytes);
    out.whole = true;
  }
  if (out.what == What::kUpdate) out.document = item.was;
  out.told_whole = shape.is_version;
  out.version_field = run.rules.version_field();
  out.whole = out.whole || shape.form == UpdateShape::Form::kDiff || may_insert || item.opaque;
  for (const UpdateShape::Operation& op : shape.operations) {
    PreparedPath path{op.kind, op.path, {}};
    if (path.kind != Operation::kUnset) path.value = bson::OwnedValue(op.value);
    out.paths.push_back(std::move(path));
  }
  for (const Path& touched : shape.touched) {
    PreparedPath path;
    path.path = touched;
    const auto edit = shape.edits.find(touched);
    if (edit != shape.edits.end() && edit->second.delta) {
      path.kind = Operation::kIncrement;
      path.value = bson::OwnedValue(*edit->second.delta);
    }
    if (edit != shape.edits.end() && edit->second.appends) {
      path.kind = Operation::kEdit;
      bson::Writer pushed;
      size_t at = 0;
      for (const Value& each : *edit->second.appends) pushed.value(bson::index_name(at++), each);
      path.value = {Type::kArray, pushed.finish()};
    }
    out.paths.push_back(std::move(path));
  }
  return out;
}

}  // namespace

Document inserted(const RunItem& item) {
  return item.document.empty() ? item.statement->raw : Document(item.document);
}

std::optional<RunSession> session_of_app(const WriteCommand& command) {
  const AppSession& app = command.session;
  RunSession session;
  if (!app.txn_number || app.lsid_id.size() != session.lsid.size()) return std::nullopt;
  std::copy_n(app.lsid_id.begin(), session.lsid.size(), session.lsid.begin());
  session.txn_number = app.txn_number;
  session.own = false;
  return session;
}

RunConcern concern_of(const WriteCommand& command, FoundAgain found) {
  if (found == FoundAgain::kNever || command.unacknowledged) return RunConcern::kAsAsked;
  return concern_of(command.body, found);
}

void write_concern(bson::Writer& out, const Document& body, RunConcern concern_asked) {
  const auto concern = body.find("writeConcern");
  if (concern_asked == RunConcern::kAsAsked || waits_for_journal(body)) {
    if (concern) out.value("writeConcern", *concern);
    return;
  }
  out.open_document("writeConcern");
  if (concern && concern->type == Type::kDocument) {
    for (const Element& field : concern->as_document()) {
      if (field.name != "j") out.element(field);
    }
  }
  out.boolean("j", true).close();
}

RunConcern concern_of(const Document& body, FoundAgain found) {
  const auto concern = body.find("writeConcern");
  if (found == FoundAgain::kByMajority) {
    if (!concern || concern->type != Type::kDocument) return RunConcern::kAsAsked;
    const auto w = concern->as_document().find("w");
    const bool by_majority = w && w->type == Type::kString && w->as_string() == "majority";
    return by_majority ? RunConcern::kJournaled : RunConcern::kAsAsked;
  }
  if (waits_for_journal(body)) return RunConcern::kJournaled;
  if (!concern || concern->type != Type::kDocument) return RunConcern::kJournaled;
  const auto w = concern->as_document().find("w");
  return w && w->is_number() ? RunConcern::kAsAsked : RunConcern::kJournaled;
}

bool goes_as_it_came(const Run& run) {
  if (!run.verbatim || run.max_time_ms || run.command->unacknowledged) return false;
  return run.concern == RunConcern::kAsAsked || waits_for_journal(run.command->body);
}

std::string build_run_message(const Run& run, const RunSession& session, int32_t request_id) {
  const WriteCommand& command = *run.command;
  const bool find_and_modify = command.kind == CommandKind::kFindAndModify;
  bson::Writer out;
  for (const Element& field : command.body) {
    if (is_replaced(run, field.name)) continue;
    if (find_and_modify) {
      write_find_and_modify(out, run.items.front(), field);
    } else {
      out.element(field);
    }
  }
  if (find_and_modify && !run.items.front().filter.empty() && !command.body.has("query")) {
    out.document("query", Document(run.items.front().filter));
  }
  if (find_and_modify && run.items.front().collates_simply) {
    out.open_document("collation").string("locale", "simple").close();
  }
  write_concern_of(out, run);
  if (!run.uuid.empty()) out.binary(kCollectionUuid, kUuidSubtype, run.uuid);
  if (run.max_time_ms) out.int64("maxTimeMS", *run.max_time_ms);
  write_session(out, run, session);
  const std::string body = out.finish();
  if (find_and_modify) return wire::build_op_msg(request_id, 0, 0, Document(body));
  std::string documents;
  for (const RunItem& item : run.items) {
    if (command.kind != CommandKind::kInsert) {
      documents += statement_bytes(item, run.probe);
    } else if (item.document.empty()) {
      documents.append(item.statement->raw.bytes());
    } else {
      documents += item.document;
    }
  }
  return wire::build_op_msg(request_id, 0, 0, Document(body),
                            {{sequence_name(command.kind), documents}});
}

std::optional<Guarded> guard_message(std::string_view message, const wire::OpMsg& parsed,
                                     std::string_view uuid) {
  const size_t body_at = wire::kHeaderBytes + 4 + 1;  // header, flags, kind of section
  const std::string_view body = parsed.body.bytes();
  const bool is_plain = (parsed.flags & wire::kChecksumPresent) == 0 &&
                        message.size() >= body_at + body.size() &&
                        message.substr(body_at, body.size()).data() == body.data();
  if (!is_plain || parsed.body.has(kCollectionUuid)) return std::nullopt;
  bson::Writer guarded;
  guarded.append_all(parsed.body).binary(kCollectionUuid, kUuidSubtype, uuid);
  const std::string new_body = guarded.finish();
  Guarded out;
  out.rest = message.substr(body_at + body.size());
  out.start.reserve(body_at + new_body.size());
  const size_t length = body_at + new_body.size() + out.rest.size();
  wire::append_header(
      out.start, {static_cast<int32_t>(length), parsed.header.request_id, 0, wire::OpCode::kMsg});
  out.start.append(message.substr(wire::kHeaderBytes, 4 + 1));
  out.start.append(new_body);
  return out;
}

bool shows_what_it_did(const Run& run) {
  if (run.is_of_series) return true;
  const CommandKind kind = run.command->kind;
  if (kind != CommandKind::kUpdate && kind != CommandKind::kFindAndModify) return false;
  // An error of these may have come before the write or after it.
  const bool is_modify = kind == CommandKind::kFindAndModify;
  if (is_modify && (run.command->body.has("fields") || run.command->body.has("hint"))) return false;
  return std::all_of(run.items.begin(), run.items.end(), [](const RunItem& item) {
    if (item.upsert || item.opaque || item.set_aside || (item.narrows_further && !item.was_found))
      return false;
    return item.statement->remove || (item.shape && shows(*item.shape, *item.statement));
  });
}

Prepare build_prepare(const Run& run, const RunSession& session) {
  Prepare out;
  SessionKey key;
  key.lsid = session.lsid;
  if (!session.own) key.user = run.command->session.user;
  key.txn_number = session.txn_number.value_or(-1);
  key.stmt_ids.reserve(run.items.size());
  out.documents.reserve(run.items.size());
  for (size_t i = 0; i < run.items.size(); ++i) {
    const RunItem& item = run.items[i];
    out.documents.push_back(prepare_item(run, item));
    // Under our own number the store counts statements from zero.
    key.stmt_ids.push_back(session.own ? static_cast<int32_t>(i) : item.statement->stmt_id);
  }
  out.session = session_token(key);
  return out;
}

bool is_complete_insert(const Document& document) {
  bool is_first = true;
  for (const Element& field : document) {
    if (is_first != (field.name == "_id")) return false;
    is_first = false;
    if (is_empty_time(field.value)) return false;
  }
  return !is_first;
}

std::string complete_insert(const Document& document, bson::Bytes fresh_id, uint32_t now_seconds,
                            uint32_t increment, bool* changed) {
  const auto id = document.find("_id");
  bson::Writer out;
  if (id) {
    out.value("_id", *id);
  } else {
    out.object_id("_id", fresh_id);
  }
  const auto first = document.first();
  *changed = !id || first->name != "_id";
  size_t ids = 0;
  for (const Element& field : document) {
    if (field.name == "_id" && ++ids > 1) {  // mongod refuses it
      *changed = false;
      return std::string(document.bytes());
    }
    if (field.name == "_id") continue;
    if (is_empty_time(field.value)) {
      out.timestamp(field.name, now_seconds, increment);
      *changed = true;
    } else {
      out.element(field);
    }
  }
  return out.finish();
}

std::string complete_replacement(const Document& replacement, const std::optional<Value>& id) {
  const auto own = replacement.find("_id");
  if (!own && !id) return {};
  bson::Writer out;
  out.value("_id", own ? *own : *id);
  size_t ids = 0;
  for (const Element& field : replacement) {
    if (field.name == "_id") {
      if (++ids > 1) return {};
    } else if (is_empty_time(field.value)) {
      return {};
    } else {
      out.element(field);
    }
  }
  return out.finish();
}

}  // namespace outrigger
