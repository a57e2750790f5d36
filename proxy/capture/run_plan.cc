#include "proxy/capture/run_plan.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "proxy/capture/ids/id_bytes.h"
#include "proxy/capture/unique_keys.h"
#include "replication/series/measurement.h"

namespace outrigger {
namespace {

using bson::Document;

Run new_run(const WriteRequest& request) {
  Run run;
  run.command = &request.command;
  run.uuid = request.collection.uuid;
  run.is_of_series = request.collection.is_series;
  run.rules = request.rules;
  const auto& fields = request.collection.unique_fields;
  if (fields) run.unique_fields = &*fields;
  return run;
}

// The run says what the app's own message says: it can go out as it came.
bool says_the_same(const Run& run) {
  const WriteCommand& command = *run.command;
  if (run.items.size() != command.statements.size() || command.unacknowledged) return false;
  if (run.is_of_series && command.session.txn_number) return false;
  return std::all_of(run.items.begin(), run.items.end(), [](const RunItem& item) {
    return item.filter.empty() && item.document.empty() && !item.upsert_changed &&
           !item.collates_simply && !item.drops_collation && !item.statement->multi;
  });
}

// Gives the inserted document what mongod would give it: an _id, the time.
void complete(RunItem& item, const Birth& birth) {
  const Statement& statement = *item.statement;
  bool changed = false;
  const auto now_s = static_cast<uint32_t>(birth.wall_ms / 1000);
  std::string document = complete_insert(statement.raw, birth.id(), now_s,
                                         static_cast<uint32_t>(statement.index) + 1, &changed);
  if (changed) item.document = std::move(document);
}

// No other _id is equal to it: what is stored has these bytes. (A number may be of another type, a
// string be a symbol.)
bool is_told_by_bytes(const bson::Value& id) {
  switch (id.type) {
    case bson::Type::kObjectId:
    case bson::Type::kBinary:
    case bson::Type::kDate:
    case bson::Type::kBool:
      return true;
    default:
      return false;
  }
}

UpdateShape shape_of(const WriteRequest& request, const Statement& statement) {
  UpdateShape shape = read_update_shape(*statement.update, statement.array_filters.has_value());
  follow_rules(shape, request.rules);
  return shape;
}

// Which images of its document an update needs. `id`: as complete_replacement() takes it.
void note_needs(RunItem& item, const WriteRequest& request, const std::optional<bson::Value>& id) {
  using Form = UpdateShape::Form;
  const Form form = item.shape->form;
  item.needs_before = form == Form::kDiff || item.shape->edits_unknown();
  // Of two names for one _id, an upsert that inserts has mongod choose.
  const auto& given = item.shape->given_id;
  const bool is_named = !item.upsert || (id && (!given || *given == *id));
  if (form == Form::kReplacement && is_named) {
    item.becomes = complete_replacement(item.statement->update->as_document(), id);
  }
  item.needs_after = (item.upsert || form != Form::kLiteral) && item.becomes.empty();
  const auto& fields = request.collection.unique_fields;
  if (fields && needs_keys_before(item, *fields)) item.needs_keys = &*fields;
}

// The statement about the document it names; nothing: it names none.
std::optional<RunItem> direct_item(const WriteRequest& request, const Statement& statement,
                                   const Birth& birth) {
  const WriteCommand& command = request.command;
  RunItem item;
  item.statement = &statement;
  // mongod refuses it; without `multi` it would run.
  if (statement.multi && command.session.is_retryable()) return std::nullopt;
  if (command.kind == CommandKind::kInsert && request.collection.is_series) {
    if (bson::repeats_names(statement.raw, bson::Levels::kTop)) {
      item.document = series::as_kept(statement.raw);
    }
    item.id = series::kin_of(statement.raw);  // by which it is locked
  } else if (command.kind == CommandKind::kInsert) {
    if (!is_complete_insert(statement.raw)) complete(item, birth);
    item.id = bson::OwnedValue(*inserted(item).find("_id"));
  } else {
    const auto id = filter_id(statement.filter, request.compares_simply(statement));
    if (!id) return std::nullopt;
    item.id = bson::OwnedValue(*id);
    // Nothing makes sure that the collection still compares as we were told: this does.
    item.collates_simply =
        request.collection.uuid.empty() && !statement.has_collation && is_collated(*id);
    // An index that a hint names may not hold the document.
    item.narrows_further =
        ++statement.filter.begin() != statement.filter.end() || statement.hint.has_value();
  }
  item.key = bson::canonical_key(item.id.view());
  item.upsert = statement.upsert;
  if (!statement.remove && statement.update) {
    item.shape = shape_of(request, statement);
    const bool is_exact = is_told_by_bytes(item.id.view());
    note_needs(item, request, is_exact ? std::optional(item.id.view()) : std::nullopt);
    // mongod refuses such an update; without `multi` it would run.
    if (replaces_many(statement)) return std::nullopt;
  }
  return item;
}

bool is_told_by_diff(const RunItem& item) {
  return item.shape && item.shape->form == UpdateShape::Form::kDiff;
}

// The answer counts what changed of all upserts of a run together; what these do is told without.
bool tells_by_itself(const RunItem& item) {
  return item.shape && (item.shape->form == UpdateShape::Form::kLiteral ||
                        item.shape->form == UpdateShape::Form::kReplacement);
}

// Statements that must be alone: their answer, or an image of 16 MB, is theirs only. So is what the
// answer to a delete in a transaction counts: a document that its snapshot does not show may be
// there all the same.
bool is_alone(const WriteRequest& request, const RunItem& item) {
  const bool in_transaction = request.transaction != nullptr;
  if (in_transaction && (item.statement->remove || item.upsert)) return true;
  return item.narrows_further || is_told_by_diff(item) || (item.upsert && !tells_by_itself(item));
}

// Of upserts mongod says which of them inserted; what is not there other updates pass over.
bool may_go_with(const Run& run, const RunItem& item) {
  return run.items.empty() || run.items.front().upsert == item.upsert;
}

// Whether the collation of the statement has a say in what its update does.
bool update_is_collated(const WriteCommand& command, const Statement& statement,
                        const RunItem& item) {
  if (command.kind == CommandKind::kFindAndModify && command.body.has("fields")) return true;
  if (!item.shape) return false;
  return statement.array_filters || (item.shape->form != UpdateShape::Form::kLiteral &&
                                     item.shape->form != UpdateShape::Form::kReplacement);
}

// {fields: {"a.$": 1}}: the element that the filter matched.
bool projects_an_element(const WriteCommand& command) {
  const auto fields = command.body.find("fields");
  if (!fields || fields->type != bson::Type::kDocument) return false;
  for (const bson::Element& field : fields->as_document()) {
    if (field.name.ends_with(".$")) return true;
  }
  return false;
}

// The _id that a filter gives to the document it inserts. Of other ways to name one ($and, $in)
// only mongod's answer tells.
std::optional<bson::Value> id_to_insert(const bson::Document& filter) {
  const auto named = filter.find("_id");
  if (named && named->type == bson::Type::kNull) return named;
  return filter_id(filter, true);
}

// Under an _id that is new the statement can only insert.
RunItem inserting_item(const WriteRequest& request, const Statement& statement,
                       const Birth& birth) {
  RunItem item;
  item.statement = &statement;
  item.shape = shape_of(request, statement);
  const std::optional<bson::Value> named = id_to_insert(statement.filter);
  if (item.shape->given_id) {
    item.id = bson::OwnedValue(*item.shape->given_id);
  } else if (named) {
    item.id = bson::OwnedValue(*named);
  } else {
    item.id = bson::OwnedValue(bson::Type::kObjectId, birth.id());
    item.there = false;
  }
  item.key = bson::canonical_key(item.id.view());
  // mongod lets no filter name an _id twice, and inserts the one it names.
  if (!named) item.filter = narrow_filter(statement.filter, item.id.view());
  item.narrows_further = true;
  item.upsert = true;
  item.needs_after = true;
  return item;
}

}  // namespace

Run gather_run(const WriteRequest& request, size_t first, const Birth& birth,
               const IsRemembered& is_remembered) {
  const std::vector<Statement>& statements = request.command.statements;
  Run run = new_run(request);
  // Names of documents in `items`, which stay where they are.
  std::unordered_set<std::string_view> keys;
  const size_t most = std::min(statements.size() - first, kRunStatementsMax);
  size_t bytes = 0;
  for (size_t i = first; i < statements.size(); ++i) {
    const Statement& statement = statements[i];
    if (run.items.size() == kRunStatementsMax || bytes > kRunBytesMax) break;
    if (i > first && is_remembered(statement)) break;
    std::optional<RunItem> item = direct_item(request, statement, birth);
    if (!item || (i > first && is_alone(request, *item)) || keys.count(item->key) > 0) break;
    if (!may_go_with(run, *item)) break;
    bytes += statement.raw.bytes().size();
    run.items.push_back(std::move(*item));
    if (is_alone(request, run.items.back()) || most == 1) break;
    if (i == first) {
      run.items.reserve(most);
      keys.reserve(most);
    }
    keys.insert(run.items.back().key);
  }
  // mongod answers nothing to what says that more is to come.
  run.verbatim = !run.items.empty() && !request.parsed.more_to_come() && says_the_same(run);
  return run;
}

void name_measurement(RunItem& item, int64_t before, bson::Bytes by) {
  const Document is = inserted(item);
  item.id = series::name_of(series::kin_of(is), by);
  item.measurement = series::measurement_document(item.id, before, is);
}

RunItem narrowed_item(const WriteRequest& request, const Statement& statement,
                      bson::OwnedValue id) {
  const WriteCommand& command = request.command;
  RunItem item;
  item.statement = &statement;
  item.id = std::move(id);
  item.key = bson::canonical_key(item.id.view());
  item.upsert_changed = statement.upsert;
  item.was_found = true;
  if (!statement.remove && statement.update) {
    item.shape = shape_of(request, statement);
    note_needs(item, request, item.id.view());
  }
  const std::string lasting = lasting_part(statement.filter, command.let);
  item.narrows_further = !Document(lasting).empty();
  bool by_bytes = is_collated(item.id.view()) && !request.compares_simply(statement);
  if (by_bytes && statement.has_collation && !item.narrows_further &&
      !update_is_collated(command, statement, item)) {
    // Then the index of _id finds it, which it cannot under a collation of the statement's own.
    item.drops_collation = true;
    by_bytes = !request.collection.simple_collation;
  }
  TellApart by = by_bytes ? TellApart::kByExpression : TellApart::kNot;
  if (by_bytes && projects_an_element(command)) {
    if (has_id_patterns(item.id.view())) {
      by = TellApart::kByPattern;
    } else if (!statement.has_collation) {
      // Under the collection's own collation no two _id are equal: only another one born since
      // could be taken for this one.
      by = TellApart::kNot;
    }  // else mongod refuses the $expr, and the app is told so
  }
  item.filter = filter_of_document(item.id.view(), Document(lasting), by);
  return item;
}

Run narrowed_run(const WriteRequest& request, const Statement& statement, bson::OwnedValue id) {
  Run run = new_run(request);
  run.items.push_back(narrowed_item(request, statement, std::move(id)));
  return run;
}

Run gather_found(const WriteRequest& request, const Statement& statement,
                 const std::vector<bson::OwnedValue>& ids, size_t first) {
  Run run = new_run(request);
  size_t bytes = 0;
  for (size_t i = first; i < ids.size(); ++i) {
    RunItem item = narrowed_item(request, statement, ids[i]);
    // A version that did not match must not be told again.
    const bool is_guarded = item.narrows_further && item.shape && item.shape->is_version;
    const bool alone = is_told_by_diff(item) || is_guarded;
    bytes += statement.raw.bytes().size() + item.filter.size();
    if (!run.items.empty() && (alone || bytes > kRunBytesMax)) break;
    run.items.push_back(std::move(item));
    if (alone) break;
  }
  return run;
}

Run inserting_run(const WriteRequest& request, const Statement& statement, const Birth& birth) {
  Run run = new_run(request);
  run.items.push_back(inserting_item(request, statement, birth));
  return run;
}

Run upsert_as_it_is(const WriteRequest& request, const Statement& statement, const Birth& birth) {
  Run run = inserting_run(request, statement, birth);
  run.items.front().filter.clear();
  run.items.front().needs_after = false;
  return run;
}

Run probing_run(const WriteRequest& request, const Statement& statement, const Birth& birth) {
  bson::OwnedValue nothing(bson::Type::kObjectId, birth.id());
  Run run = narrowed_run(request, statement, std::move(nothing));
  RunItem& item = run.items.front();
  item.drops_collation = false;
  item.was_found = false;
  item.filter = narrow_filter(statement.filter, item.id.view());
  run.probe = true;
  return run;
}

Run repeating_run(const WriteRequest& request, const Statement& statement) {
  Run run = new_run(request);
  RunItem item;
  item.statement = &statement;
  run.items.push_back(std::move(item));
  run.probe = true;
  return run;
}

bool may_make_collection(const Run& run) {
  return run.command->kind == CommandKind::kInsert || run.items.front().upsert;
}

bool uses_expressions(const Document& filter) {
  for (const bson::Element& field : filter) {
    if (field.name == "$expr") return true;
    if (field.value.is_container() && uses_expressions(field.value.as_document())) return true;
  }
  return false;
}

bool replaces_many(const Statement& statement) {
  return statement.multi && statement.update &&
         read_update_shape(*statement.update, false).form == UpdateShape::Form::kReplacement;
}

}  // namespace outrigger
