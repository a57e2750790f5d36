#include "replication/store/mongo/mongo_unique_keys.h"

#include <algorithm>
#include <optional>

#include "replication/store/mongo/keys/mongo_key_tuples.h"
#include "replication/store/mongo/mongo_index_specs.h"
#include "replication/store/mongo/mongo_read.h"
#include "replication/store/store_errors.h"

namespace outrigger::mongo {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

constexpr int32_t kNoNamespace = 26;
constexpr int32_t kOtherIndex = 86;       // IndexKeySpecsConflict
constexpr int32_t kTimeExpired = 50;      // MaxTimeMSExpired
constexpr int32_t kBuildsOthers = 12587;  // BackgroundOperationInProgressForNamespace
constexpr int32_t kChangeMs = 3000;       // others wait for an index that waits for its lock
constexpr int32_t kHoldersMax = 1'000;
constexpr size_t kHoldersBytesMax = 64u << 20;  // of them; one in any case
constexpr const char* kHolderStep = "look for the holder of a key";

// Names of fields that a filter asks for, wherever in it.
void add_asked(const Document& filter, std::vector<Path>& fields) {
  for (const Element& each : filter) {
    if (!each.name.starts_with('$')) {
      fields.push_back(undotted(each.name));
      continue;
    }
    if (each.value.type != Type::kArray) continue;
    for (const Element& part : each.value.as_document()) {
      if (part.value.type == Type::kDocument) add_asked(part.value.as_document(), fields);
    }
  }
}

// What an index has of a document at a path. `in_array`: a document in one that lacks the name has
// null there, beside what others have.
void add_values(const Value& at, std::span<const std::string> names, std::vector<Value>& values,
                bool in_array = false) {
  if (names.empty()) {
    if (at.type != Type::kArray) return values.push_back(at);
    for (const Element& each : at.as_document()) values.push_back(each.value);
    if (at.as_document().empty()) values.push_back(at);
    return;
  }
  if (at.type == Type::kDocument) {
    const auto value = at.as_document().find(names.front());
    if (value) add_values(*value, names.subspan(1), values, in_array);
    const Value null{Type::kNull, {}};
    const bool has_null = std::find(values.begin(), values.end(), null) != values.end();
    if (!value && in_array && !has_null) values.push_back(null);
  } else if (at.type == Type::kArray) {
    for (const Element& each : at.as_document()) {
      if (each.value.type == Type::kDocument) add_values(each.value, names, values, true);
    }
  }
}

// A regular expression in $in would be a pattern.
void append_condition(const std::string& name, std::vector<Value> values, bson::Writer& to) {
  to.open_document(name);
  if (values.size() == 1) {
    to.value("$eq", values.front());
  } else if (values.empty()) {
    to.null("$eq");
  } else {
    std::erase_if(values, [](const Value& each) { return each.type == Type::kRegex; });
    to.open_array("$in");
    size_t at = 0;
    for (const Value& each : values) to.value(bson::index_name(at++), each);
    to.close();
  }
  to.close();
}

// Who is not in the index has none of its keys: what a hint would see to, of one that cannot be
// hinted at.
void append_in_index(const Document& index, bson::Writer& to, size_t& at) {
  const Document filter = sub(index, "partialFilterExpression");
  if (!filter.empty()) to.document(bson::index_name(at++), filter);
  if (!truthy(index, "sparse")) return;
  to.open_document(bson::index_name(at++)).open_array("$or");
  size_t field = 0;
  for (const Element& key : sub(index, "key")) {
    to.open_document(bson::index_name(field++)).open_document(key.name);
    to.boolean("$exists", true).close().close();
  }
  to.close().close();
}

// Of `id`: only that one, which tells whether it is there.
std::string find_command(const std::string& collection, const Document& index,
                         const std::string& document, const Value* id = nullptr) {
  bson::Writer find;
  find.string("find", collection).open_document("filter").open_array("$and");
  size_t at = 0;
  for (const Element& key : sub(index, "key")) {
    const Path path = undotted(key.name);
    std::vector<Value> values;
    add_values({Type::kDocument, document}, path, values);
    find.open_document(bson::index_name(at++));
    append_condition(std::string(key.name), std::move(values), find);
    find.close();
  }
  append_in_index(index, find, at);
  if (id != nullptr) {
    find.open_document(bson::index_name(at++)).open_document("_id").value("$eq", *id);
    find.close().close();
  }
  find.close().close();
  if (!truthy(index, "hidden")) find.string("hint", text(index, "name"));
  const Document collation = sub(index, "collation");
  if (collation.empty()) append_simple_collation(find);
  if (!collation.empty()) find.document("collation", collation);
  find.open_document("sort").int32("_id", 1).close().int32("limit", kHoldersMax + 1);
  find.open_document("readConcern").string("level", "local").close();
  return find.finish();
}

std::vector<Path> fields_of(const Document& index) {
  std::vector<Path> fields;
  for (const Element& key : sub(index, "key")) fields.push_back(undotted(key.name));
  return fields;
}

std::string canonical_id(const Document& document) {
  const auto id = document.find("_id");
  return id ? bson::canonical_key(*id) : std::string();
}

// As a collMod tells them that was to make an index unique.
std::vector<std::vector<bson::OwnedValue>> duplicates_in(const Document& refusal) {
  std::vector<std::vector<bson::OwnedValue>> found;
  for (const Element& violation : sub(refusal, "violations")) {
    if (violation.value.type != Type::kDocument) continue;
    std::vector<bson::OwnedValue>& ids = found.emplace_back();
    for (const Element& id : sub(violation.value.as_document(), "ids")) ids.emplace_back(id.value);
  }
  return found;
}

}  // namespace

