// The operator's door: metrics, health, status and conflicts over HTTP, on threads of its own
// (libcpp-httplib), so that a busy event loop still answers and a slow scrape costs no client.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "config/log.h"
#include "config/metrics.h"
#include "config/settings.h"
#include "replication/replica.h"

namespace httplib {
class Server;
}

namespace outrigger {

// What the admin port shows; every function is called from its threads.
struct AdminView {
  std::function<std::string()> metrics;                          // Prometheus text
  std::function<std::string()> status;                           // JSON
  std::function<Result<std::string>(size_t limit)> conflicts;    // JSON
  std::function<Result<std::string>(size_t limit)> quarantined;  // JSON
  std::function<Status(const std::string& record)> retry;        // a record set aside
  std::function<Status()> ready;                                 // an error says what is missing
};

class Admin {
 public:
  // Listens at once; kUnavailable when the port is taken.
  static Result<std::unique_ptr<Admin>> listen(const Endpoint& endpoint, AdminView view,
                                               Logger log);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  [[nodiscard]] int port() const { return port_; }

 private:
  Admin();
  std::unique_ptr<httplib::Server> server_;
  std::thread thread_;
  int port_ = 0;
};

}  // namespace outrigger
