// What the store's answer says a run did.
#include <algorithm>
#include <set>

#include "proxy/capture/run.h"
#include "proxy/capture/unique_keys.h"
#include "proxy/mongo/wire/error_reply.h"
#include "replication/bson/fields.h"
#include "replication/bson/id.h"
#include "replication/series/measurement.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

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

// The document before, as the base of increments; null when no image was taken.
std::optional<bson::PathFinder> finder_of(const Images& before, const std::string& key) {
  const auto image = before.find(key);
  if (image == before.end()) return std::nullopt;
  return bson::PathFinder(Document(image->second));
}

PathChange path_change(const UpdateShape::Operation& op, std::optional<bson::PathFinder>& before) {
  PathChange change;
  change.kind = op.kind;
  change.path = op.path;
  if (op.kind != Operation::kUnset) change.value = bson::OwnedValue(op.value);
  if (op.kind != Operation::kIncrement || !before) return change;
  change.base_known = true;
  const auto value = before->find(op.path);
  if (value) change.base = bson::OwnedValue(*value);
  return change;
}

bool only_assigns(const UpdateShape& shape) {
  return shape.form == UpdateShape::Form::kLiteral &&
         std::none_of(shape.operations.begin(), shape.operations.end(), [](const auto& operation) {
           return operation.kind == Operation::kIncrement;
         });
}

// The document does not hold what the update assigns: it was not run on it.
bool shows_otherwise(const UpdateShape& shape, const Document& after) {
  bson::PathFinder finder(after);
  return std::any_of(shape.operations.begin(), shape.operations.end(), [&](const auto& operation) {
    const auto value = finder.find(operation.path);
    if (operation.kind == Operation::kUnset) return value.has_value();
    return !value || !(*value == operation.value);
  });
}

// A document that repeats names, before or after: no paths can say what became of it.
bool is_opaque(const RunItem& item, const Images& before, const std::string& after) {
  if (item.opaque || bson::repeats_names(Document(after))) return true;
  const auto old = before.find(item.key);
  return old != before.end() && bson::repeats_names(Document(old->second));
}

// A statement mongod had executed before, whose record we do not have: what its paths hold now.
std::vector<PathChange> adopted_paths(const UpdateShape& shape, const Document& after) {
  UpdateShape all = shape;
  for (auto& [path, edit] : all.edits) {
    edit = {.how = {}, .appends = {}, .delta = {}, .has_digits = edit.has_digits};
  }
  for (const UpdateShape::Operation& op : shape.operations) all.touched.push_back(op.path);
  std::vector<PathChange> changes = changes_from_image(all, after);
  for (PathChange& change : changes) change.edit = ArrayEdit::kFound;
  return changes;
}

bool shows_version(const Run& run, const std::string& document) {
  return bson::has_path(Document(document), run.rules.version_field());
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
  if (shape.form == UpdateShape::Form::kReplacement && image == after.end()) {
    if (adopt || item.becomes.empty()) return std::nullopt;
    change.kind = DocumentChange::Kind::kReplace;
    change.document = item.becomes;
    change.is_version = shows_version(run, change.document);
    return change;
  }
  const bool reads_image = shape.form != UpdateShape::Form::kLiteral || adopt || item.opaque;
  if (reads_image && image == after.end()) return std::nullopt;
  // What stood there before the attempt that mongod has run nobody knows any more.
  const bool is_untold = adopt && shape.form == UpdateShape::Form::kDiff;
  const bool is_whole = shape.form == UpdateShape::Form::kReplacement || is_untold;
  if (is_whole || shape.is_version || (reads_image && is_opaque(item, before, image->second))) {
    change.kind = DocumentChange::Kind::kReplace;
    change.document = image->second;
    change.is_version = shape.is_version || (is_whole && shows_version(run, change.document));
    return change;
  }
  if (shape.form == UpdateShape::Form::kDiff) {
    const auto old = before.find(item.key);
    if (old == before.end()) return std::nullopt;
    change.changes = changes_from_diff(Document(old->second), Document(image->second));
    follow_rules(change.changes, run.rules, Document(image->second));
  } else if (adopt) {
    change.changes = adopted_paths(shape, Document(image->second));
  } else {
    if (shape.form == UpdateShape::Form::kPostImage) {
      const auto old = before.find(item.key);
      change.changes = changes_from_image(
          shape, Document(image->second),
          old == before.end() ? std::nullopt : std::optional(Document(old->second)));
    }
    std::optional<bson::PathFinder> base = finder_of(before, item.key);
    for (const UpdateShape::Operation& op : shape.operations) {
      if (!modified && op.kind != Operation::kAssign) continue;
      change.changes.push_back(path_change(op, base));
    }
  }
  if (change.changes.empty()) return std::nullopt;
  const bool is_version =
      std::any_of(change.changes.begin(), change.changes.end(),
                  [&](const PathChange& each) { return run.rules.gives_version(each.path); });
  if (is_version && image != after.end()) {
    change.kind = DocumentChange::Kind::kReplace;
    change.is_version = true;
    change.document = image->second;
    change.changes.clear();
  }
  return change;
}