bool is_unique_index(const Document& index) {
  const bool is_on_id = text(index, "name") == "_id_" || truthy(index, "clustered");
  return guard_of(index) != KeyGuard::kNone && !is_on_id;
}

void add_unique_fields(const Document& index, std::vector<Path>& fields) {
  for (const Element& key : sub(index, "key")) fields.push_back(undotted(key.name));
  add_asked(sub(index, "partialFilterExpression"), fields);
  std::sort(fields.begin(), fields.end());
  fields.erase(std::unique(fields.begin(), fields.end()), fields.end());
}

Result<std::optional<std::string>> UniqueKeys::listed(const std::string& ns,
                                                      const std::string& name) {
  const Names names = split(ns);
  const std::string ask = bson::Writer().string("listIndexes", names.collection).finish();
  std::optional<std::string> found;
  auto probe = client_.run(names.database, ask);
  if (probe && !probe->ok && probe->code == kNoNamespace) return found;
  const Status seen = client_.each(names.database, ask, kHolderStep, [&](const Document& index) {
    if (text(index, "name") == name) found.emplace(index.bytes());
    return true;
  });
  if (!seen) return tl::unexpected(seen.error());
  return found;
}

// Whatever it refuses by now: it has refused a document by this key.
Result<std::vector<std::string>> UniqueKeys::holders(const std::string& ns,
                                                     const std::string& document,
                                                     const std::string& name) {
  const auto index = listed(ns, name);
  if (!index) return tl::unexpected(index.error());
  std::vector<std::string> found;
  if (!*index) return found;
  const Document spec(**index);
  const Names names = split(ns);
  const std::string own = canonical_id(Document(document));
  size_t bytes = 0;
  const Status shown = client_.each(names.database, find_command(names.collection, spec, document),
                                    kHolderStep, [&](const Document& holder) {
                                      if (canonical_id(holder) == own) return true;
                                      bytes += holder.bytes().size();
                                      if (!found.empty() && bytes > kHoldersBytesMax) return false;
                                      found.emplace_back(holder.bytes());
                                      return found.size() < static_cast<size_t>(kHoldersMax);
                                    });
  if (!shown) return tl::unexpected(shown.error());
  if (Status told = leave_holders(spec, names.database, document, found); !told) {
    return tl::unexpected(told.error());
  }
  return found;
}

