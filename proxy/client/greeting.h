// The answers to hello and isMaster: what mongod says of itself, under the names apps know, with
// what was agreed on of compression; and no primary before it is served.
//
// A hello may ask to be answered only when there is news, and allow a stream of answers, one to
// each. It waits at mongod, over the client's own connection there: what an election changes, that
// knows first. Where the client was shown something else than mongod said, since its primary is not
// served yet, the news will be ours, and it asks again and again.
#pragma once

#include <functional>
#include <string>

#include "proxy/client/client_replies.h"
#include "proxy/mongo/backend.h"
#include "proxy/mongo/store_gate.h"
#include "proxy/mongo/wire/op_msg.h"

namespace outrigger {

// Of one client connection.
class Greeting {
 public:
  struct Hooks {
    std::function<void()> let_in;  // a hello has logged the client in
    std::function<void()> waited;  // what it waited for is there, and is being sent
  };
  // All of it outlives this. `names`: those that this client is shown.
  Greeting(net::Loop& loop, StoreGate& gate, const ShownNames& names, ClientReplies& replies,
           Hooks hooks)
      : loop_(loop), gate_(gate), names_(names), replies_(replies), hooks_(std::move(hooks)) {}

  // Asks the store and answers the client, as often as that allows. False: one of the two is gone,
  // or end() was called.
  net::Task<bool> greet(Backend& backend, const wire::OpMsg& hello);
  // A client waits for news, and is as good as idle: who closes its connections ends that.
  [[nodiscard]] bool is_waiting() const { return is_waiting_; }
  // No answer follows the one under way.
  void end() { is_ended_ = true; }

  // ---- the parts of it, for hellos of old form
  // The client's hello as the store shall see it.
  [[nodiscard]] std::string masked(const Backend& backend, const bson::Document& hello) const;
  // The store's answer to it; kClosed after end(), where it `waits`.
  net::Task<Result<std::string>> ask(Backend& backend, std::string request, bool waits);
  // What the client is shown of the store's answer to its hello.
  net::Task<std::string> shown(Backend& backend, bson::Document hello, bson::Document reply);

 private:
  net::Task<bool> is_served(Backend& backend, bson::Document reply);

  net::Loop& loop_;
  StoreGate& gate_;
  const ShownNames& names_;
  ClientReplies& replies_;
  const Hooks hooks_;
  bool is_waiting_ = false;
  bool is_ended_ = false;
  bool is_held_back_ = false;  // the client was shown no primary where mongod has said so
};

}  // namespace outrigger
