// Applying merged documents: raw delete and update commands, unordered, with one outcome a write.
//
// An update command reports errors by statement but matches only in sum; when the sum is short the
// _ids are looked up. On a replica set each command is a retryable write of our own session, so its
// oplog entries carry a name that the auditor knows; on a network error we do not resend (the
// caller does, values being absolute).
//
// Two things a plain replacement cannot store (seen on 6.0.5): a zero timestamp at the top level
// (the server puts the clock there) and a top-level name starting with '$' (refused, code 52, when
// the document exists). A pipeline of {$replaceWith: {$literal: ...}} stores both, but aborts the
// server when a document, old or new, repeats a field name, so it is used only where none does.
#include <map>
#include <set>

#include "replication/store/mongo_client.h"
#include "replication/store/mongo_read.h"
#include "replication/store/mongo_store.h"

namespace outrigger {
namespace {

constexpr size_t kDocumentBytesMax = 16 * 1024 * 1024;  // what mongod lets a client store
constexpr size_t kStatementBytesMax = kDocumentBytesMax + 12 * 1024;  // leaves room for the command
constexpr int32_t kTooLarge = 10334;
constexpr int32_t kBadValue = 2;

struct Statement {
  size_t write = 0;  // index into the caller's writes
  std::string bytes;
  bool update = false;  // may match nothing
};

bool needs_literal(const bson::Document& document) {
  static const std::string kZeroTimestamp(8, '\0');
  for (const bson::Element& e : document) {
    if (e.name.starts_with('$')) return true;
    if (e.value.type == bson::Type::kTimestamp && e.value.bytes == kZeroTimestamp) return true;
  }
  return false;
}

bool repeats_a_name(const bson::Document& document) {
  std::set<std::string_view> seen;
  for (const bson::Element& e : document) {
    if (!seen.insert(e.name).second) return true;
    if (e.value.is_container() && repeats_a_name(e.value.as_document())) return true;
  }
  return false;
}

void append_filter(bson::Writer& to, const bson::OwnedValue& id) {
  to.open_document("q");
  if (id.view().is_container()) {
    to.open_document("_id").value("$eq", id).close();
  } else {
    to.value("_id", id);
  }
  to.close();
}

std::string whole_document(const StoreWrite& write) {
  const bson::Document document(write.document);
  bson::Writer whole;
  const auto first = document.first();
  if (first && first->name == "_id") return write.document;
  whole.value("_id", document.find("_id").value_or(write.id.view()));
  for (const bson::Element& e : document) {
    if (e.name != "_id") whole.element(e);
  }
  return whole.finish();
}

std::string removal(const StoreWrite& write) {
  bson::Writer w;
  append_filter(w, write.id);
  w.int32("limit", 1);
  if (mongo::needs_collation(write.id.view())) mongo::append_simple_collation(w);
  return w.finish();
}

std::string modification(const StoreWrite& write) {
  bson::Writer w;
  append_filter(w, write.id);
  w.open_document("u").open_document("$set");  // there even when empty: {} would be a replacement
  for (const StoreWrite::Set& set : write.set) w.value(dotted(set.path), set.value);
  w.close();
  if (!write.unset.empty()) {
    w.open_document("$unset");
    for (const Path& path : write.unset) w.boolean(dotted(path), true);
    w.close();
  }
  w.close();
  if (mongo::needs_collation(write.id.view())) mongo::append_simple_collation(w);
  return w.finish();
}

std::string replacement(const StoreWrite& write, const std::string& whole, bool literal) {
  bson::Writer w;
  append_filter(w, write.id);
  if (literal) {
    w.open_array("u").open_document("0").open_document("$replaceWith");
    w.document("$literal", bson::Document(whole)).close().close().close();
  } else {
    w.document("u", bson::Document(whole));
  }
  w.boolean("upsert", true);
  if (mongo::needs_collation(write.id.view())) mongo::append_simple_collation(w);
  return w.finish();
}

Status check_paths(std::span<const StoreWrite> writes) {
  const auto refuse = [](const StoreWrite& write) {
    return fail(ErrorCode::kInvalidArgument, "apply to store", write.ns,
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

// One call of apply(): holds what its steps share.
class Application {
 public:
  Application(mongo::Client& client, StoreKind kind, std::span<const StoreWrite> writes)
      : client_(client), kind_(kind), writes_(writes), outcomes_(writes.size()) {}

  [[nodiscard]] Status run() {
    for (const auto& [ns, of_ns] : group()) {
      if (auto done = run_namespace(ns, of_ns); !done) return done;
    }
    return {};
  }
  [[nodiscard]] std::vector<WriteOutcome> take() { return std::move(outcomes_); }

 private:
  using Indexes = std::vector<size_t>;

  [[nodiscard]] std::map<std::string, Indexes> group() const {
    std::map<std::string, Indexes> by_ns;
    for (size_t i = 0; i < writes_.size(); ++i) by_ns[writes_[i].ns].push_back(i);
    return by_ns;
  }

  void reject(size_t write, int32_t code, const std::string& message) {
    outcomes_[write] = {WriteOutcome::Kind::kRejected, code, message};
  }

  void add(std::vector<Statement>& to, size_t write, std::string bytes, bool update = false) {
    if (bytes.size() > kStatementBytesMax) {
      reject(write, kTooLarge, "larger than the 16 MiB that a document may have");
    } else {
      to.push_back({write, std::move(bytes), update});
    }
  }

  [[nodiscard]] Status run_namespace(const std::string& ns, const Indexes& of_ns) {
    std::vector<Statement> removes;
    std::vector<Statement> updates;
    std::vector<Statement> replaces;
    Indexes literal;
    for (const size_t i : of_ns) {
      const StoreWrite& write = writes_[i];
      if (write.kind == StoreWrite::Kind::kRemove) {
        add(removes, i, removal(write));
      } else if (write.kind == StoreWrite::Kind::kUpdate) {
        add(updates, i, modification(write), true);
      } else if (write.document.size() > kDocumentBytesMax) {
        reject(i, kTooLarge, "larger than the 16 MiB that a document may have");
      } else if (needs_literal(bson::Document(write.document))) {
        literal.push_back(i);
      } else {
        add(replaces, i, replacement(write, whole_document(write), false));
      }
    }
    if (auto done = add_literals(ns, literal, replaces); !done) return done;
    if (auto done = send_all(ns, "delete", removes); !done) return done;
    // One command for both kinds: statements run in order, and most batches fit in one.
    for (Statement& s : replaces) updates.push_back(std::move(s));
    return send_all(ns, "update", updates);
  }

  [[nodiscard]] Status add_literals(const std::string& ns, const Indexes& literal,
                                    std::vector<Statement>& to) {
    if (literal.empty()) return {};
    std::vector<bson::OwnedValue> ids;
    for (const size_t i : literal) ids.push_back(writes_[i].id);
    std::set<std::string> unsafe;
    auto looked = mongo::find_by_id(client_, ns, ids, mongo::Projection::kWhole,
                                    [&](const bson::Document& stored) {
                                      if (repeats_a_name(stored)) unsafe.insert(key_of(stored));
                                    });
    if (!looked) return looked;
    for (const size_t i : literal) {
      const std::string whole = whole_document(writes_[i]);
      if (unsafe.contains(canonical_key(writes_[i].id.view())) ||
          repeats_a_name(bson::Document(whole))) {
        reject(i, kBadValue, "repeated field names beside a '$' name or a zero timestamp");
      } else {
        add(to, i, replacement(writes_[i], whole, true));
      }
    }
    return {};
  }

  static std::string key_of(const bson::Document& document) {
    const auto id = document.find("_id");
    return id ? canonical_key(*id) : std::string();
  }

  [[nodiscard]] Status send_all(const std::string& ns, const std::string& command,
                                const std::vector<Statement>& statements) {
    const std::span<const Statement> all(statements);
    for (size_t from = 0; from < all.size();) {
      size_t to = from;
      size_t bytes = 0;
      while (to < all.size() && to - from < mongo::kBatch &&
             (to == from || bytes + all[to].bytes.size() < mongo::kBatchBytes)) {
        bytes += all[to++].bytes.size();
      }
      if (auto done = send(ns, command, all.subspan(from, to - from)); !done) return done;
      from = to;
    }
    return {};
  }

  [[nodiscard]] std::string body(const std::string& collection, const std::string& command,
                                 std::span<const Statement> batch) {
    bson::Writer w;
    w.string(command, collection).open_array(command + "s");
    for (size_t i = 0; i < batch.size(); ++i) {
      w.document(bson::index_name(i), bson::Document(batch[i].bytes));
    }
    w.close().boolean("ordered", false).open_document("writeConcern");
    if (kind_ == StoreKind::kMultiMember) {
      w.string("w", "majority");
    } else {
      w.int32("w", 1);
    }
    w.boolean("j", true).close();
    if (kind_ != StoreKind::kStandalone) w.int64("txnNumber", client_.next_txn_number());
    return w.finish();
  }

  [[nodiscard]] Status send(const std::string& ns, const std::string& command,
                            std::span<const Statement> batch) {
    const std::string step = "apply to store";
    const mongo::Names names = mongo::split(ns);
    auto reply = client_.run(names.database, body(names.collection, command, batch));
    if (!reply) return tl::unexpected<Error>(reply.error());
    if (!reply->ok) {
      if (whole_call_fails(reply->code)) {
        return tl::unexpected<Error>(client_.refusal(step, reply->code, reply->message));
      }
      for (const Statement& s : batch) reject(s.write, reply->code, reply->message);
      return {};
    }
    return read_reply(ns, reply->document(), batch);
  }

  [[nodiscard]] static bool whole_call_fails(int32_t code) {
    return mongo::is_transient(code) || code == mongo::kUnauthorized;
  }

  [[nodiscard]] Status read_reply(const std::string& ns, const bson::Document& reply,
                                  std::span<const Statement> batch) {
    const std::string step = "apply to store";
    size_t failed = 0;
    for (const bson::Element& e : mongo::sub(reply, "writeErrors")) {
      if (e.value.type != bson::Type::kDocument) continue;
      const bson::Document error = e.value.as_document();
      const auto index = static_cast<size_t>(mongo::integer(error, "index", -1));
      const auto code = static_cast<int32_t>(mongo::integer(error, "code"));
      const std::string message = mongo::text(error, "errmsg");
      if (whole_call_fails(code))
        return tl::unexpected<Error>(client_.refusal(step, code, message));
      if (index >= batch.size()) {
        return fail(ErrorCode::kCorrupt, step, ns, "an error for a statement never sent");
      }
      reject(batch[index].write, code, message);
      ++failed;
    }
    if (const bson::Document concern = mongo::sub(reply, "writeConcernError"); !concern.empty()) {
      client_.drop();
      return fail(ErrorCode::kUnavailable, step, ns, mongo::text(concern, "errmsg"),
                  "the store could not confirm durability; it is tried again");
    }
    const auto matched = static_cast<size_t>(mongo::integer(reply, "n"));
    return matched + failed < batch.size() ? find_unmatched(ns, batch) : Status();
  }

  [[nodiscard]] Status find_unmatched(const std::string& ns, std::span<const Statement> batch) {
    std::vector<bson::OwnedValue> ids;
    for (const Statement& s : batch) {
      if (s.update && outcomes_[s.write].ok()) ids.push_back(writes_[s.write].id);
    }
    std::set<std::string> there;
    auto looked = mongo::find_by_id(client_, ns, ids, mongo::Projection::kIdOnly,
                                    [&](const bson::Document& d) { there.insert(key_of(d)); });
    if (!looked) return looked;
    for (const Statement& s : batch) {
      if (!s.update || !outcomes_[s.write].ok()) continue;
      if (there.contains(canonical_key(writes_[s.write].id.view()))) continue;
      outcomes_[s.write].kind = WriteOutcome::Kind::kNotMatched;
    }
    return {};
  }

  mongo::Client& client_;
  StoreKind kind_;
  std::span<const StoreWrite> writes_;
  std::vector<WriteOutcome> outcomes_;
};

}  // namespace

Result<std::vector<WriteOutcome>> MongoStore::apply(std::span<const StoreWrite> writes) {
  if (auto legal = check_paths(writes); !legal) return tl::unexpected<Error>(legal.error());
  auto of_kind = kind();
  if (!of_kind) return tl::unexpected<Error>(of_kind.error());
  const std::string session = client_->session_id();
  if (*of_kind != StoreKind::kStandalone &&
      (own_sessions_.empty() || own_sessions_.back() != session)) {
    own_sessions_.push_back(session);
  }
  Application application(*client_, *of_kind, writes);
  if (auto done = application.run(); !done) return tl::unexpected<Error>(done.error());
  return application.take();
}

}  // namespace outrigger
