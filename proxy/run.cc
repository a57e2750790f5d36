#include "proxy/run.h"

#include <algorithm>

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

bool is_replaced(std::string_view field) {
  return field == "lsid" || field == "txnNumber" || field == "stmtId" || field == "stmtIds" ||
         field == "writeConcern" || field == "documents" || field == "updates" ||
         field == "deletes";
}

void write_session(bson::Writer& out, const Run& run, const RunSession& session) {
  const AppSession& app = run.command->session;
  if (!session.own) {
    if (app.lsid) out.value("lsid", *app.lsid);
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

// An unacknowledged write is sent as an acknowledged one: what it did must be known.
void write_concern(bson::Writer& out, const WriteCommand& command) {
  const auto concern = command.body.find("writeConcern");
  if (!concern) return;
  if (command.unacknowledged) {
    out.open_document("writeConcern").int32("w", 1).close();
  } else {
    out.value("writeConcern", *concern);
  }
}

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
    } else if (field.name == "collation" && item.simple_collation) {
      continue;
    } else if (field.name == "sort" && !item.filter.empty()) {
      continue;  // one document is left
    } else {
      out.element(field);
    }
  }
  if (item.simple_collation) out.open_document("collation").string("locale", "simple").close();
  return out.finish();
}

void write_find_and_modify(bson::Writer& out, const RunItem& item, const Element& field) {
  if (field.name == "query" && !item.filter.empty()) {
    out.document("query", Document(item.filter));
  } else if (field.name == "upsert" && item.upsert_changed) {
    out.boolean("upsert", item.upsert);
  } else if (field.name == "collation" && item.simple_collation) {
    return;
  } else if (field.name == "sort" && !item.filter.empty()) {
    return;
  } else {
    out.element(field);
  }
}

PreparedDocument prepare_item(const WriteCommand& command, const RunItem& item) {
  using What = PreparedDocument::What;
  PreparedDocument out;
  out.ns = command.ns;
  out.id = item.id;
  if (command.kind == CommandKind::kInsert) {
    out.what = What::kInsert;
    out.document = item.document.empty() ? std::string(item.statement->raw.bytes()) : item.document;
    return out;
  }
  if (item.statement->remove) {
    out.what = What::kRemove;
    return out;
  }
  out.what = item.upsert ? What::kUpsert : What::kUpdate;
  const UpdateShape& shape = *item.shape;
  if (shape.form == UpdateShape::Form::kReplacement) {
    out.what = item.upsert ? What::kUpsert : What::kReplace;
    out.document = std::string(item.statement->update->bytes);
    out.whole = true;
  }
  out.whole = out.whole || shape.form == UpdateShape::Form::kDiff || item.upsert;
  for (const UpdateShape::Operation& op : shape.operations) {
    PreparedPath path;
    path.kind = op.kind == PathChange::Kind::kSet     ? PreparedPath::Kind::kSet
                : op.kind == PathChange::Kind::kUnset ? PreparedPath::Kind::kUnset
                                                      : PreparedPath::Kind::kIncrement;
    path.path = op.path;
    if (path.kind != PreparedPath::Kind::kUnset) path.value = bson::OwnedValue(op.value);
    out.paths.push_back(std::move(path));
  }
  for (const Path& touched : shape.touched) {
    PreparedPath path;
    path.path = touched;
    out.paths.push_back(std::move(path));
  }
  return out;
}

void read_errors(const Document& body, RunReply& out) {
  const auto errors = body.find("writeErrors");
  if (!errors || errors->type != Type::kArray) return;
  for (const Element& error : errors->as_document()) {
    if (error.value.type != Type::kDocument) continue;
    const auto index = error.value.as_document().find("index");
    out.errors.push_back({static_cast<size_t>(index ? index->to_int64().value_or(0) : 0),
                          error.value.as_document()});
  }
}

void read_upserted(const Document& body, RunReply& out) {
  const auto upserted = body.find("upserted");
  if (!upserted || upserted->type != Type::kArray) return;
  for (const Element& entry : upserted->as_document()) {
    if (entry.value.type != Type::kDocument) continue;
    const auto index = entry.value.as_document().find("index");
    const auto id = entry.value.as_document().find("_id");
    if (!id) continue;
    out.upserted.push_back({static_cast<size_t>(index ? index->to_int64().value_or(0) : 0), *id});
  }
}

void read_last_error_object(const Document& body, RunReply& out) {
  const auto last = body.find("lastErrorObject");
  if (!last || last->type != Type::kDocument) return;
  const auto n = last->as_document().find("n");
  out.n = n ? n->to_int64().value_or(0) : 0;
  const auto upserted = last->as_document().find("upserted");
  if (upserted) {
    out.upserted.push_back({0, *upserted});
  } else {
    out.modified = out.n;  // it does not say; an equal value counts as written
  }
}

