// Which run of mongod a session's connection is to, and what it may be used for: the gate
// (mongo/store_gate.h), and members of a set that are not primary.
//
// A secondary is nobody's store: it is read as it is. What has to be captured is never sent there,
// as it may be elected while that is on its way; it is asked what it is first, and while it is not
// primary the app hears what mongod would have said. So it is asked before it is read as a primary.
// A hello that says primary passes the gate before it goes on (client/greeting.h), so that drivers
// turn to a primary only once it holds all that was acknowledged.
#pragma once

#include <string>

#include "proxy/mongo/wire/op_msg.h"
#include "proxy/writes/context.h"

namespace outrigger {

class StorePassage {
 public:
  // Outlives it.
  explicit StorePassage(ProxyContext& context) : context_(context) {}

  enum class Verdict : uint8_t {
    kFree,         // it is to the run that is served, or to another member that will do for this
    kNotPrimary,   // that has to be sent to another member
    kNotToBeRead,  // it reads at the primary alone, which this is not
    kNotServed,    // nor will it be soon
    kClosed,       // it has ended
  };
  // Of a connection that is not admitted: whether this may be sent there. `parsed` is no handshake.
  net::Task<Verdict> pass(Backend& backend, const wire::OpMsg& parsed);

 private:
  ProxyContext& context_;
};

// What a member that is not primary answers to this; and to who reads there by mistake.
[[nodiscard]] std::string not_primary_body(const wire::OpMsg& parsed);
[[nodiscard]] std::string not_to_be_read_body();

}  // namespace outrigger
