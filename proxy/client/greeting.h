// The answers to hello and isMaster: what mongod says of itself, under the names apps know, with
// what was agreed on of compression; and no primary before it is served.
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
  // All of it outlives this. `names`: those that this client is shown. `let_in`: a hello has logged
  // it in.
  Greeting(net::Loop& loop, StoreGate& gate, const ShownNames& names, ClientReplies& replies,
           std::function<void()> let_in)
      : loop_(loop), gate_(gate), names_(names), replies_(replies), let_in_(std::move(let_in)) {}

  // Asks the store and answers the client. False: one of the two is gone.
  net::Task<bool> greet(Backend& backend, const wire::OpMsg& hello);
  // What the client is shown of the store's answer to its hello.
  net::Task<std::string> shown(Backend& backend, bson::Document hello, bson::Document reply);

 private:
  net::Task<bool> is_served(Backend& backend, bson::Document reply);

  net::Loop& loop_;
  StoreGate& gate_;
  const ShownNames& names_;
  ClientReplies& replies_;
  const std::function<void()> let_in_;
};

}  // namespace outrigger
