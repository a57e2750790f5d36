// A mongod without a disk and without sockets: answers the commands that an app's reads and writes
// and the sidecar send, over the documents of a MemoryStore, and loses in a crash what its journal
// did not hold yet.
//
// The problem: what the sidecar promises is mostly about moments that a real mongod shows seldom
// and never twice: it crashed after it had answered but before its journal was written, a retry
// meets a write that had happened after all. The idea: one map of documents with two faces, this
// one for wire messages and MemoryStore for the sidecar's own questions; each write remembers how
// to be undone until it is journaled. It is a replica set of one, or a standalone, of any
// release: what one lacks (replication/store/store_version.h) it has not and refuses.
//
// It knows what the tests of the sidecar need, and refuses by name (code 9) what it does not: most
// query operators, update operators but $set, $unset, $inc and $setOnInsert, paths through arrays.
// Collations and hints it takes for none; unique indexes are those its documents() are given. That
// it answers as a real one does is for memory_mongod_test.cc to hold, of the replica set; of a
// standalone nothing holds it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "proxy/mongo/wire/op_msg.h"
#include "replication/store/memory/memory_store.h"
#include "replication/store/store_version.h"

namespace outrigger::world {

// What a command is answered with.
struct MongodReply {
  std::string body;
  bool when_journaled = false;  // only once the journal holds all that was written so far
};

// An error as mongod tells it.
struct MongodError {
  int32_t code = 0;
  std::string message;
};
template <typename T>
using OrError = tl::expected<T, MongodError>;
[[nodiscard]] inline tl::unexpected<MongodError> refuse(int32_t code, std::string message) {
  return tl::unexpected(MongodError{code, std::move(message)});
}

class MemoryMongod {
 public:
  struct Options {
    std::string address = "memory:27017";   // as hello tells it
    std::function<uint32_t()> now_seconds;  // since the epoch
    uint64_t seed = 1;                      // of the _ids it makes up, and of what a crash keeps
    bool standalone = false;
    int32_t wire_version = 17;  // 6.0
    // How long it is busy with others before it runs a command, whoever waits for that.
    std::function<int64_t()> busy_ms = [] { return 0; };
    std::function<void()> on_journal = [] {};  // what was written so far is about to be safe
  };
  explicit MemoryMongod(Options options);
  MemoryMongod(const MemoryMongod&) = delete;
  MemoryMongod& operator=(const MemoryMongod&) = delete;

  // Runs one command, as far as it can be run.
  [[nodiscard]] MongodReply run(const wire::OpMsg& message);

  // ---- what it has been sent and not run yet
  [[nodiscard]] int64_t busy_ms() const { return options_.busy_ms(); }
  using Operation = uint64_t;
  [[nodiscard]] Operation begin(const wire::OpMsg& message, const std::string& client);
  [[nodiscard]] bool end(Operation operation);  // false: it was killed
  void kill_operations(std::span<const std::string> lsid_ids);
  [[nodiscard]] bool has_operation(std::span<const std::string> clients) const;

  // The documents, as the sidecar's own connections see them (memory_mongod_store.h).
  [[nodiscard]] MemoryStore& documents() { return store_; }
  [[nodiscard]] const MemoryStore& documents() const { return store_; }

  // What was written so far is safe.
  void journal() {
    options_.on_journal();
    unjournaled_ = 0;
  }
  [[nodiscard]] size_t unjournaled() const { return unjournaled_; }
  // It is killed: of what was not journaled the first so many writes (at most all of them) will
  // still be there, the others never happened. Gives how many were lost.
  size_t kill(size_t kept_max);
  // Again, as another process. It begins as started.
  void start();
  [[nodiscard]] bool is_running() const { return is_running_; }
  [[nodiscard]] bool is_standalone() const { return options_.standalone; }
  [[nodiscard]] bool can(StoreFeature feature) const { return has(options_.wire_version, feature); }

 private:
  friend class WriteRun;
  // One write, and how to undo it.
  struct Entry {
    OplogWrite op;
    std::optional<std::string> before;  // the document
    std::optional<std::string> after;
  };
  struct Change {
    std::optional<std::string> before;  // nothing: it was not there
    std::optional<std::string> after;   // nothing: it is gone
    bool by_operators = false;
  };
  struct Session {
    std::string lsid_id;
    int64_t txn_number = -1;  // -1: not to be retried
  };
  struct Numbered {
    int64_t txn_number = -1;
    std::map<int32_t, size_t> entries;  // by statement: of oplog_
  };
  struct Waiting {
    std::string lsid_id;
    std::string client;
  };
  struct Cursor {
    std::string ns;
    std::deque<std::string> documents;
  };

  [[nodiscard]] OrError<std::string> dispatch(const wire::OpMsg& message, bool& when_journaled);
  [[nodiscard]] std::string hello() const;
  [[nodiscard]] OrError<std::string> find(const wire::OpMsg& message);
  [[nodiscard]] OrError<std::string> get_more(const wire::OpMsg& message);
  [[nodiscard]] std::vector<std::string> chosen(const std::string& ns,
                                                const bson::Document& filter) const;
  [[nodiscard]] std::string batch(int64_t id, Cursor cursor, size_t size, const char* name);
  [[nodiscard]] std::string with_times(const std::string& body) const;

  // ---- for writes
  [[nodiscard]] std::optional<std::string> document(const std::string& ns,
                                                    const bson::Value& id) const;
  // Does it, and the oplog says so.
  void write(const std::string& ns, const bson::Value& id, Change change, const Session& session,
             int32_t stmt_id);
  // What this statement did when it was run before.
  [[nodiscard]] const Entry* executed(const Session& session, int32_t stmt_id) const;
  [[nodiscard]] std::optional<MongodError> refuse_session(const Session& session) const;
  [[nodiscard]] std::string fresh_object_id();
  void remember(size_t entry);  // of oplog_: its session knows it

  const Options options_;
  std::mt19937_64 random_;
  MemoryStore store_;
  std::vector<Entry> oplog_;
  std::map<std::string, Numbered> sessions_;  // by lsid.id: its last number
  size_t unjournaled_ = 0;                    // the last so many of oplog_
  Timestamp last_;                            // of the oplog's clock; never goes back
  std::map<Operation, Waiting> operations_;
  Operation last_operation_ = 0;
  std::map<int64_t, Cursor> cursors_;
  int64_t next_cursor_ = 1000;
  uint64_t starts_ = 0;
  bool is_running_ = false;
};

}  // namespace outrigger::world