// `adopt`: mongod made it for an attempt before.
std::optional<DocumentChange> upserted(const Run& run, const RunItem& item, const Value& id,
                                       const Images& after, bool adopt) {
  DocumentChange change = change_for(run, item, DocumentChange::Kind::kUpsert);
  change.id = bson::OwnedValue(id);
  const auto image = after.find(bson::canonical_key(id));
  if (image == after.end() && (adopt || item.becomes.empty())) return std::nullopt;
  change.document = image == after.end() ? item.becomes : image->second;
  // Of two that are made with a version nothing is mixed either.
  const bool is_version = shows_version(run, change.document);
  if (item.shape->form == UpdateShape::Form::kReplacement || is_version) {
    change.kind = DocumentChange::Kind::kInsert;
    return change;
  }
  std::optional<bson::PathFinder> nothing;
  for (const UpdateShape::Operation& op : item.shape->operations) {
    if (op.kind == Operation::kIncrement) change.changes.push_back(path_change(op, nothing));
  }
  bson::PathFinder finder{Document(change.document)};
  for (const auto& [path, edit] : item.shape->edits) {
    const auto value = finder.find(path);
    const bool counts = edit.delta && value && value->is_number();
    const bool adds = edit.how && edit.how != ArrayEdit::kInPlace && !edit.is_given && value &&
                      value->type == Type::kArray;
    if (!counts && !adds) continue;
    PathChange& made = change.changes.emplace_back();
    made.kind = counts ? Operation::kIncrement : Operation::kEdit;
    made.path = path;
    made.value = counts ? bson::OwnedValue(*edit.delta) : bson::OwnedValue(*value);
    made.base_known = true;
    if (edit.how) made.edit = *edit.how;
  }
  return change;
}

// Nothing: no document ever had such an _id, and peers take no record that names one.
std::optional<DocumentChange> removal(const Run& run, const RunItem& item) {
  if (!bson::why_no_id(item.id.view()).empty()) return std::nullopt;
  return change_for(run, item, DocumentChange::Kind::kRemove);
}

// Of a removal that yields the document is looked at before; what was not there is not removed.
std::optional<DocumentChange> removed(const Run& run, const RunItem& item) {
  if (run.removal() == Removal::kPlain) return removal(run, item);
  if (item.was.empty()) return std::nullopt;
  DocumentChange change = change_for(run, item, DocumentChange::Kind::kRemove);
  change.removal = run.removal();
  change.document = item.was;
  return change;
}

// The document as it is now, whatever made it so.
std::optional<DocumentChange> present(const Run& run, const RunItem& item, const Images& after) {
  const auto image = after.find(item.key);
  if (image == after.end()) return removal(run, item);
  DocumentChange change = change_for(run, item, DocumentChange::Kind::kReplace);
  change.document = image->second;
  return change;
}

// Of an update that the store has just run.
Keys keys_of(const Run& run, const RunItem& item, const DocumentChange& change, bool modified,
             const Images& before, const Images& after) {
  if (!modified && run.unique_fields != nullptr && !run.unique_fields->empty()) return Keys::kKeeps;
  const auto image = after.find(item.key);
  std::optional<Document> is;
  if (image != after.end()) is.emplace(image->second);
  const bool is_whole = change.kind == DocumentChange::Kind::kReplace;
  if (is_whole) is.emplace(change.document);
  const Keys keys = keys_after(run, item, before, is);
  // Recorded whole, it gives the keys again.
  return is_whole && keys == Keys::kPasses ? Keys::kKeeps : keys;
}

// What the reply says of each item of the run.
struct ItemReply {
  bool failed = false;
  bool retried = false;
  const Value* upserted = nullptr;
};

