// One libmongoc client and its one session, as commands in and replies out: the only header that
// knows libmongoc. Bodies and replies are raw BSON, made and read with our own bson module, so that
// no type of libbson goes further than this.
//
// libmongoc marks a server that failed as down for five seconds; a client that failed is therefore
// thrown away and the next command makes a new one, with a new session. Not thread-safe.
#pragma once

#include <mongoc/mongoc.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "config/result.h"
#include "replication/bson/bson.h"
#include "replication/store/store.h"

namespace outrigger::mongo {

// What the server said. `ok` false: it refused the command, with `code` and `message`.
struct CommandReply {
  std::string bytes;
  bool ok = true;
  int32_t code = 0;
  std::string message;
  [[nodiscard]] bson::Document document() const { return bson::Document(bytes); }
};

class Client {
 public:
  // Checks the URI, connects nowhere. kInvalidArgument when libmongoc cannot read it.
  // `leaves_the_silent`: a member that does not answer is given up after seconds.
  [[nodiscard]] static Result<std::unique_ptr<Client>> open(const std::string& uri,
                                                            bool leaves_the_silent = false);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Connects when not connected. Errors: kUnavailable (no server), kRefused (wrong credentials).
  [[nodiscard]] Status connect();
  // Sends one command under our session. Only what keeps the server from answering is an Error.
  [[nodiscard]] Result<CommandReply> run(const std::string& database, const std::string& command);
  // The same, where a refusal is an Error too (see `refusal`). `step` names what was being done.
  [[nodiscard]] Result<CommandReply> must(const std::string& database, const std::string& command,
                                          const std::string& step);
  // Runs a command that answers with a cursor and shows every document of it. `visit` returns false
  // to stop early.
  [[nodiscard]] Status each(const std::string& database, const std::string& command,
                            const std::string& step,
                            const std::function<bool(const bson::Document&)>& visit);

  // Closes a cursor, as best it can: one that is left open ends by itself.
  void kill_cursor(const std::string& database, const std::string& collection, int64_t id);

  // The reply to the hello of this connection; connect() first.
  [[nodiscard]] bson::Document hello() const { return bson::Document(hello_); }
  [[nodiscard]] const std::string& session_id() const { return session_id_; }  // 16 bytes
  [[nodiscard]] int64_t next_txn_number() { return ++txn_number_; }
  // Forget the connection; the next command makes a new one.
  void drop();

  // "mongodb 127.0.0.1:27017": for errors; holds no credentials.
  [[nodiscard]] const std::string& name() const { return name_; }
  // An Error for a refusal by the server: kUnavailable when another attempt may succeed (and then
  // the connection is dropped), kRefused otherwise.
  [[nodiscard]] Error refusal(const std::string& step, int32_t code, const std::string& message);

 private:
  explicit Client(mongoc_uri_t* uri);
  [[nodiscard]] Error failure(const std::string& step, const bson_error_t& error);
  [[nodiscard]] std::string scrub(std::string text) const;  // takes the password out

  struct Delete {
    void operator()(mongoc_uri_t* p) const { mongoc_uri_destroy(p); }
    void operator()(mongoc_client_t* p) const { mongoc_client_destroy(p); }
    void operator()(mongoc_client_session_t* p) const { mongoc_client_session_destroy(p); }
  };
  std::unique_ptr<mongoc_uri_t, Delete> uri_;
  std::string name_;
  std::string secret_;
  std::unique_ptr<mongoc_client_t, Delete> client_;
  std::unique_ptr<mongoc_client_session_t, Delete> session_;  // dies before client_
  std::string options_;                                       // BSON that names the session
  std::string hello_;
  std::string session_id_;
  int64_t txn_number_ = 0;
};

// Codes after which another attempt may succeed (store_errors.h).
[[nodiscard]] bool is_transient(int32_t code);

inline constexpr int32_t kUnauthorized = 13;

// "db.collection" cut at its first dot.
struct Names {
  std::string database;
  std::string collection;
};
[[nodiscard]] Names split(std::string_view ns);
// Of mongod itself: admin, local, config.
[[nodiscard]] bool is_own_database(std::string_view name);

// ---- reading replies: what is missing or of another type gives the default
[[nodiscard]] int64_t integer(const bson::Document& from, std::string_view name,
                              int64_t missing = 0);
[[nodiscard]] std::string text(const bson::Document& from, std::string_view name);
[[nodiscard]] bool truthy(const bson::Document& from, std::string_view name);
// A sub-document or an array; empty when there is none. Borrows from `from`.
[[nodiscard]] bson::Document sub(const bson::Document& from, std::string_view name);
[[nodiscard]] Timestamp timestamp(const bson::Document& from, std::string_view name);
// The data of a binary field.
[[nodiscard]] std::string binary(const bson::Document& from, std::string_view name);

}  // namespace outrigger::mongo
