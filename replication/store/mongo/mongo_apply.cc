#include "replication/store/mongo/mongo_apply.h"

#include <map>
#include <set>
#include <unordered_set>

#include "replication/bson/fields.h"
#include "replication/series/measurement.h"
#include "replication/store/mongo/mongo_read.h"
#include "replication/store/mongo/mongo_statements.h"
#include "replication/store/mongo/series/mongo_series.h"
#include "replication/store/store_errors.h"

namespace outrigger::mongo {
namespace {

constexpr int32_t kBadValue = 2;
constexpr int32_t kIllegalOperation = 20;
constexpr int32_t kValidatorSaysNo = 121;
constexpr int32_t kOtherCollection = 361;  // another one stands there under this name now
constexpr int32_t kTooLarge = 10334;
constexpr int32_t kDuplicateKey = 11000;
constexpr int kSwapsMax = 10;  // of collections under our hands, before we wait
constexpr const char* kStep = "apply to store";
constexpr const char* kTooLargeText = "larger than the 16 MiB that a document may have";

using Kind = StoreWrite::Kind;

Status check_paths(std::span<const StoreWrite> writes) {
  const auto refuse = [](const StoreWrite& write) {
    return fail(ErrorCode::kInvalidArgument, kStep, write.ns,
                "a path that cannot be written with dots", "replace the whole document");
  };
  for (const StoreWrite& write : writes) {
    for (const StoreWrite::Set& set : write.set) {
      if (!is_dotted_path(set.path)) return refuse(write);
    }
    for (const Path& path : write.unset) {
      if (!is_dotted_path(path)) return refuse(write);
    }
  }
  return {};
}

// Why documents of others must not be written there; nothing when they may.
std::string unfit(const CollectionInfo& target) {
  if (target.type == CollectionInfo::Type::kView) return "what has this name here is a view";
  if (target.type == CollectionInfo::Type::kTimeSeries) {
    return "the collection here is a time series";
  }
  return "";
}

std::string key_of(const bson::Document& document) {
  const auto id = document.find("_id");
  return id ? canonical_key(*id) : std::string();
}

// Writes of one verb follow each other in one command.
struct Verb {
  const char* command;
  const char* statements;
};

Verb verb_of(Kind kind) {
  if (kind == Kind::kRemove) return {"delete", "deletes"};
  if (kind == Kind::kInsert) return {"insert", "documents"};
  return {"update", "updates"};
}

bool is_whole(Kind kind) { return kind == Kind::kReplaceOrInsert || kind == Kind::kInsert; }

// One call of apply_in_order(): holds what its steps share.
class OrderedBulkWrite {
 public:
  OrderedBulkWrite(const DocumentWriter::Parts& parts, std::span<const StoreWrite> writes)
      : parts_(parts), client_(parts.client), writes_(writes) {}

  [[nodiscard]] Applied run() {
    Status going;
    while (going && done() < writes_.size()) going = step();
    if (going && !journaled_ && !writes_.empty()) going = parts_.journal.wait();
    if (going && commands_ > 1) going = one_mongod_took_all();
    if (going) note_bypassed();
    if (!going) applied_.stopped = going.error();
    return std::move(applied_);
  }

 private:
  struct Command {
    Verb verb;
    std::vector<std::string> statements;
    size_t bytes = 0;
  };

  [[nodiscard]] size_t done() const { return applied_.outcomes.size(); }
  void reject(int32_t code, const std::string& message) {
    applied_.outcomes.push_back({WriteOutcome::Kind::kRejected, code, message, false});
  }

