#include "replication/store/mongo/mongo_fence.h"

#include <chrono>
#include <optional>
#include <set>

namespace outrigger::mongo {
namespace {

constexpr auto kPause = std::chrono::milliseconds(20);
// A connection of a noted address may still hold a command mongod has not read; mongod reads at
// once, and then closes. One that stays this long is another client's, which was given the same
// port: what it runs is under no noted session, and none of our business.
constexpr auto kIdleGrace = std::chrono::seconds(2);

// What one look at $currentOp found.
struct Sighting {
  struct Session {
    std::string lsid;  // {id, uid}
  };
  std::vector<Session> sessions;      // to be killed by pattern
  std::vector<bson::OwnedValue> ops;  // opids, to be killed one by one
  size_t connections = 0;             // of noted addresses, doing nothing of a noted session
  std::string example;                // one of them, for people
  [[nodiscard]] bool busy() const { return !sessions.empty() || !ops.empty(); }
};

struct Noted {
  std::set<std::string> lsid_ids;
  std::set<std::string> clients;
  int64_t own_connection = -1;
};

std::string name_of(const bson::Document& op) {
  const std::string what = truthy(op, "active") ? "operation" : "idle " + text(op, "type");
  return what + " of " + text(op, "client") + " on " + text(op, "ns");
}

void look_at(const bson::Document& op, const Noted& noted, Sighting& found) {
  if (integer(op, "connectionId", -2) == noted.own_connection) return;
  const bson::Document lsid = sub(op, "lsid");
  const bool by_session = !lsid.empty() && noted.lsid_ids.contains(binary(lsid, "id"));
  const bool by_client = noted.clients.contains(text(op, "client"));
  const bool open_transaction = text(op, "type") == "idleSession";
  if (!by_session || (!truthy(op, "active") && !open_transaction)) {
    if (by_client) ++found.connections;
    if (by_client && found.example.empty()) found.example = name_of(op);
    return;
  }
  if (!found.busy()) found.example = name_of(op);
  const auto id = op.find("opid");
  if (!lsid.empty()) {
    bson::Writer pattern;
    for (const bson::Element& e : lsid) {
      if (e.name == "id" || e.name == "uid") pattern.element(e);
    }
    found.sessions.push_back({pattern.finish()});
  } else if (id) {
    found.ops.emplace_back(*id);
  }
}

std::string current_op(bool idle_connections) {
  bson::Writer ask;
  ask.int32("aggregate", 1).open_array("pipeline").open_document("0").open_document("$currentOp");
  ask.boolean("allUsers", true).boolean("idleConnections", idle_connections);
  ask.boolean("idleSessions", true);
  ask.close().close().close().open_document("cursor").close();
  return ask.finish();
}

Status kill(Client& client, const Sighting& found) {
  if (!found.sessions.empty()) {
    bson::Writer kill_sessions;
    kill_sessions.open_array("killAllSessionsByPattern");
    for (size_t i = 0; i < found.sessions.size(); ++i) {
      kill_sessions.open_document(bson::index_name(i));
      kill_sessions.document("lsid", bson::Document(found.sessions[i].lsid)).close();
    }
    kill_sessions.close();
    auto done = client.must("admin", kill_sessions.finish(), "kill sessions");
    if (!done) return tl::unexpected<Error>(done.error());
  }
  for (const bson::OwnedValue& op : found.ops) {
    bson::Writer kill_op;
    kill_op.int32("killOp", 1).value("op", op);
    auto done = client.must("admin", kill_op.finish(), "kill operation");
    if (!done) return tl::unexpected<Error>(done.error());
  }
  return {};
}

// What an operation or an idle session shows of the transaction it is in.
std::optional<OpenTransaction> transaction_of(const bson::Document& op) {
  const bson::Document lsid = sub(op, "lsid");
  const bson::Document parameters = sub(sub(op, "transaction"), "parameters");
  if (lsid.empty() || !parameters.has("autocommit")) return std::nullopt;
  OpenTransaction out;
  out.lsid_id = binary(lsid, "id");
  out.lsid_uid = binary(lsid, "uid");
  out.txn_number = integer(parameters, "txnNumber", -1);
  return out;
}

}  // namespace

Result<std::vector<OpenTransaction>> open_transactions(Client& client) {
  std::vector<OpenTransaction> open;
  Status looked =
      client.each("admin", current_op(false), "list transactions", [&](const bson::Document& op) {
        std::optional<OpenTransaction> one = transaction_of(op);
        if (one) open.push_back(std::move(*one));
        return true;
      });
  if (!looked) return tl::unexpected(looked.error());
  return open;
}

Status fence(Client& client, Threads& threads, std::span<const std::string> lsid_ids,
             std::span<const std::string> clients, Store::Duration timeout) {
  const std::string step = "fence store";
  const auto start = threads.now();
  Noted noted{{lsid_ids.begin(), lsid_ids.end()}, {clients.begin(), clients.end()}, -1};
  while (true) {
    if (auto connected = client.connect(); !connected) return connected;
    // A new connection of ours may have been given a noted port.
    noted.own_connection = integer(client.hello(), "connectionId", -1);
    Sighting found;
    auto looked = client.each("admin", current_op(true), step, [&](const bson::Document& op) {
      look_at(op, noted, found);
      return true;
    });
    if (!looked) return looked;
    const auto waited = threads.now() - start;
    if (!found.busy() && (found.connections == 0 || waited >= kIdleGrace)) return {};
    if (waited >= timeout) {
      return fail(ErrorCode::kTimeout, step, client.name(), found.example + " does not end",
                  "end it by hand (db.killOp), or restart mongod");
    }
    if (auto killed = kill(client, found); !killed) return killed;
    threads.sleep(kPause);
  }
}

}  // namespace outrigger::mongo
