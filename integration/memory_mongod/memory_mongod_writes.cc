#include "integration/memory_mongod/memory_mongod_writes.h"

#include "integration/memory_mongod/filter.h"
#include "integration/memory_mongod/update.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger::world {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

const std::string kCollectionUuid(16, 'u');  // as MemoryStore says of every collection

std::string sequence_of(const std::string& command) {
  return command == "insert" ? "documents" : command == "update" ? "updates" : "deletes";
}

bool truthy(const Document& document, std::string_view name) {
  const auto value = document.find(name);
  return value && value->truthy();
}

MongodError unknown_field(std::string_view name) {
  constexpr int32_t kUnknownField = 40415;
  return {kUnknownField, "BSON field '" + std::string(name) + "' is an unknown field."};
}

}  // namespace

const std::string kNobodysDigest(
    "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24"
    "\x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55",
    32);

WriteRun::WriteRun(MemoryMongod& mongod, const wire::OpMsg& message)
    : mongod_(mongod),
      message_(message),
      body_(message.body),
      command_(message.command_name() == "findandmodify" ? "findAndModify"
                                                         : message.command_name()) {
  const auto collection = body_.first();
  ns_ = std::string(message.database()) + ".";
  if (collection->value.type == Type::kString) ns_ += collection->value.as_string();
  const auto id = document_at(body_, "lsid").find("id");
  if (id && id->type == Type::kBinary && id->bytes.size() == 21) {
    session_.lsid_id = std::string(id->bytes.substr(5));
  }
  const auto number = body_.find("txnNumber");
  if (number) session_.txn_number = number->to_int64().value_or(-1);
}

std::optional<MongodError> WriteRun::refusal() const {
  if (body_.has("autocommit")) {
    return MongodError{wire::code::kIllegalOperation, "no transactions here"};
  }
  const auto uuid = body_.find("collectionUUID");
  if (uuid && !mongod_.can(StoreFeature::kNamesCollections)) {
    return unknown_field(command_ + ".collectionUUID");
  }
  if (uuid && uuid->bytes.substr(5) != kCollectionUuid) {
    return MongodError{wire::code::kCollectionUuidMismatch, "Collection UUID does not match"};
  }
  return mongod_.refuse_session(session_);
}

// Without a concern a set of one waits for the majority, whose members journal by default.
bool WriteRun::waits_for_journal() const {
  const auto concern = body_.find("writeConcern");
  const bool none = !concern || concern->type != Type::kDocument;
  if (none && !mongod_.can(StoreFeature::kMajorityByDefault)) return false;
  const Document says = none ? Document() : concern->as_document();
  if (truthy(says, "j") || mongod_.is_standalone()) return truthy(says, "j");
  const auto w = says.find("w");
  return none || !w || w->type == Type::kString;
}

std::vector<Document> WriteRun::statements() const {
  const std::string name = sequence_of(command_);
  if (const wire::Sequence* sequence = message_.sequence(name)) return sequence->documents;
  std::vector<Document> out;
  for (const Element& one : document_at(body_, name)) {
    if (one.value.type == Type::kDocument) out.push_back(one.value.as_document());
  }
  return out;
}

int32_t WriteRun::stmt_id(size_t index) const {
  const auto first = body_.find("stmtId");
  if (first)
    return static_cast<int32_t>(first->to_int64().value_or(0)) + static_cast<int32_t>(index);
  const auto one = document_at(body_, "stmtIds").find(bson::index_name(index));
  if (one) return static_cast<int32_t>(one->to_int64().value_or(0));
  return static_cast<int32_t>(index);
}

OrError<std::string> WriteRun::run(bool& when_journaled) {
  if (auto refused = refusal()) return tl::unexpected(std::move(*refused));
  when_journaled = waits_for_journal();
  if (command_ == "findAndModify") return find_and_modify();
  return run_many();
}

OrError<std::string> WriteRun::run_many() {
  const auto ordered = body_.find("ordered");
  const bool stops = !ordered || ordered->truthy();
  size_t index = 0;
  for (const Document& statement : statements()) {
    take(index, run_one(statement, stmt_id(index)));
    if (stops && !errors_.empty()) break;
    ++index;
  }
  bson::Writer out;
  out.int32("n", static_cast<int32_t>(n_));
  const auto list = [&out](const char* name, const std::vector<std::string>& documents) {
    if (documents.empty()) return;
    out.open_array(name);
    for (size_t i = 0; i < documents.size(); ++i) {
      out.document(bson::index_name(i), Document(documents[i]));
    }
    out.close();
  };
  optime(out);
  list("upserted", upserted_);
  if (command_ == "update") out.int32("nModified", static_cast<int32_t>(modified_));
  list("writeErrors", errors_);
  if (!retried_.empty() && mongod_.can(StoreFeature::kTellsRetried)) {
    out.open_array("retriedStmtIds");
    for (size_t i = 0; i < retried_.size(); ++i) out.int32(bson::index_name(i), retried_[i]);
    out.close();
  }
  return out.real("ok", 1).finish();
}