DocumentChange change_for(const Run& run, const RunItem& item, DocumentChange::Kind kind) {
  DocumentChange change;
  change.kind = kind;
  change.ns = run.command->ns;
  change.id = item.id;
  return change;
}

PathChange path_change(const UpdateShape::Operation& op, const Images& before,
                       const std::string& key) {
  PathChange change;
  change.kind = op.kind;
  change.path = op.path;
  if (op.kind != PathChange::Kind::kUnset) change.value = bson::OwnedValue(op.value);
  if (op.kind != PathChange::Kind::kIncrement) return change;
  const auto image = before.find(key);
  if (image == before.end()) return change;
  change.base_known = true;
  const auto value = value_at(Document(image->second), op.path);
  if (value) change.base = bson::OwnedValue(*value);
  return change;
}

// A statement mongod had executed before, whose record we do not have: what its paths hold now.
std::vector<PathChange> adopted_paths(const UpdateShape& shape, const Document& after) {
  UpdateShape all = shape;
  for (const UpdateShape::Operation& op : shape.operations) all.touched.push_back(op.path);
  return changes_from_image(all, after);
}

std::optional<DocumentChange> updated(const Run& run, const RunItem& item, bool modified,
                                      const Images& before, const Images& after, bool keep_equal,
                                      bool adopt) {
  const UpdateShape& shape = *item.shape;
  if (!modified && !(shape.asserts && keep_equal) &&
      !(shape.form == UpdateShape::Form::kReplacement && keep_equal)) {
    return std::nullopt;
  }
  DocumentChange change = change_for(run, item, DocumentChange::Kind::kUpdate);
  const auto image = after.find(item.key);
  const bool reads_image = shape.form != UpdateShape::Form::kLiteral || adopt;
  if (reads_image && image == after.end()) return std::nullopt;
  if (shape.form == UpdateShape::Form::kReplacement) {
    change.kind = DocumentChange::Kind::kReplace;
    change.document = image->second;
    return change;
  }
  if (shape.form == UpdateShape::Form::kDiff) {
    const auto old = before.find(item.key);
    if (old == before.end()) return std::nullopt;
    change.changes = changes_from_diff(Document(old->second), Document(image->second));
  } else if (adopt) {
    change.changes = adopted_paths(shape, Document(image->second));
  } else {
    if (shape.form == UpdateShape::Form::kPostImage) {
      change.changes = changes_from_image(shape, Document(image->second));
    }
    for (const UpdateShape::Operation& op : shape.operations) {
      if (!modified && op.kind != PathChange::Kind::kSet) continue;
      change.changes.push_back(path_change(op, before, item.key));
    }
  }
  if (change.changes.empty()) return std::nullopt;
  return change;
}

std::optional<DocumentChange> upserted(const Run& run, const RunItem& item, const Value& id,
                                       const Images& after) {
  DocumentChange change = change_for(run, item, DocumentChange::Kind::kUpsert);
  change.id = bson::OwnedValue(id);
  const auto image = after.find(bson::canonical_key(id));
  if (image == after.end()) return std::nullopt;
  change.document = image->second;
  if (item.shape->form == UpdateShape::Form::kReplacement) {
    change.kind = DocumentChange::Kind::kInsert;
    return change;
  }
  for (const UpdateShape::Operation& op : item.shape->operations) {
    if (op.kind != PathChange::Kind::kIncrement) continue;
    PathChange path = path_change(op, {}, item.key);
    path.base_known = true;
    change.changes.push_back(std::move(path));
  }
  return change;
}

bool failed(const RunReply& reply, size_t item, bool ordered) {
  for (const RunReply::WriteError& error : reply.errors) {
    if (error.item == item || (ordered && item > error.item)) return true;
  }
  return false;
}

const Value* upserted_id(const RunReply& reply, size_t item) {
  for (const RunReply::Upserted& entry : reply.upserted) {
    if (entry.item == item) return &entry.id;
  }
  return nullptr;
}

}  // namespace

