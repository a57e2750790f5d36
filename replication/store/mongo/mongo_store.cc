#include "replication/store/mongo/mongo_store.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "replication/bson/id.h"
#include "replication/store/mongo/mongo_client.h"
#include "replication/store/mongo/mongo_read.h"

namespace outrigger {
namespace {

using mongo::integer;
using mongo::process_of;
using mongo::sub;
using mongo::text;
using mongo::truthy;

constexpr auto kRetryPause = std::chrono::milliseconds(100);

size_t count_elements(const bson::Document& of) {
  size_t n = 0;
  for (auto it = of.begin(); !(it == of.end()); ++it) ++n;
  return n;
}

// Members that hello shows; hidden ones it does not.
size_t visible_members(const bson::Document& hello) {
  return count_elements(sub(hello, "hosts")) + count_elements(sub(hello, "passives")) +
         count_elements(sub(hello, "arbiters"));
}

bool is_writable(const bson::Document& hello) {
  return truthy(hello, "isWritablePrimary") && !truthy(hello, "isreplicaset");
}

StoreInfo describe(const bson::Document& hello, StoreKind kind) {
  StoreInfo info;
  info.kind = kind;
  info.set_name = text(hello, "setName");
  for (const bson::Element& e : sub(hello, "hosts")) {
    if (e.value.type == bson::Type::kString) info.hosts.emplace_back(e.value.as_string());
  }
  info.me = text(hello, "me");
  info.wire_version_min = static_cast<int32_t>(integer(hello, "minWireVersion"));
  info.wire_version_max = static_cast<int32_t>(integer(hello, "maxWireVersion"));
  info.process_id = process_of(hello);
  info.writable = is_writable(hello);
  if (const auto minutes = hello.find("logicalSessionTimeoutMinutes");
      minutes && minutes->to_int64()) {
    info.session_timeout_minutes = static_cast<int32_t>(*minutes->to_int64());
  }
  return info;
}

}  // namespace

Result<std::unique_ptr<MongoStore>> MongoStore::open(const std::string& uri) {
  auto client = mongo::Client::open(uri);
  if (!client) return tl::unexpected<Error>(client.error());
  return std::unique_ptr<MongoStore>(new MongoStore(std::move(*client)));
}

MongoStore::MongoStore(std::unique_ptr<mongo::Client> client) : client_(std::move(client)) {}
MongoStore::~MongoStore() = default;

Status MongoStore::ping() {
  auto reply = client_->must("admin", bson::Writer().int32("hello", 1).finish(), "ping store");
  if (!reply) return tl::unexpected<Error>(reply.error());
  process_id_ = process_of(reply->document());
  return {};
}

Status MongoStore::wait_available(Duration timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    Error last;
    const std::string ask = bson::Writer().int32("hello", 1).finish();
    auto hello = client_->must("admin", ask, "wait for store");
    if (hello && is_writable(hello->document())) return {};
    if (hello) {
      last =
          Error{ErrorCode::kUnavailable, "wait for store", client_->name(),
                truthy(hello->document(), "isreplicaset") ? "the replica set is not initiated yet"
                                                          : "it is not primary",
                "initiate the set, or point store.uri at the primary"};
      client_->drop();  // what this connection knew of the set is old by then
    } else if (hello.error().code != ErrorCode::kUnavailable) {
      return tl::unexpected<Error>(hello.error());
    } else {
      last = hello.error();
    }
    if (std::chrono::steady_clock::now() + kRetryPause > deadline) {
      last.code = ErrorCode::kTimeout;
      return tl::unexpected<Error>(last);
    }
    std::this_thread::sleep_for(kRetryPause);
  }
}

Result<StoreKind> MongoStore::kind() {
  if (auto connected = client_->connect(); !connected) {
    return tl::unexpected<Error>(connected.error());
  }
  const std::string hello(client_->hello().bytes());
  // Each time: who looked at the kind of this connection may not have noted whose it is.
  process_id_ = process_of(bson::Document(hello));
  if (kind_of_session_ == client_->session_id()) return kind_;
  return look_at_kind(bson::Document(hello));
}