void WriteRun::optime(bson::Writer& out) const {
  if (mongod_.is_standalone()) return;
  const Timestamp at = mongod_.last_;
  out.object_id("electionId", std::string_view("\x7f\xff\xff\xff\0\0\0\0\0\0\0\1", 12));
  out.open_document("opTime").timestamp("ts", at.seconds, at.increment).int64("t", 1).close();
}

void WriteRun::take(size_t index, OrError<Done> done) {
  const auto at = static_cast<int32_t>(index);
  if (!done) {
    bson::Writer out;
    out.int32("index", at).int32("code", done.error().code).string("errmsg", done.error().message);
    errors_.push_back(out.finish());
    return;
  }
  n_ += done->n;
  modified_ += done->is_modified ? 1 : 0;
  if (!done->upserted) return;
  upserted_.push_back(bson::Writer().int32("index", at).value("_id", *done->upserted).finish());
}

OrError<WriteRun::Done> WriteRun::run_one(const Document& statement, int32_t stmt_id) {
  if (const auto* before = mongod_.executed(session_, stmt_id)) {
    retried_.push_back(stmt_id);
    Done done{1, before->op.kind == OplogWrite::Kind::kUpdate, std::nullopt, before->before,
              before->after};
    const bool upserted = command_ == "update" && before->op.kind == OplogWrite::Kind::kInsert;
    if (upserted) done.upserted = before->op.id;
    return done;
  }
  if (command_ == "insert") return insert(statement, stmt_id);
  if (command_ == "update") return update(statement, stmt_id);
  return remove(statement, stmt_id);
}

std::optional<MongodError> WriteRun::duplicate(const Value& id) const {
  if (!mongod_.document(ns_, id)) return std::nullopt;
  return MongodError{wire::code::kDuplicateKey, "E11000 duplicate key error collection: " + ns_ +
                                                    " index: _id_ dup key: { _id }"};
}

std::optional<MongodError> WriteRun::clash(const std::string& document) const {
  std::string words = mongod_.store_.clash(ns_, Document(document));
  if (words.empty()) return std::nullopt;
  return MongodError{wire::code::kDuplicateKey, std::move(words)};
}

OrError<WriteRun::Done> WriteRun::insert(const Document& document, int32_t stmt_id) {
  std::string bytes(document.bytes());
  if (!document.has("_id")) {
    bson::Writer out;
    out.object_id("_id", mongod_.fresh_object_id()).append_all(document);
    bytes = out.finish();
  }
  const Value id = *Document(bytes).find("_id");
  if (auto refused = duplicate(id)) return tl::unexpected(std::move(*refused));
  if (auto refused = clash(bytes)) return tl::unexpected(std::move(*refused));
  mongod_.write(ns_, id, {std::nullopt, bytes, false}, session_, stmt_id);
  return Done{1, false, std::nullopt, std::nullopt, std::move(bytes)};
}

OrError<std::vector<std::string>> WriteRun::found(const Document& filter, bool many,
                                                  const Document& sort) {
  std::vector<std::string> out;
  auto all = sorted(mongod_.chosen(ns_, filter), sort);
  if (!all) return all;
  for (std::string& bytes : *all) {
    const auto is_wanted = matches(filter, Document(bytes));
    if (!is_wanted) return tl::unexpected(is_wanted.error());
    if (*is_wanted) out.push_back(std::move(bytes));
    if (!many && !out.empty()) break;
  }
  return out;
}

OrError<std::string> WriteRun::changed(const std::string& before, const Document& change,
                                       bool inserts) const {
  if (has_operators(change)) return updated(change, before, inserts);
  bson::Writer out;
  const auto id = Document(before).find("_id");
  if (id) out.value("_id", *id);
  for (const Element& field : change) {
    if (field.name != "_id" || !id) out.element(field);
  }
  return out.finish();
}

OrError<WriteRun::Done> WriteRun::update(const Document& statement, int32_t stmt_id) {
  const Document filter = document_at(statement, "q");
  const auto update = statement.find("u");
  if (!update || update->type != Type::kDocument) {
    return refuse(wire::code::kFailedToParse, "the mongod in memory knows no pipelines");
  }
  const Document sort = document_at(statement, "sort");
  const bool may_sort = command_ == "findAndModify" || mongod_.can(StoreFeature::kSortsUpdates);
  if (!sort.empty() && !may_sort) return tl::unexpected(unknown_field("update.updates.sort"));
  const auto documents = found(filter, truthy(statement, "multi"), sort);
  if (!documents) return tl::unexpected(documents.error());
  if (documents->empty()) {
    if (!truthy(statement, "upsert")) return Done{};
    return upsert(filter, update->as_document(), stmt_id);
  }
  Done all;
  for (const std::string& before : *documents) {
    auto one = update_one(before, update->as_document(), stmt_id);
    if (!one) return one;
    all.n += one->n;
    modified_ += all.is_modified && one->is_modified ? 1 : 0;  // take() counts one
    all.is_modified = all.is_modified || one->is_modified;
    all.before = std::move(one->before);
    all.after = std::move(one->after);
  }
  return all;
}