std::string build_run_message(const Run& run, const RunSession& session, int32_t request_id) {
  const WriteCommand& command = *run.command;
  const bool find_and_modify = command.kind == CommandKind::kFindAndModify;
  bson::Writer out;
  for (const Element& field : command.body) {
    if (is_replaced(field.name)) continue;
    if (find_and_modify) {
      write_find_and_modify(out, run.items.front(), field);
    } else {
      out.element(field);
    }
  }
  if (find_and_modify && run.items.front().simple_collation) {
    out.open_document("collation").string("locale", "simple").close();
  }
  write_concern(out, command);
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

std::string build_images_message(const WriteCommand& command,
                                 const std::vector<const RunItem*>& items, int32_t request_id) {
  bson::Writer out;
  out.string("find", command.collection);
  out.open_document("filter").open_document("_id").open_array("$in");
  for (size_t i = 0; i < items.size(); ++i) out.value(bson::index_name(i), items[i]->id);
  out.close().close().close();
  out.open_document("collation").string("locale", "simple").close();
  out.int32("batchSize", static_cast<int32_t>(items.size()) + 1);
  out.string("$db", command.database);
  return wire::build_op_msg(request_id, 0, 0, Document(out.finish()));
}

Prepare build_prepare(const Run& run, const RunSession& session) {
  Prepare out;
  out.session.lsid = session.lsid;
  out.session.txn_number = session.txn_number.value_or(-1);
  out.documents.reserve(run.items.size());
  for (size_t i = 0; i < run.items.size(); ++i) {
    const RunItem& item = run.items[i];
    out.documents.push_back(prepare_item(*run.command, item));
    // Under our own number the store counts statements from zero.
    out.session.stmt_ids.push_back(session.own ? static_cast<int32_t>(i) : item.statement->stmt_id);
  }
  return out;
}

RunReply read_run_reply(CommandKind kind, const Document& body) {
  RunReply out;
  out.body = body;
  const auto ok = body.find("ok");
  out.ok = ok && ok->truthy();
  if (const auto error = body.find("writeConcernError"); error && error->type == Type::kDocument) {
    out.concern_error = error->as_document();
  }
  if (!out.ok) return out;
  if (kind == CommandKind::kFindAndModify) {
    read_last_error_object(body, out);
    if (const auto id = body.find("retriedStmtId")) {
      out.retried.push_back(static_cast<int32_t>(id->to_int64().value_or(0)));
    }
    return out;
  }
  if (const auto n = body.find("n")) out.n = n->to_int64().value_or(0);
  if (const auto modified = body.find("nModified")) out.modified = modified->to_int64().value_or(0);
  read_errors(body, out);
  read_upserted(body, out);
  if (const auto ids = body.find("retriedStmtIds"); ids && ids->type == Type::kArray) {
    for (const Element& id : ids->as_document()) {
      out.retried.push_back(static_cast<int32_t>(id.value.to_int64().value_or(0)));
    }
  }
  return out;
}

bool must_look_again(const Run& run, const RunReply& reply) {
  if (!reply.ok || run.command->kind != CommandKind::kUpdate) return false;
  if (!reply.retried.empty()) return true;
  const auto missed = static_cast<int64_t>(run.items.size() - reply.errors.size()) - reply.n;
  return run.items.size() > 1 && missed > 0 && reply.n > 0;
}

std::vector<DocumentChange> changes_of_run(const Run& run, const RunReply& reply,
                                           const Images& before, const Images& after,
                                           bool equal_set_keeps) {
  std::vector<DocumentChange> out;
  if (!reply.ok) return out;
  const bool looked = must_look_again(run, reply);
  for (size_t i = 0; i < run.items.size(); ++i) {
    const RunItem& item = run.items[i];
    if (failed(reply, i, run.command->ordered)) continue;
    if (run.command->kind == CommandKind::kInsert) {
      DocumentChange change = change_for(run, item, DocumentChange::Kind::kInsert);
      change.document =
          item.document.empty() ? std::string(item.statement->raw.bytes()) : item.document;
      out.push_back(std::move(change));
      continue;
    }
    if (reply.n == 0) continue;
    if (item.statement->remove) {
      out.push_back(change_for(run, item, DocumentChange::Kind::kRemove));
      continue;
    }
    std::optional<DocumentChange> change;
    if (const Value* id = upserted_id(reply, i)) {
      change = upserted(run, item, *id, after);
    } else if (!looked || after.count(item.key) > 0) {
      const bool adopt = !reply.retried.empty();
      change =
          updated(run, item, reply.modified > 0 || adopt, before, after, equal_set_keeps, adopt);
    }
    if (change) out.push_back(std::move(*change));
  }
  return out;
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
  for (const Element& field : document) {
    if (field.name == "_id") continue;
    const bool empty_time = field.value.type == Type::kTimestamp &&
                            field.value.bytes == std::string_view("\0\0\0\0\0\0\0\0", 8);
    if (empty_time) {
      out.timestamp(field.name, now_seconds, increment);
      *changed = true;
    } else {
      out.element(field);
    }
  }
  return out.finish();
}

}  // namespace outrigger