  [[nodiscard]] Status step() {
    const StoreWrite& first = writes_[done()];
    if (series::holds_measurements(first.ns)) return step_of_series();
    auto target = parts_.catalog.target(first.ns);
    if (!target && target.error().code == ErrorCode::kRefused) {
      return on_error(kUnauthorized, target.error().reason, 1);
    }
    if (!target) return tl::unexpected<Error>(target.error());
    if (const std::string why = unfit(*target); !why.empty()) {
      reject(kIllegalOperation, why);
      return {};
    }
    Command command = gather();
    if (command.statements.empty()) {  // no statement can hold it, or a special one is needed
      if (!is_whole(first.kind) || first.document.size() > bson::kStoredBytesMax) {
        reject(kTooLarge, kTooLargeText);
        return {};
      }
      auto literal = literal_replacement(first);
      if (!literal) return tl::unexpected<Error>(literal.error());
      if (literal->empty()) return {};
      command.verb = verb_of(Kind::kReplaceOrInsert);
      command.statements.push_back(std::move(*literal));
    }
    const Names names = split(first.ns);
    ++commands_;
    auto reply = client_.run(names.database, body(names.collection, command, *target));
    if (!reply) return tl::unexpected<Error>(reply.error());
    if (reply->ok) return read_reply(first.ns, reply->document(), command.statements.size());
    return on_error(reply->code, reply->message, command.statements.size());
  }

  // Measurements that follow each other: those that are missing are inserted, in their order.
  [[nodiscard]] Status step_of_series() {
    const std::string collection = series::collection_of(writes_[done()].ns);
    auto target = parts_.catalog.target_now(collection);
    if (!target && target.error().code == ErrorCode::kRefused) {
      return on_error(kUnauthorized, target.error().reason, 1);
    }
    if (!target) return tl::unexpected<Error>(target.error());
    if (target->type != CollectionInfo::Type::kTimeSeries) {
      reject(kIllegalOperation, "there is no time series of this name here");
      return {};
    }
    commands_ += 2;
    const auto written = write_measurements(client_, *target, writes_.subspan(done()));
    if (!written) return tl::unexpected<Error>(written.error());
    journaled_ = written->journaled;
    applied_.outcomes.resize(done() + written->done);
    if (written->code == 0) return {};
    return on_error(written->code, written->message, 1);
  }

  // libmongoc may have connected anew between two commands: the journal of a mongod that was
  // started since does not hold what the one before it took.
  [[nodiscard]] Status one_mongod_took_all() {
    const std::string began = process_of(client_.hello());
    if (auto alive = parts_.topology.ping(); !alive) return alive;
    if (parts_.topology.process_id() == began) return {};
    client_.drop();
    applied_.outcomes.clear();
    return fail(ErrorCode::kUnavailable, kStep, client_.name(), "mongod was started anew meanwhile",
                "it is tried again");
  }

  // The longest command that can begin with the next write; empty when none can.
  [[nodiscard]] Command gather() const {
    const StoreWrite& first = writes_[done()];
    Command command;
    command.verb = verb_of(first.kind);
    std::unordered_set<std::string> named;
    for (size_t i = done(); i < writes_.size() && command.statements.size() < kBatch; ++i) {
      const StoreWrite& write = writes_[i];
      if (write.ns != first.ns || verb_of(write.kind).command != command.verb.command) break;
      std::string statement = statement_of(write);
      if (statement.empty() || statement.size() > kStatementBytesMax) break;
      command.bytes += statement.size();
      if (!command.statements.empty() && command.bytes > kBatchBytes) break;
      // A birth done twice is refused, and takes nothing back.
      if (write.kind != Kind::kInsert && !named.insert(canonical_key(write.id.view())).second) {
        break;
      }
      command.statements.push_back(std::move(statement));
    }
    return command;
  }

  [[nodiscard]] static std::string statement_of(const StoreWrite& write) {
    if (write.kind == Kind::kRemove) return removal(write);
    if (write.kind == Kind::kUpdate) return modification(write);
    const bool plain = write.document.size() <= bson::kStoredBytesMax &&
                       !needs_literal(bson::Document(write.document));
    if (!plain) return {};
    if (write.kind == Kind::kInsert) return whole_document(write);
    return replacement(write, whole_document(write), false);
  }

