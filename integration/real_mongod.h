// A real mongod for tests, in C++: its own temporary directory and port, started as a standalone or
// as a replica set of one, with or without authentication, killed and started again at will. It
// dies with the test, and its directory goes with it.
//
// The binary is $OUTRIGGER_MONGOD, else `mongod` on PATH; without one start() fails and names
// tools/setup: a test without its mongod must fail, not pass.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/result.h"

namespace outrigger {

struct RealMongodOptions {
  bool replica_set = false;
  // Logins are required; the user "root", password "root", may do everything.
  bool authentication = false;
  std::vector<std::string> arguments;  // further ones for mongod
};

class RealMongod {
 public:
  // Returns when it answers and takes writes.
  [[nodiscard]] static Result<std::unique_ptr<RealMongod>> start(const RealMongodOptions& options);
  ~RealMongod();  // kills it and removes its directory
  RealMongod(const RealMongod&) = delete;
  RealMongod& operator=(const RealMongod&) = delete;

  // As root when authentication is on.
  [[nodiscard]] std::string uri() const { return uri("root", "root"); }
  // With these credentials; none when authentication is off or `user` is empty.
  [[nodiscard]] std::string uri(const std::string& user, const std::string& password) const;
  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] const std::string& directory() const { return directory_; }

  void kill_hard();  // SIGKILL
  void pause();      // SIGSTOP
  void resume();
  // After kill_hard(): the same data on the same port.
  [[nodiscard]] Status restart();
  // Runs one command given as relaxed Extended JSON, as uri() would; the reply the same way. Fails
  // when the server says no.
  [[nodiscard]] Result<std::string> command(const std::string& database, const std::string& json);

 private:
  RealMongod(RealMongodOptions options, std::string binary, std::string directory);
  [[nodiscard]] Status launch();
  [[nodiscard]] Status wait_until_open();
  [[nodiscard]] Status prepare();  // initiate the set, make the user
  [[nodiscard]] Status wait_until_writable();
  [[nodiscard]] Result<std::string> run(const std::string& uri, const std::string& database,
                                        const std::string& json);
  [[nodiscard]] std::string log_tail() const;

  RealMongodOptions options_;
  std::string binary_;
  std::string directory_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace outrigger