Result<StoreKind> MongoStore::look_at_kind(const bson::Document& hello) {
  if (text(hello, "msg") == "isdbgrid") {
    return fail(ErrorCode::kUnsupported, "look at store", client_->name(), "it is a mongos",
                "point store.uri at a standalone or a replica set");
  }
  StoreKind seen_kind = StoreKind::kStandalone;
  if (hello.has("setName")) {
    size_t members = visible_members(hello);
    // The configuration also lists hidden members. Where we may not read it, hello must do.
    bson::Writer find;
    find.string("find", "system.replset").int32("limit", 1);
    auto seen =
        client_->each("local", find.finish(), "look at store", [&](const bson::Document& d) {
          members = std::max(members, count_elements(sub(d, "members")));
          return true;
        });
    if (!seen && seen.error().code != ErrorCode::kRefused) {
      return tl::unexpected<Error>(seen.error());
    }
    seen_kind = members > 1 ? StoreKind::kMultiMember : StoreKind::kSingleMember;
  }
  kind_ = seen_kind;
  kind_of_session_ = client_->session_id();
  return kind_;
}

Result<StoreInfo> MongoStore::info() {
  auto hello = client_->must("admin", bson::Writer().int32("hello", 1).finish(), "look at store");
  if (!hello) return tl::unexpected<Error>(hello.error());
  process_id_ = process_of(hello->document());
  // Asked anew: members may have been added since we connected.
  auto of_kind = look_at_kind(hello->document());
  if (!of_kind) return tl::unexpected<Error>(of_kind.error());
  auto build =
      client_->must("admin", bson::Writer().int32("buildInfo", 1).finish(), "look at store");
  if (!build) return tl::unexpected<Error>(build.error());
  StoreInfo info = describe(hello->document(), *of_kind);
  info.version = text(build->document(), "version");
  return info;
}

Result<std::vector<std::optional<std::string>>> MongoStore::read(
    const std::string& ns, std::span<const bson::OwnedValue> ids) {
  std::vector<std::optional<std::string>> found(ids.size());
  auto done = look(ns, ids, std::nullopt, [&](size_t index, const bson::Document& document) {
    found[index] = std::string(document.bytes());
  });
  if (!done) return tl::unexpected<Error>(done.error());
  return found;
}

Result<StoreFound> MongoStore::find(const std::string& database, const std::string& command) {
  StoreFound found;
  std::string next = command;
  for (;;) {
    auto reply = client_->run(database, next);
    if (!reply) return tl::unexpected<Error>(reply.error());
    if (!reply->ok) {
      found.refusal = std::move(reply->bytes);
      return found;
    }
    const bson::Document cursor = sub(reply->document(), "cursor");
    for (const char* batch : {"firstBatch", "nextBatch"}) {
      for (const bson::Element& e : sub(cursor, batch)) {
        if (e.value.type != bson::Type::kDocument) continue;
        found.documents.emplace_back(e.value.as_document().bytes());
      }
    }
    const int64_t id = integer(cursor, "id");
    if (id == 0) return found;
    bson::Writer more;
    more.int64("getMore", id);
    more.string("collection", mongo::split(text(cursor, "ns")).collection);
    next = more.finish();
  }
}

Status MongoStore::look(
    const std::string& ns, std::span<const bson::OwnedValue> ids,
    const std::optional<std::vector<std::string>>& fields,
    const std::function<void(size_t index, const bson::Document& document)>& visit) {
  if (Status there = holds_documents(ns); !there) return there;
  std::multimap<std::string, size_t> wanted;
  for (size_t i = 0; i < ids.size(); ++i) wanted.emplace(canonical_key(ids[i].view()), i);
  Status looked =
      mongo::find_by_id(*client_, ns, ids, {fields, nullptr}, [&](const bson::Document& document) {
        const auto id = document.find("_id");
        if (!id) return;
        const auto [from, to] = wanted.equal_range(canonical_key(*id));
        for (auto it = from; it != to; ++it) visit(it->second, document);
      });
  const bool refused = !looked && looked.error().code == ErrorCode::kRefused;
  if (!refused || targets_.erase(ns) == 0) return looked;
  const Status still = holds_documents(ns);  // a view may have come in its place
  return still ? looked : still;
}

// What is no collection shows documents that are none of its own, or refuses to show any: whatever
// its pipeline says.
Status MongoStore::holds_documents(const std::string& ns) {
  auto found = target(ns);
  // Who may not ask may still read.
  if (!found && found.error().code == ErrorCode::kRefused) return {};
  if (!found) return tl::unexpected<Error>(found.error());
  if (found->type != CollectionInfo::Type::kView &&
      found->type != CollectionInfo::Type::kTimeSeries) {
    return {};
  }
  return fail(ErrorCode::kInvalidArgument, "read documents", ns,
              "what has this name here is no collection");
}