  // Empty: it was rejected.
  [[nodiscard]] Result<std::string> literal_replacement(const StoreWrite& write) {
    bool unsafe = false;
    bool is_there = false;
    auto looked = find_by_id(client_, write.ns, std::span(&write.id, 1), Projection{},
                             [&](const bson::Document& stored) {
                               is_there = true;
                               unsafe = unsafe || bson::repeats_names(stored, bson::Levels::kAll);
                             });
    if (!looked) return tl::unexpected<Error>(looked.error());
    if (is_there && write.kind == Kind::kInsert) {
      reject(kDuplicateKey, "a document with this _id is there");
      return std::string();
    }
    const std::string whole = whole_document(write);
    std::string statement = replacement(write, whole, true);
    if (unsafe || bson::repeats_names(bson::Document(whole), bson::Levels::kAll)) {
      reject(kBadValue, "repeated field names beside a '$' name or a zero timestamp");
      return std::string();
    }
    if (statement.size() <= kStatementBytesMax) return statement;
    reject(kTooLarge, kTooLargeText);
    return std::string();
  }

  [[nodiscard]] std::string body(const std::string& collection, const Command& command,
                                 const CollectionInfo& target) {
    bson::Writer w;
    w.string(command.verb.command, collection).open_array(command.verb.statements);
    for (size_t i = 0; i < command.statements.size(); ++i) {
      w.document(bson::index_name(i), bson::Document(command.statements[i]));
    }
    w.close().boolean("ordered", true);
    if (bypass_) w.boolean("bypassDocumentValidation", true);
    constexpr uint8_t kUuid = 4;
    if (target.is_named) w.binary("collectionUUID", kUuid, target.uuid);
    const bool last = done() + command.statements.size() == writes_.size();
    // No majority is waited for: a set may be without one. What another primary lacks of this is
    // put back there, as long as it is not settled.
    w.open_document("writeConcern").int32("w", 1).boolean("j", last).close();
    return w.finish();
  }

  [[nodiscard]] Status read_reply(const std::string& ns, const bson::Document& reply,
                                  size_t statements) {
    if (const bson::Document concern = sub(reply, "writeConcernError"); !concern.empty()) {
      client_.drop();
      return fail(ErrorCode::kUnavailable, kStep, ns, text(concern, "errmsg"),
                  "the store could not confirm durability; it is tried again");
    }
    size_t executed = statements;
    int32_t code = 0;
    std::string message;
    for (const bson::Element& e : sub(reply, "writeErrors")) {
      if (e.value.type != bson::Type::kDocument) continue;
      const bson::Document error = e.value.as_document();
      executed = static_cast<size_t>(integer(error, "index", -1));
      code = static_cast<int32_t>(integer(error, "code"));
      message = text(error, "errmsg");
    }
    if (executed > statements) {
      return fail(ErrorCode::kCorrupt, kStep, ns, "an error for a statement never sent");
    }
    const size_t from = done();
    for (size_t i = 0; i < executed; ++i) succeed();
    const auto matched = static_cast<size_t>(integer(reply, "n"));
    if (matched < executed) {
      if (auto found = find_unmatched(ns, from); !found) return found;
    }
    journaled_ = from + statements == writes_.size();
    return executed == statements ? Status() : on_error(code, message, 1);
  }

  void succeed() {
    WriteOutcome outcome;
    if (const auto noted = refused_.find(done()); noted != refused_.end()) {
      outcome.message = noted->second;
      outcome.against_validator = true;
    } else if (bypass_) {
      bypassed_[writes_[done()].ns].push_back(done());
    }
    applied_.outcomes.push_back(std::move(outcome));
  }

