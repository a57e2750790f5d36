// A client in a test's hand: one TCP connection to a mongod, OP_MSG bodies as the test writes them,
// one logical session. It can vanish in the middle of a command, as a killed process does.
#pragma once

#include <cstdint>
#include <string>

#include "replication/bson/bson.h"

namespace outrigger {

class RawClient {
 public:
  // Connects to 127.0.0.1; commands go to `database`. Aborts the test binary when it cannot.
  RawClient(uint16_t port, std::string database);
  ~RawClient() { vanish(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // Sends the command with the session and, inside a transaction, its fields. Does not read.
  void send(bson::Writer command, bool with_session = true);
  // send(), then the reply, whatever it says.
  std::string ask(bson::Writer command);
  // The same; aborts the test binary when the server says no.
  std::string call(bson::Writer command);
  // The next commands belong to a transaction of this number.
  void begin_transaction(int64_t txn_number);
  void commit();
  // Closes the socket, whatever is under way.
  void vanish();

  [[nodiscard]] const std::string& lsid_id() const { return lsid_id_; }
  [[nodiscard]] std::string address() const;  // "127.0.0.1:port", our end

 private:
  [[nodiscard]] std::string receive();

  int fd_ = -1;
  uint16_t own_port_ = 0;
  std::string database_;
  std::string lsid_id_;
  int64_t txn_number_ = -1;
  bool first_in_transaction_ = false;
};

}  // namespace outrigger