Status MongoStore::wait_journaled() {
  const std::string step = "wait for the journal";
  auto of_kind = kind();
  if (!of_kind) return tl::unexpected<Error>(of_kind.error());
  auto reply = delete_nothing(*of_kind);
  if (reply && !reply->ok && reply->code == mongo::kUnauthorized) {
    // Our user may not write everywhere. Anywhere will do.
    auto place = somewhere_to_delete();
    if (!place) return tl::unexpected<Error>(place.error());
    nothing_ns_ = std::move(*place);
    reply = delete_nothing(*of_kind);
  }
  if (!reply) {
    reply.error().step = step;
    return tl::unexpected<Error>(reply.error());
  }
  if (!reply->ok) {
    return tl::unexpected<Error>(client_->refusal(step, reply->code, reply->message));
  }
  for (const char* trouble : {"writeConcernError", "writeErrors"}) {
    if (!reply->document().has(trouble)) continue;
    client_->drop();
    return fail(ErrorCode::kUnavailable, step, client_->name(), to_json(reply->document()),
                "it is tried again");
  }
  return {};
}

// A write that changes nothing is answered, as its concern asks, when all before it is there.
Result<mongo::CommandReply> MongoStore::delete_nothing(StoreKind of_kind) {
  const mongo::Names where = mongo::split(nothing_ns_);
  bson::Writer nothing;
  nothing.string("delete", where.collection).open_array("deletes").open_document("0");
  nothing.open_document("q").open_document("_id").open_array("$in").close().close().close();
  nothing.int32("limit", 1).close().close();
  nothing.open_document("writeConcern");
  if (of_kind == StoreKind::kStandalone) {
    nothing.int32("w", 1);
  } else {
    nothing.string("w", "majority");
  }
  nothing.boolean("j", true).close();
  return client_->run(where.database, nothing.finish());
}

std::string MongoStore::process_id() const { return process_id_; }

std::vector<std::string> MongoStore::own_sessions() const { return own_sessions_; }

namespace mongo {
namespace {

std::string find_command(const std::string& collection, std::span<const bson::OwnedValue> ids,
                         const Projection& projection) {
  bson::Writer find;
  find.string("find", collection).open_document("filter").open_document("_id").open_array("$in");
  bool collate = false;
  for (size_t i = 0; i < ids.size(); ++i) {
    find.value(bson::index_name(i), ids[i]);
    collate = collate || needs_collation(ids[i].view());
  }
  find.close().close();
  if (projection.not_matching != nullptr) {
    find.open_array("$nor").document("0", *projection.not_matching).close();
  }
  find.close();
  if (projection.fields) {
    find.open_document("projection").int32("_id", 1);
    for (const std::string& name : *projection.fields) {
      if (name != "_id") find.int32(name, 1);  // twice would be an error
    }
    find.close();
  }
  find.int32("batchSize", static_cast<int32_t>(kBatch));
  // Conditions of the collection's own are meant in its own collation.
  if (collate && projection.not_matching == nullptr) append_simple_collation(find);
  find.open_document("readConcern").string("level", "local").close();
  return find.finish();
}

}  // namespace

bool needs_collation(const bson::Value& id) {
  return id.type == bson::Type::kString || id.type == bson::Type::kSymbol || id.is_container();
}

void append_simple_collation(bson::Writer& to) {
  to.open_document("collation").string("locale", "simple").close();
}

Status find_by_id(Client& client, const std::string& ns, std::span<const bson::OwnedValue> ids,
                  const Projection& projection,
                  const std::function<void(const bson::Document&)>& visit) {
  for (const bson::OwnedValue& id : ids) {
    if (!bson::why_no_id(id.view()).empty()) {
      return fail(ErrorCode::kInvalidArgument, "read documents", ns, "a value that can be no _id");
    }
  }
  const Names names = split(ns);
  for (size_t from = 0; from < ids.size();) {
    size_t to = from;
    size_t bytes = 0;
    while (to < ids.size() && to - from < kBatch && (to == from || bytes < kBatchBytes)) {
      bytes += ids[to++].bytes.size();
    }
    auto done = client.each(
        names.database, find_command(names.collection, ids.subspan(from, to - from), projection),
        "read documents", [&](const bson::Document& d) {
          visit(d);
          return true;
        });
    if (!done) return done;
    from = to;
  }
  return {};
}

}  // namespace mongo
}  // namespace outrigger