std::vector<ItemReply> replies_by_item(const Run& run, const RunReply& reply) {
  std::vector<ItemReply> of(run.items.size());
  size_t stopped_at = run.items.size();
  for (const RunReply::WriteError& error : reply.errors) {
    if (error.item < of.size()) of[error.item].failed = true;
    if (run.stops_at_error()) stopped_at = std::min(stopped_at, error.item);
  }
  for (size_t i = stopped_at; i < of.size(); ++i) of[i].failed = true;
  for (const RunReply::Upserted& entry : reply.upserted) {
    if (entry.item < of.size()) of[entry.item].upserted = &entry.id;
  }
  const std::set<int32_t> retried(reply.retried.begin(), reply.retried.end());
  for (size_t i = 0; i < of.size() && !retried.empty(); ++i) {
    of[i].retried = retried.count(run.items[i].statement->stmt_id) > 0;
  }
  return of;
}

}  // namespace

RunReply read_run_reply(CommandKind kind, const Document& body) {
  RunReply out;
  out.body = body;
  out.ok = wire::is_ok(body);
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

bool needs_unplanned_after_images(const Run& run, const RunReply& reply) {
  if (!reply.ok) return false;
  if (!reply.retried.empty()) return true;
  const bool filters = std::any_of(run.items.begin(), run.items.end(),
                                   [](const RunItem& item) { return item.narrows_further; });
  // A delete of what is not there is a delete: there the _id alone needs no second look.
  const bool tells = run.command->kind == CommandKind::kUpdate ||
                     (run.command->kind == CommandKind::kDelete && filters);
  // Of upserts each that is not refused finds or makes its document.
  if (!tells || run.items.front().upsert) return false;
  // Behind an error nothing was tried.
  const bool is_cut = run.stops_at_error() && !reply.errors.empty();
  const size_t tried = is_cut ? reply.errors.front().item : run.items.size() - reply.errors.size();
  const auto missed = static_cast<int64_t>(tried) - reply.n;
  return run.items.size() > 1 && missed > 0 && reply.n > 0;
}

std::vector<DocumentChange> changes_of_run(const Run& run, const RunReply& reply,
                                           const Images& before, const Images& after,
                                           bool equal_set_keeps) {
  std::vector<DocumentChange> out;
  if (!reply.ok) return out;
  const bool looked = needs_unplanned_after_images(run, reply);
  const std::vector<ItemReply> said = replies_by_item(run, reply);
  out.reserve(run.items.size());
  for (size_t i = 0; i < run.items.size(); ++i) {
    const RunItem& item = run.items[i];
    if (item.recorded || said[i].failed) continue;
    const bool adopt = said[i].retried;
    if (adopt && (item.statement->remove || run.command->kind == CommandKind::kInsert)) {
      if (auto change = present(run, item, after)) out.push_back(std::move(*change));
      continue;
    }
    if (run.command->kind == CommandKind::kInsert) {
      DocumentChange change = change_for(run, item, DocumentChange::Kind::kInsert);
      if (run.is_of_series) change.ns = series::measurements_of(run.command->ns);
      change.document = run.is_of_series ? item.measurement : std::string(inserted(item).bytes());
      out.push_back(std::move(change));
      continue;
    }
    if (reply.n == 0) continue;
    const bool there = after.count(item.key) > 0;
    if (item.statement->remove) {
      auto change = looked && there ? std::nullopt : removed(run, item);
      if (change) out.push_back(std::move(*change));
      continue;
    }
    std::optional<DocumentChange> change;
    if (const Value* id = said[i].upserted) {
      change = upserted(run, item, *id, after, adopt);
    } else if (!looked || there) {
      // Whether this one of several matched, its own filter decided.
      const bool unsure = looked && !adopt && run.items.size() > 1 && item.narrows_further;
      // Of a document that repeats names, one field of a name says nothing of the other.
      const bool told = only_assigns(*item.shape) && !item.opaque;
      if (unsure && told && shows_otherwise(*item.shape, Document(after.at(item.key)))) continue;
      const bool as_it_is = adopt || (unsure && !told);
      change = updated(run, item, reply.modified > 0 || as_it_is, before, after, equal_set_keeps,
                       as_it_is);
      if (change && !as_it_is) {
        change->keys = keys_of(run, item, *change, reply.modified > 0, before, after);
      }
    }
    if (change) out.push_back(std::move(*change));
  }
  return out;
}

}  // namespace outrigger