// A collation may take other ids for this one.
Result<bool> UniqueKeys::holds_keys(const std::string& ns, const std::string& document,
                                    const std::string& name) {
  const auto index = listed(ns, name);
  if (!index) return tl::unexpected(index.error());
  const auto id = Document(document).find("_id");
  if (!*index || !id) return false;
  const Names names = split(ns);
  const std::string own = bson::canonical_key(*id);
  bool is_there = false;
  const Status shown = client_.each(
      names.database, find_command(names.collection, Document(**index), document, &*id),
      kHolderStep, [&](const Document& holder) {
        is_there = is_there || canonical_id(holder) == own;
        return !is_there;
      });
  if (!shown) return tl::unexpected(shown.error());
  return is_there;
}

// Of who has the values in different elements of an array nothing is left.
Status UniqueKeys::leave_holders(const Document& index, const std::string& database,
                                 const std::string& document, std::vector<std::string>& found) {
  const std::vector<Path> fields = fields_of(index);
  if (fields.size() < 2 || found.empty()) return {};
  const std::vector<KeyTuple> own = key_tuples(Document(document), fields);
  const Document collation = sub(index, "collation");
  const bool is_simple = collation.empty() || text(collation, "locale") == "simple";
  const KeySet keys(own);
  std::vector<std::string> holders;
  for (std::string& each : found) {
    const std::vector<KeyTuple> theirs = key_tuples(Document(each), fields);
    const bool is_one = own.size() == 1 && theirs.size() == 1;  // as the query has it
    auto shares = is_one || keys.has_one_of(theirs) ? Result<bool>(true)
                  : is_simple                       ? Result<bool>(false)
                                                    : share_under(collation, database, own, theirs);
    if (!shares) return tl::unexpected(shares.error());
    if (*shares) holders.push_back(std::move(each));
  }
  found = std::move(holders);
  return {};
}

// mongod alone knows a collation. What it does not tell may be so.
Result<bool> UniqueKeys::share_under(const Document& collation, const std::string& database,
                                     const std::vector<KeyTuple>& some,
                                     const std::vector<KeyTuple>& others) {
  bson::Writer ask;
  ask.int32("aggregate", 1).open_array("pipeline");
  ask.open_document("0").open_document("$documents").open_array("$literal").open_document("0");
  ask.array("some", Document(tuples_array(some))).array("others", Document(tuples_array(others)));
  ask.close().close().close().close();
  ask.open_document("1").open_document("$match").open_document("$expr").open_array("$gt");
  ask.open_document("0").open_document("$size").open_array("$setIntersection");
  ask.string("0", "$some").string("1", "$others").close().close().close();
  ask.int32("1", 0).close().close().close().close().close();
  ask.open_document("cursor").close().document("collation", collation);
  auto reply = client_.run(database, ask.finish());
  if (!reply) return tl::unexpected(reply.error());
  return !reply->ok || !sub(sub(reply->document(), "cursor"), "firstBatch").empty();
}

// ---- what an index refuses

Result<std::optional<KeyIndex>> UniqueKeys::key_index(const std::string& ns,
                                                      const std::string& name) {
  const auto index = listed(ns, name);
  if (!index) return tl::unexpected(index.error());
  if (!*index) return std::optional<KeyIndex>();
  const Document spec(**index);
  auto building = catalog_.being_built(ns);
  if (!building) return tl::unexpected(building.error());
  return std::optional(
      KeyIndex{with_guard(spec, KeyGuard::kNone), guard_of(spec), building->contains(name)});
}

