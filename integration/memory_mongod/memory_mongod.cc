#include "integration/memory_mongod/memory_mongod.h"

#include <algorithm>

#include "integration/memory_mongod/filter.h"
#include "integration/memory_mongod/memory_mongod_writes.h"
#include "integration/memory_mongod/update.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger::world {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;

constexpr int32_t kDefaultBatch = 101;

std::string ns_of(const wire::OpMsg& message, std::string_view field) {
  const auto name = message.body.find(field);
  const std::string collection =
      name && name->type == Type::kString ? std::string(name->as_string()) : "?";
  return std::string(message.database()) + "." + collection;
}

int64_t number(const Document& body, std::string_view field, int64_t otherwise) {
  const auto value = body.find(field);
  return value ? value->to_int64().value_or(otherwise) : otherwise;
}

std::string ok() { return bson::Writer().real("ok", 1).finish(); }

std::string connection_status() {
  bson::Writer out;
  out.open_document("authInfo").open_array("authenticatedUsers").close();
  out.open_array("authenticatedUserRoles").close().close().real("ok", 1);
  return out.finish();
}

// Are there commands that change nothing here and are answered alike?
bool is_answered_ok(std::string_view name) {
  constexpr std::string_view kNames[] = {"ping", "killSessions", "endSessions", "killCursors"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace

MemoryMongod::MemoryMongod(Options options) : options_(std::move(options)), random_(options_.seed) {
  StoreInfo info = *store_.info();
  info.wire_version_max = options_.wire_version;
  store_.set_info(std::move(info));
  start();
}

MongodReply MemoryMongod::run(const wire::OpMsg& message) {
  MongodReply reply;
  OrError<std::string> body = dispatch(message, reply.when_journaled);
  if (!body) {
    reply.when_journaled = false;
    body = wire::error_body(body.error().code, body.error().message);
  }
  reply.body = with_times(*body);
  return reply;
}

OrError<std::string> MemoryMongod::dispatch(const wire::OpMsg& message, bool& when_journaled) {
  const std::string_view name = message.command_name();
  if (name == "hello" || name == "isMaster" || name == "ismaster") return hello();
  if (name == "connectionStatus") return connection_status();
  if (name == "find") return find(message);
  if (name == "getMore") return get_more(message);
  if (is_answered_ok(name)) return ok();
  const bool is_write = name == "insert" || name == "update" || name == "delete" ||
                        name == "findAndModify" || name == "findandmodify";
  if (!is_write) {
    return refuse(wire::code::kCommandNotFound, "no such command: '" + std::string(name) + "'");
  }
  WriteRun run(*this, message);
  return run.run(when_journaled);
}

std::string MemoryMongod::hello() const {
  bson::Writer out;
  out.boolean("helloOk", true).boolean("isWritablePrimary", true).boolean("secondary", false);
  if (!options_.standalone) {
    out.string("setName", "rs0").int32("setVersion", 1).string("primary", options_.address);
    out.string("me", options_.address).open_array("hosts").string("0", options_.address).close();
    out.object_id("electionId", std::string_view("\x7f\xff\xff\xff\0\0\0\0\0\0\0\1", 12));
  }
  out.int32("maxBsonObjectSize", 16 << 20).int32("maxMessageSizeBytes", 48'000'000);
  out.int32("maxWriteBatchSize", 100'000).int32("logicalSessionTimeoutMinutes", 30);
  out.int32("minWireVersion", 0).int32("maxWireVersion", options_.wire_version);
  out.boolean("readOnly", false);
  out.open_document("topologyVersion").object_id("processId", store_.process_id());
  out.int64("counter", 0).close();
  return out.real("ok", 1).finish();
}

OrError<std::string> MemoryMongod::find(const wire::OpMsg& message) {
  const Document& body = message.body;
  const auto filter = body.find("filter");
  const Document wanted = filter ? filter->as_document() : Document();
  const auto projection = body.find("projection");
  Cursor cursor;
  cursor.ns = ns_of(message, "find");
  const auto limit = static_cast<size_t>(number(body, "limit", 0));
  const auto all = sorted(chosen(cursor.ns, wanted), document_at(body, "sort"));
  if (!all) return tl::unexpected(all.error());
  for (const std::string& bytes : *all) {
    const auto is_wanted = matches(wanted, Document(bytes));
    if (!is_wanted) return tl::unexpected(is_wanted.error());
    if (!*is_wanted) continue;
    std::string shown = bytes;
    if (projection && !projection->as_document().empty()) {
      auto part = projected(projection->as_document(), Document(bytes));
      if (!part) return part;
      shown = std::move(*part);
    }
    cursor.documents.push_back(std::move(shown));
    if (limit > 0 && cursor.documents.size() == limit) break;
  }
  auto size = static_cast<size_t>(number(body, "batchSize", kDefaultBatch));
  const auto single = body.find("singleBatch");
  if (single && single->truthy()) size = cursor.documents.size();
  return batch(next_cursor_++, std::move(cursor), size, "firstBatch");
}

// What may match, by _id where the filter names some.
std::vector<std::string> MemoryMongod::chosen(const std::string& ns, const Document& filter) const {
  const auto ids = ids_of(filter);
  if (!ids) return store_.documents(ns);
  std::map<std::string, std::string> found;  // each once
  for (const bson::OwnedValue& id : *ids) {
    if (auto bytes = store_.document(ns, id)) {
      found[bson::canonical_key(id.view())] = std::move(*bytes);
    }
  }
  std::vector<std::string> out;
  for (auto& [key, bytes] : found) out.push_back(std::move(bytes));
  return out;
}

OrError<std::string> MemoryMongod::get_more(const wire::OpMsg& message) {
  const auto id = message.body.find("getMore")->to_int64().value_or(0);
  const auto found = cursors_.find(id);
  if (found == cursors_.end()) {
    return refuse(wire::code::kCursorNotFound, "cursor id " + std::to_string(id) + " not found");
  }
  Cursor cursor = std::move(found->second);
  cursors_.erase(found);
  const size_t all = cursor.documents.size();
  const auto size = number(message.body, "batchSize", static_cast<int64_t>(all));
  return batch(id, std::move(cursor), static_cast<size_t>(size), "nextBatch");
}

// The next documents of the cursor, which stays if there are more.
std::string MemoryMongod::batch(int64_t id, Cursor cursor, size_t size, const char* name) {
  const std::string ns = cursor.ns;
  bson::Writer out;
  out.open_document("cursor").open_array(name);
  for (size_t i = 0; i < size && !cursor.documents.empty(); ++i) {
    out.document(bson::index_name(i), Document(cursor.documents.front()));
    cursor.documents.pop_front();
  }
  const bool is_done = cursor.documents.empty();
  out.close().int64("id", is_done ? 0 : id).string("ns", ns).close().real("ok", 1);
  if (!is_done) cursors_[id] = std::move(cursor);
  return out.finish();
}

std::string MemoryMongod::with_times(const std::string& body) const {
  if (options_.standalone) return body;
  bson::Writer out;
  out.append_all(Document(body));
  out.open_document("$clusterTime").timestamp("clusterTime", last_.seconds, last_.increment);
  out.open_document("signature").binary("hash", 0, std::string(20, '\0')).int64("keyId", 0);
  out.close().close().timestamp("operationTime", last_.seconds, last_.increment);
  return out.finish();
}

std::string MemoryMongod::fresh_object_id() {
  std::string id;
  while (id.size() < 12) id.push_back(static_cast<char>(random_()));
  return id;
}

std::optional<std::string> MemoryMongod::document(const std::string& ns,
                                                  const bson::Value& id) const {
  return store_.document(ns, bson::OwnedValue(id));
}

MemoryMongod::Operation MemoryMongod::begin(const wire::OpMsg& message, const std::string& client) {
  Waiting waiting{"", client};
  const auto lsid = message.body.find("lsid");
  const auto id = lsid && lsid->is_container() ? lsid->as_document().find("id") : std::nullopt;
  if (id && id->type == Type::kBinary && id->bytes.size() > 5)
    waiting.lsid_id = id->bytes.substr(5);
  operations_.emplace(++last_operation_, std::move(waiting));
  return last_operation_;
}

bool MemoryMongod::end(Operation operation) { return operations_.erase(operation) > 0; }

void MemoryMongod::kill_operations(std::span<const std::string> lsid_ids) {
  std::erase_if(operations_, [&](const auto& entry) {
    const std::string& lsid = entry.second.lsid_id;
    return std::find(lsid_ids.begin(), lsid_ids.end(), lsid) != lsid_ids.end();
  });
}

bool MemoryMongod::has_operation(std::span<const std::string> clients) const {
  return std::any_of(operations_.begin(), operations_.end(), [&](const auto& entry) {
    return std::find(clients.begin(), clients.end(), entry.second.client) != clients.end();
  });
}

size_t MemoryMongod::kill(size_t kept_max) {
  const size_t kept = std::min(kept_max, unjournaled_);
  const size_t lost = unjournaled_ - kept;
  for (size_t i = 0; i < lost; ++i) {
    const Entry& entry = oplog_.back();
    if (entry.before) store_.put(entry.op.ns, *entry.before);
    if (!entry.before) store_.remove(entry.op.ns, entry.op.id);
    oplog_.pop_back();
  }
  sessions_.clear();
  for (size_t i = 0; i < oplog_.size(); ++i) remember(i);
  store_.drop_oplog_after(oplog_.empty() ? Timestamp{} : oplog_.back().op.at);
  unjournaled_ = 0;
  cursors_.clear();
  operations_.clear();
  is_running_ = false;
  return lost;
}

void MemoryMongod::start() {
  StoreInfo info = *store_.info();
  if (options_.standalone) {
    info.kind = StoreKind::kStandalone;
    info.set_name.clear();
    info.hosts.clear();
    info.me.clear();
  } else {
    info.hosts = {options_.address};
    info.me = options_.address;
  }
  info.process_id = "process-0000";
  const std::string number = std::to_string(++starts_);
  info.process_id.replace(info.process_id.size() - number.size(), number.size(), number);
  store_.set_info(std::move(info));
  is_running_ = true;
}

void MemoryMongod::write(const std::string& ns, const bson::Value& id, Change change,
                         const Session& session, int32_t stmt_id) {
  using Kind = OplogWrite::Kind;
  const uint32_t seconds = options_.now_seconds();
  if (seconds > last_.seconds) last_ = {seconds, 0};
  ++last_.increment;
  Entry entry;
  entry.op.kind = !change.after ? Kind::kRemove : change.before ? Kind::kUpdate : Kind::kInsert;
  entry.op.at = last_;
  entry.op.ns = ns;
  entry.op.id = bson::OwnedValue(id);
  entry.op.o = change.after ? *change.after : bson::Writer().value("_id", id).finish();
  if (change.before && change.after && change.by_operators) {
    const Document before(*change.before);
    const Document after(*change.after);
    entry.op.o =
        can(StoreFeature::kDiffsInOplog) ? oplog_diff(before, after) : oplog_sets(before, after);
  }
  if (session.txn_number >= 0) {
    entry.op.lsid_id = session.lsid_id;
    entry.op.lsid_uid = kNobodysDigest;
    entry.op.txn_number = session.txn_number;
    entry.op.stmt_ids = {stmt_id};
  }
  if (change.after) store_.put(ns, *change.after);
  if (!change.after) store_.remove(ns, entry.op.id);
  store_.add_oplog(entry.op);
  entry.before = std::move(change.before);
  entry.after = std::move(change.after);
  oplog_.push_back(std::move(entry));
  remember(oplog_.size() - 1);
  ++unjournaled_;
}

void MemoryMongod::remember(size_t entry) {
  const OplogWrite& op = oplog_[entry].op;
  if (op.txn_number < 0) return;
  Numbered& session = sessions_[op.lsid_id];
  if (session.txn_number != op.txn_number) session = {op.txn_number, {}};
  session.entries[op.stmt_ids.front()] = entry;
}

const MemoryMongod::Entry* MemoryMongod::executed(const Session& session, int32_t stmt_id) const {
  if (session.txn_number < 0) return nullptr;
  const auto known = sessions_.find(session.lsid_id);
  if (known == sessions_.end() || known->second.txn_number != session.txn_number) return nullptr;
  const auto entry = known->second.entries.find(stmt_id);
  return entry == known->second.entries.end() ? nullptr : &oplog_[entry->second];
}

std::optional<MongodError> MemoryMongod::refuse_session(const Session& session) const {
  if (session.txn_number < 0) return std::nullopt;
  if (options_.standalone) {
    return MongodError{wire::code::kIllegalOperation,
                       "Transaction numbers are only allowed on a replica set member or mongos"};
  }
  const auto known = sessions_.find(session.lsid_id);
  if (known == sessions_.end() || known->second.txn_number <= session.txn_number) {
    return std::nullopt;
  }
  return MongodError{wire::code::kTransactionTooOld,
                     "a newer retryable write has already started on this session"};
}

}  // namespace outrigger::world
