// The operator's door: metrics, health, status and conflicts over HTTP, on threads of its own
// (http_server.h), so that a busy event loop still answers and a slow scrape costs no client.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/log.h"
#include "config/metrics.h"
#include "config/settings.h"
#include "proxy/admin/http_server.h"
#include "replication/outbox/path_life.h"
#include "replication/site/replica.h"

namespace outrigger {

// What the admin port shows; every function is called from one of its threads.
struct AdminView {
  std::function<std::string()> metrics;  // Prometheus text
  std::function<std::string()> status;   // JSON
  std::function<Result<std::string>(size_t limit, const LedgerPlace& from)> conflicts;  // JSON
  std::function<Result<std::string>(const std::string& name)> conflict;                 // JSON
  std::function<Result<std::string>(size_t limit)> quarantined;                         // JSON
  std::function<Result<std::string>(const PathQuestion& question)> explain;             // JSON
  // `verb` (choose, revert, dismiss) for the entry of that name; what the sidecar answered, JSON.
  std::function<Result<std::string>(const std::string& verb, const std::string& name)> choose;
  std::function<Status(const std::string& record)> retry;  // a record set aside
  std::function<Status()> ready;                           // an error says what is missing
};

class Admin {
 public:
  // Listens at once; kUnavailable when the port is taken.
  static Result<std::unique_ptr<Admin>> listen(const Endpoint& endpoint, AdminView view, Logger log,
                                               Threads& threads);

  [[nodiscard]] int port() const { return server_->port(); }

 private:
  explicit Admin(std::unique_ptr<HttpServer> server) : server_(std::move(server)) {}
  std::unique_ptr<HttpServer> server_;
};

}  // namespace outrigger
