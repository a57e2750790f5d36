// One connection to the local mongod, for one client connection: what the client authenticated is
// what its writes run as. Replies come in the order of requests.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "config/log.h"
#include "config/random.h"
#include "proxy/mongo/hello.h"
#include "proxy/mongo/wire/framer.h"
#include "proxy/mongo/wire/op_compressed.h"
#include "proxy/mongo/wire/op_msg.h"
#include "proxy/net/network.h"
#include "proxy/net/stream.h"
#include "proxy/net/tls.h"
#include "replication/outbox/backend_note.h"
#include "replication/store/store_version.h"

namespace outrigger {

// Where the store is, and how it is spoken to: as store.uri says, for the apps' connections as for
// the sidecar's own.
struct StoreEndpoint {
  net::Network* network = nullptr;       // reaches it; outlives whoever dials
  std::string address;                   // "host:port" or "unix:/path"
  std::string host;                      // without the port: whose certificate is expected
  std::shared_ptr<net::TlsContext> tls;  // none: in clear
  wire::Compressors compressors = {};    // that it is offered, the best first
};

class Backend {
 public:
  // As Network::connect, and with TLS where the store is spoken to so. `store` outlives the task;
  // `log` is told of answers that no mongod would give.
  static net::Task<Result<std::unique_ptr<Backend>>> dial(const StoreEndpoint& store,
                                                          Random& random, Logger log);

  // `lsid`: of its own writes.
  Backend(std::unique_ptr<net::Stream> stream, const Uuid& lsid, Logger log,
          wire::Compressors offered = {});

  // ---- compression, as store.uri asks for it: what is sent is packed once a client's hello, with
  // our offer in it, has agreed on it, and what comes is expanded. Questions of our own before any
  // client's hello go plain.
  // A hello with our own offer in the place of a client's.
  [[nodiscard]] std::string with_offer(const bson::Document& hello) const;
  [[nodiscard]] bool packs() const { return packs_by_.has_value(); }
  // mongod's answer to that.
  void note_agreed(const bson::Document& reply);

  [[nodiscard]] net::Stream& stream() { return *stream_; }
  void close() { stream_->close(); }
  [[nodiscard]] bool is_open() const { return stream_->is_open(); }

  // Sends a whole message.
  net::Task<Status> send_one(std::string_view message);
  // Sends whole messages, one after the other, in one write. Where nothing is packed, parts of
  // messages do as well.
  net::Task<Status> send(std::span<const std::string_view> messages);
  // The next reply, whole; its documents are well formed. kClosed when the connection ended,
  // kCorrupt when that is no reply: then it is closed.
  net::Task<Result<std::string>> receive();
  // What the next reply says of itself; it is left to be received or relayed. Errors as there.
  struct Announced {
    size_t bytes = 0;         // as receive() will give it
    size_t packed_bytes = 0;  // as it comes; 0: it is not packed
  };
  net::Task<Result<Announced>> next_reply();
  // As receive(), of a reply that nobody here looks into: whatever mongod says passes.
  net::Task<Result<std::string>> receive_unread();
  // One message out, its answer back.
  net::Task<Result<std::string>> call(std::string message);
  // mongod's answer to the command anybody may send: that it is there, and its times.
  net::Task<Result<std::string>> ping();
  // Passes the next reply on as it comes, in pieces, without holding it; not one that is packed.
  // Gives its flag bits (0 for another opcode than OP_MSG). Errors: kClosed from this side, kIo
  // from the client's.
  net::Task<Result<uint32_t>> relay_reply(net::Stream& to);

  [[nodiscard]] int32_t next_request_id() { return ++request_id_; }
  // Ours to name writes by, and how many there were.
  [[nodiscard]] const Uuid& lsid() const { return lsid_; }
  [[nodiscard]] std::string lsid_text() const;  // the 16 bytes
  [[nodiscard]] int64_t next_txn_number() { return ++txn_number_; }
  // It is the run of mongod that is served (store_gate.h).
  bool is_admitted = false;
  // Which run answers, once a hello has been answered; empty: it does not say.
  std::optional<std::string> process;
  // Asks for that.
  net::Task<Status> learn_process();
  // What it has said of itself in a hello: errors that we make in its place carry the same.
  void note_hello(const bson::Document& hello);
  // Whether the mongod that answers here can; no, as long as it has said nothing.
  [[nodiscard]] bool can(StoreFeature feature) const { return has(wire_version_, feature); }
  // `error` with the topologyVersion of its last hello.
  [[nodiscard]] std::string with_topology(const bson::Document& error) const;
  // Who is logged in, as SessionKey::user; forgotten with each step of a login.
  std::optional<uint64_t> user;
  // As the client names itself in its first hello (Record::app).
  std::string app;
  // Asks for that, where it is not known.
  net::Task<Status> learn_user();
  outbox::BackendNote note;  // of lsid() and our address, once something is written
  // Whether mongod has let this connection read a namespace: if so, it will most likely again.
  [[nodiscard]] bool may_read(const std::string& ns) const { return readable_.count(ns) > 0; }
  void can_read(const std::string& ns);
  void must_ask_to_read(const std::string& ns) { readable_.erase(ns); }

 private:
  tl::unexpected<Error> no_reply(std::string why);
  [[nodiscard]] std::optional<std::string> packed(std::string_view message) const;

  std::unique_ptr<net::Stream> stream_;
  Logger log_;
  wire::Framer framer_;
  Uuid lsid_;
  int64_t txn_number_ = 0;
  std::unordered_set<std::string> readable_;
  const wire::Compressors offered_;
  std::optional<wire::Compressor> packs_by_;
  std::string topology_;  // {topologyVersion: ..}; empty: it has said none
  int32_t wire_version_ = 0;
  int32_t request_id_ = 0x40000000;  // apart from drivers' own, which count up from small numbers
};

// A member of the store that apps are let through to. Where the settings list those of a replica
// set (`proxy.members`) each has a listener of its own, and what comes in there goes to it, whoever
// is primary; else there is one, whatever it is called.
struct StoreMember {
  StoreEndpoint store;  // reached from one loop
  ShownNames names;     // as its hellos show the set
  std::string name;     // "host:port" in the set's configuration; empty: nobody lists members
  // The same names for who came by a Unix socket, and is to stay there.
  ShownNames socket_names = {};
};

// Where apps come in, and to which member that leads.
struct StoreDoor {
  std::string address;  // "host:port" or "unix:/path"
  size_t member = 0;
  bool is_socket = false;
};

// In the order of the listeners; never empty.
using StoreMembers = std::vector<StoreMember>;

// A connection to it over which a hello has been answered. A member of several that says nothing is
// given up after some seconds. Everything is borrowed and outlives the task.
net::Task<Result<std::unique_ptr<Backend>>> dial_answering(net::Loop& loop,
                                                           const StoreMember& member,
                                                           Random& random, Logger log);
// The same to the primary, or else to the first that answers.
net::Task<Result<std::unique_ptr<Backend>>> dial_any(net::Loop& loop, const StoreMembers& members,
                                                     Random& random, Logger log);

// A reply of call(), which the view borrows from. Nothing: mongod did not answer.
[[nodiscard]] std::optional<wire::OpMsg> answer_in(const Result<std::string>& reply);

}  // namespace outrigger