OrError<WriteRun::Done> WriteRun::update_one(const std::string& before, const Document& change,
                                             int32_t stmt_id) {
  auto after = changed(before, change, false);
  if (!after) return tl::unexpected(after.error());
  const Value id = *Document(before).find("_id");
  const auto new_id = change.find("_id");
  const bool is_moved = Document(*after).find("_id") != id ||
                        (new_id && bson::canonical_key(*new_id) != bson::canonical_key(id));
  if (is_moved)
    return refuse(wire::code::kImmutableField, "the (immutable) field '_id' was altered");
  Done done{1, *after != before, std::nullopt, before, *after};
  if (done.is_modified) {
    if (auto refused = clash(*after)) return tl::unexpected(std::move(*refused));
    mongod_.write(ns_, id, {before, std::move(*after), has_operators(change)}, session_, stmt_id);
  }
  return done;
}

OrError<WriteRun::Done> WriteRun::upsert(const Document& filter, const Document& change,
                                         int32_t stmt_id) {
  std::string seed = seed_of(filter);
  if (!has_operators(change)) {  // of the filter only the _id is taken then
    const auto id = Document(seed).find("_id");
    seed = id ? bson::Writer().value("_id", *id).finish() : bson::Writer().finish();
  }
  auto bytes = changed(seed, change, true);
  if (!bytes) return tl::unexpected(bytes.error());
  const auto own_id = Document(*bytes).find("_id");
  bson::Writer out;
  if (own_id) out.value("_id", *own_id);
  if (!own_id) out.object_id("_id", mongod_.fresh_object_id());
  for (const Element& field : Document(*bytes)) {
    if (field.name != "_id") out.element(field);
  }
  const std::string document = out.finish();
  const bson::OwnedValue id(*Document(document).find("_id"));
  if (auto refused = duplicate(id.view())) return tl::unexpected(std::move(*refused));
  if (auto refused = clash(document)) return tl::unexpected(std::move(*refused));
  mongod_.write(ns_, id.view(), {std::nullopt, document, false}, session_, stmt_id);
  return Done{1, false, id, std::nullopt, document};
}

OrError<WriteRun::Done> WriteRun::remove(const Document& statement, int32_t stmt_id) {
  const auto limit = statement.find("limit");
  const auto documents = found(document_at(statement, "q"), !limit || !limit->truthy(),
                               document_at(statement, "sort"));
  if (!documents) return tl::unexpected(documents.error());
  Done done;
  for (const std::string& before : *documents) {
    mongod_.write(ns_, *Document(before).find("_id"), {before, std::nullopt, false}, session_,
                  stmt_id);
    ++done.n;
    done.before = before;
  }
  return done;
}

// As an update or a delete of one, with the document in the answer.
OrError<std::string> WriteRun::find_and_modify() {
  const bool removes = truthy(body_, "remove");
  bson::Writer statement;
  statement.document("q", document_at(body_, "query"));
  if (const auto sort = body_.find("sort")) statement.value("sort", *sort);
  if (const auto change = body_.find("update")) statement.value("u", *change);
  if (removes) statement.int32("limit", 1);
  statement.boolean("upsert", truthy(body_, "upsert"));
  const std::string bytes = statement.finish();
  OrError<Done> done = Done{};
  if (const auto* before = mongod_.executed(session_, stmt_id(0))) {
    retried_.push_back(stmt_id(0));
    done = Done{1, true, std::nullopt, before->before, before->after};
    if (before->op.kind == OplogWrite::Kind::kInsert) done->upserted = before->op.id;
  } else {
    done = removes ? remove(Document(bytes), stmt_id(0)) : update(Document(bytes), stmt_id(0));
  }
  if (!done) return tl::unexpected(done.error());
  const auto& shown = truthy(body_, "new") ? done->after : done->before;
  bson::Writer out;
  out.open_document("lastErrorObject").int32("n", static_cast<int32_t>(done->n));
  if (!removes) out.boolean("updatedExisting", done->n > 0 && !done->upserted);
  if (done->upserted) out.value("upserted", *done->upserted);
  out.close();
  if (shown) out.document("value", Document(*shown));
  if (!shown) out.null("value");
  if (!retried_.empty() && mongod_.can(StoreFeature::kTellsRetried)) {
    out.int32("retriedStmtId", retried_.front());
  }
  return out.real("ok", 1).finish();
}

}  // namespace outrigger::world
