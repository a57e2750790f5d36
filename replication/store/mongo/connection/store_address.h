// Where the store is, as sessions dial it: the one "host:port" in a MongoDB connection string, or
// "unix:/path" where it names a Unix socket, which saves both sides half the cost of a hop.
#pragma once

#include <optional>
#include <string>

#include "config/result.h"

namespace outrigger {

struct StoreTls {
  std::string ca_file;               // empty: the system's
  std::string certificate_key_file;  // of the sidecar; empty: none is shown
  std::string key_password;
  bool verify_certificate = true;
  bool verify_host = true;
};

// Whose connection it is; holds a password.
struct StoreLogin {
  std::string user;
  std::string password;
  std::string source;     // the database that knows the user
  std::string mechanism;  // empty: the best that both know
};

struct StoreAddress {
  std::string address;
  std::string host;                 // without the port
  std::optional<StoreTls> tls;      // none: in clear
  std::optional<StoreLogin> login;  // none: nobody is named
};

// kInvalidArgument when the string cannot be read; kUnsupported for mongodb+srv, and for several
// hosts unless they `may_be_several`, which are seeds of a set whose members are named elsewhere;
// then the first is given.
[[nodiscard]] Result<StoreAddress> store_address(const std::string& uri,
                                                 bool may_be_several = false);

}  // namespace outrigger
