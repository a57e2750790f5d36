#include "replication/store/mongo/connection/mongo_topology.h"

#include <algorithm>
#include <chrono>

namespace outrigger::mongo {
namespace {

constexpr auto kRetryPause = std::chrono::milliseconds(100);

size_t count_elements(const bson::Document& of) {
  size_t n = 0;
  for (auto it = of.begin(); !(it == of.end()); ++it) ++n;
  return n;
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
  for (const char* field : {"hosts", "passives", "arbiters"}) {
    for (const bson::Element& e : sub(hello, field)) {
      if (e.value.type == bson::Type::kString) info.members.emplace_back(e.value.as_string());
    }
  }
  info.me = text(hello, "me");
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

Status Topology::ping() {
  auto reply = client_.must("admin", bson::Writer().int32("hello", 1).finish(), "ping store");
  if (!reply) return tl::unexpected<Error>(reply.error());
  process_id_ = process_of(reply->document());
  if (is_follower(process_id_)) {
    client_.drop();  // what it knows of the set is old
    return fail(ErrorCode::kUnavailable, "ping store", client_.name(), "it is not primary any more",
                "it is tried again");
  }
  // libmongoc connects anew by itself; what this client knows is then of a run that is gone.
  if (process_id_ == process_of(client_.hello())) return {};
  client_.drop();
  if (auto connected = client_.connect(); !connected) return connected;
  process_id_ = process_of(client_.hello());
  return {};
}

Status Topology::wait_available(Store::Duration timeout) {
  const auto deadline = threads_.now() + timeout;
  while (true) {
    Error last;
    const std::string ask = bson::Writer().int32("hello", 1).finish();
    auto hello = client_.must("admin", ask, "wait for store");
    if (hello && is_writable(hello->document())) return {};
    if (hello) {
      last =
          Error{ErrorCode::kUnavailable, "wait for store", client_.name(),
                truthy(hello->document(), "isreplicaset") ? "the replica set is not initiated yet"
                                                          : "it is not primary",
                "initiate the set, or point store.uri at the primary"};
      client_.drop();  // what this connection knew of the set is old by then
    } else if (hello.error().code != ErrorCode::kUnavailable) {
      return tl::unexpected<Error>(hello.error());
    } else {
      last = hello.error();
    }
    if (threads_.now() + kRetryPause > deadline) {
      last.code = ErrorCode::kTimeout;
      return tl::unexpected<Error>(last);
    }
    threads_.sleep(kRetryPause);
  }
}

Result<StoreKind> Topology::kind() {
  if (auto connected = client_.connect(); !connected) {
    return tl::unexpected<Error>(connected.error());
  }
  const std::string hello(client_.hello().bytes());
  // Each time: who looked at the kind of this connection may not have noted whose it is.
  process_id_ = process_of(bson::Document(hello));
  if (kind_of_session_ == client_.session_id()) return kind_;
  return look_at_kind(bson::Document(hello));
}

Result<StoreKind> Topology::look_at_kind(const bson::Document& hello) {
  if (text(hello, "msg") == "isdbgrid") {
    return fail(ErrorCode::kUnsupported, "look at store", client_.name(), "it is a mongos",
                "point store.uri at a standalone or a replica set");
  }
  StoreKind seen_kind = StoreKind::kStandalone;
  if (hello.has("setName")) {
    size_t members = members_shown(hello);
    // The configuration also lists hidden members. Where we may not read it, hello must do.
    bson::Writer find;
    find.string("find", "system.replset").int32("limit", 1);
    auto seen = client_.each("local", find.finish(), "look at store", [&](const bson::Document& d) {
      members = std::max(members, count_elements(sub(d, "members")));
      return true;
    });
    if (!seen && seen.error().code != ErrorCode::kRefused) {
      return tl::unexpected<Error>(seen.error());
    }
    seen_kind = members > 1 ? StoreKind::kMultiMember : StoreKind::kSingleMember;
  }
  kind_ = seen_kind;
  kind_of_session_ = client_.session_id();
  return kind_;
}

Result<StoreInfo> Topology::info() {
  auto hello = client_.must("admin", bson::Writer().int32("hello", 1).finish(), "look at store");
  if (!hello) return tl::unexpected<Error>(hello.error());
  process_id_ = process_of(hello->document());
  // Asked anew: members may have been added since we connected.
  auto of_kind = look_at_kind(hello->document());
  if (!of_kind) return tl::unexpected<Error>(of_kind.error());
  auto build =
      client_.must("admin", bson::Writer().int32("buildInfo", 1).finish(), "look at store");
  if (!build) return tl::unexpected<Error>(build.error());
  StoreInfo info = describe(hello->document(), *of_kind);
  info.version = text(build->document(), "version");
  bson::Writer ask;
  ask.int32("getParameter", 1).int32("featureCompatibilityVersion", 1);
  auto said = client_.run("admin", ask.finish());
  if (!said) return tl::unexpected<Error>(said.error());
  info.feature_version = text(sub(said->document(), "featureCompatibilityVersion"), "version");
  return info;
}

Status Topology::require_replica_set(const std::string& step) {
  auto of_kind = kind();
  if (!of_kind) return tl::unexpected<Error>(of_kind.error());
  if (*of_kind != StoreKind::kStandalone) return {};
  return fail(ErrorCode::kUnsupported, step, client_.name(), "a standalone has no oplog");
}

}  // namespace outrigger::mongo