  // The next `statements` writes failed alike. An error stops the call; what returns without one
  // has either an outcome now or is sent again, in another way.
  [[nodiscard]] Status on_error(int32_t code, const std::string& message, size_t statements) {
    const std::string& ns = writes_[done()].ns;
    if (code == kOtherCollection || store_refuses_names(code, message)) {
      parts_.catalog.forget_target(ns);
      if (++swaps_ < kSwapsMax) return {};
      return fail(ErrorCode::kUnavailable, kStep, ns, message, "it is tried again");
    }
    if (code == kValidatorSaysNo && !bypass_) {
      refused_.emplace(done(), message);
      bypass_ = true;
      return {};
    }
    if (store_error_passes(code)) {
      return tl::unexpected<Error>(client_.refusal(kStep, code, message));
    }
    if (code == kUnauthorized) {
      // A user that may nowhere do what it has to holds the stream; a namespace that it may not
      // write, while it may others, does not.
      const auto forbidden = parts_.privileges.forbidden(ns);
      if (!forbidden) return tl::unexpected<Error>(forbidden.error());
      if (!forbidden->empty()) {
        for (size_t i = 0; i < statements; ++i) reject(code, kLacksRights + *forbidden);
        return {};
      }
      const auto missing = parts_.privileges.missing_rights();
      if (!missing) return tl::unexpected<Error>(missing.error());
      if (!missing->empty()) return tl::unexpected<Error>(client_.refusal(kStep, code, message));
    }
    for (size_t i = 0; i < statements; ++i) reject(code, message);
    return {};
  }

  // Of the updates done since `from`, those whose document is not there, though nothing here takes
  // any away but who deletes it.
  [[nodiscard]] Status find_unmatched(const std::string& ns, size_t from) {
    std::vector<bson::OwnedValue> ids;
    for (size_t i = from; i < done(); ++i) {
      if (writes_[i].kind == Kind::kUpdate) ids.push_back(writes_[i].id);
    }
    if (ids.empty()) return {};
    if (const auto target = parts_.catalog.target(ns); target && target->capped) return {};
    std::set<std::string> there;
    auto looked = find_by_id(client_, ns, ids, Projection{std::vector<std::string>()},
                             [&](const bson::Document& d) { there.insert(key_of(d)); });
    if (!looked) {
      applied_.outcomes.resize(from);
      return looked;
    }
    for (size_t i = from; i < done(); ++i) {
      if (writes_[i].kind != Kind::kUpdate) continue;
      if (there.contains(canonical_key(writes_[i].id.view()))) continue;
      applied_.outcomes[i].kind = WriteOutcome::Kind::kNotMatched;
    }
    return {};
  }

  // What was written past a validator without being refused first: the validator is asked about
  // the documents as they stand.
  void note_bypassed() {
    for (const auto& [ns, written] : bypassed_) {
      std::vector<bson::OwnedValue> ids;
      for (const size_t i : written) ids.push_back(writes_[i].id);
      const auto against = refused_by_validator(parts_.client, parts_.catalog, ns, ids);
      if (!against) continue;
      for (const size_t at : *against) {
        WriteOutcome& outcome = applied_.outcomes[written[at]];
        outcome.against_validator = true;
        outcome.message = kFailedValidation;
      }
    }
  }

  const DocumentWriter::Parts& parts_;
  Client& client_;
  const std::span<const StoreWrite> writes_;
  Applied applied_;
  size_t commands_ = 0;
  bool journaled_ = false;
  int swaps_ = 0;
  bool bypass_ = false;                                  // from the first refusal by a validator on
  std::map<size_t, std::string> refused_;                // by a validator: write, what it said
  std::map<std::string, std::vector<size_t>> bypassed_;  // written past one without asking it
};

}  // namespace

Applied DocumentWriter::apply_in_order(std::span<const StoreWrite> writes) {
  Applied none;
  if (auto legal = check_paths(writes); !legal) {
    none.stopped = legal.error();
    return none;
  }
  auto of_kind = parts_.topology.kind();
  if (!of_kind) {
    none.stopped = of_kind.error();
    return none;
  }
  const std::string session = parts_.client.session_id();
  if (*of_kind != StoreKind::kStandalone &&
      (own_sessions_.empty() || own_sessions_.back() != session)) {
    own_sessions_.push_back(session);
  }
  return OrderedBulkWrite(parts_, writes).run();
}

Result<std::vector<size_t>> DocumentWriter::against_validator(
    const std::string& ns, std::span<const bson::OwnedValue> ids) {
  return refused_by_validator(parts_.client, parts_.catalog, ns, ids);
}

}  // namespace outrigger::mongo