Result<GuardChange> UniqueKeys::set_guard(const std::string& ns, const std::string& spec,
                                          KeyGuard guard) {
  const std::string name(index_name_of(Document(spec)));
  const std::string collection = split(ns).collection;
  auto now = key_index(ns, name);
  if (!now) return tl::unexpected(now.error());
  std::optional<KeyIndex>& index = *now;
  if (index && !is_same_index(Document(index->spec), Document(spec))) {
    return GuardChange{kOtherIndex, "another index has its name by now"};
  }
  if (index && index->is_being_built)
    return GuardChange{GuardChange::kInProgress, "it is being built"};
  if (index && index->guard == guard) return GuardChange();
  if (index && index->guard == KeyGuard::kAll) {
    // It could be made anew, and not be closed before that build ends.
    auto building = catalog_.being_built(ns);
    if (!building) return tl::unexpected(building.error());
    if (!building->empty()) return GuardChange{GuardChange::kInProgress, "another is being built"};
    bson::Writer drop;
    drop.string("dropIndexes", collection).string("index", name);
    auto dropped = run(ns, drop.finish());
    if (!dropped || (!dropped->ok() && dropped->code != GuardChange::kNoIndex)) return dropped;
    index.reset();
  }
  if (!index && guard == KeyGuard::kAll) {
    return GuardChange{GuardChange::kNoIndex, "there is no such index any more"};
  }
  if (!index) return make_or_restore(ns, spec, guard);
  bson::Writer change;
  change.string("collMod", collection).open_document("index").string("name", name);
  if (guard == KeyGuard::kAll) change.boolean("unique", true);
  if (guard != KeyGuard::kAll) change.boolean("prepareUnique", guard == KeyGuard::kNew);
  const std::string command = change.close().finish();
  return guard == KeyGuard::kAll ? run_beside(ns, name, command) : run(ns, command);
}

// One that cannot be made so is at once what it was: nothing would be refused meanwhile.
Result<GuardChange> UniqueKeys::make_or_restore(const std::string& ns, const std::string& spec,
                                                KeyGuard guard) {
  const auto is_to_come = [](const GuardChange& change) {
    return change.ok() || change.code == GuardChange::kInProgress || change.code == kNoNamespace;
  };
  auto made = make(ns, with_guard(Document(spec), guard));
  if (!made || is_to_come(*made)) return made;
  const auto restored = make(ns, with_guard(Document(spec), KeyGuard::kAll));
  if (!restored) return restored;
  if (is_to_come(*restored)) return made;
  made->is_away = true;
  made->message += "; nor as it was: " + restored->message;
  return made;
}

Result<GuardChange> UniqueKeys::make(const std::string& ns, const std::string& spec) {
  auto target = catalog_.target_now(ns);  // a createIndexes would make it
  if (!target) return tl::unexpected(target.error());
  if (!target->exists()) return GuardChange{kNoNamespace, "there is no such collection any more"};
  const std::string create = create_index_command(split(ns).collection, spec);
  bson::Writer command;
  // What an older mongod has left in it, this one lists and would not take.
  command.append_all(Document(create)).boolean("ignoreUnknownIndexOptions", true);
  // Nor is a member awaited that is down.
  if (!text(client_.hello(), "setName").empty()) command.int32("commitQuorum", 1);
  return run_beside(ns, std::string(index_name_of(Document(spec))), command.finish());
}

// At once where that is quick, else beside everything else.
Result<GuardChange> UniqueKeys::run_beside(const std::string& ns, const std::string& name,
                                           const std::string& command) {
  auto large = catalog_.is_large(ns);
  if (!large) return tl::unexpected(large.error());
  if (!*large) {
    auto done = run(ns, command);
    const bool waits = done && done->code == GuardChange::kInProgress;
    if (!waits || !Document(command).find("createIndexes")) return done;
  }
  std::string refusal;
  const WriteOutcome outcome = builds_.build_relaxed(ns, name, command, refusal);
  return GuardChange{outcome.ok() ? 0 : outcome.code, outcome.message,
                     duplicates_in(Document(refusal))};
}

Result<GuardChange> UniqueKeys::run(const std::string& ns, const std::string& command) {
  constexpr const char* kStep = "change an index";
  auto reply = client_.run(
      split(ns).database,
      bson::Writer().append_all(Document(command)).int32("maxTimeMS", kChangeMs).finish());
  if (!reply) return tl::unexpected(reply.error());
  if (reply->ok) return GuardChange();
  if (reply->code == kTimeExpired || reply->code == kBuildsOthers) {
    return GuardChange{GuardChange::kInProgress, reply->message};
  }
  if (store_error_passes(reply->code)) {
    return tl::unexpected(client_.refusal(kStep, reply->code, reply->message));
  }
  return GuardChange{reply->code, reply->message, duplicates_in(reply->document())};
}

}  // namespace outrigger::mongo
