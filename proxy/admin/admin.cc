#include "proxy/admin/admin.h"

#include <httplib.h>

#include <algorithm>
#include <cstdlib>

namespace outrigger {
namespace {

constexpr size_t kConflictsDefault = 20;
constexpr size_t kConflictsMax = 1'000;

size_t limit_of(const httplib::Request& request) {
  if (!request.has_param("limit")) return kConflictsDefault;
  const std::string text = request.get_param_value("limit");
  char* end = nullptr;
  const unsigned long long limit = std::strtoull(text.c_str(), &end, 10);
  if (end == text.c_str() || *end != '\0') return kConflictsDefault;
  return std::min<size_t>(limit, kConflictsMax);
}

void add_quarantine(httplib::Server& server, const AdminView& view) {
  server.Get("/quarantine", [view](const httplib::Request& request, httplib::Response& response) {
    const Result<std::string> found = view.quarantined(limit_of(request));
    response.status = found ? 200 : 500;
    response.set_content(found ? *found : found.error().message() + "\n",
                         found ? "application/json" : "text/plain");
  });
  server.Get("/quarantine/retry",
             [view](const httplib::Request& request, httplib::Response& response) {
               const Status taken = view.retry(request.get_param_value("record"));
               const bool unknown = !taken && taken.error().code == ErrorCode::kNotFound;
               response.status = taken ? 200 : unknown ? 404 : 409;
               response.set_content(taken ? "ok\n" : taken.error().message() + "\n", "text/plain");
             });
}

void add_routes(httplib::Server& server, const AdminView& view) {
  server.Get("/metrics", [view](const httplib::Request&, httplib::Response& response) {
    response.set_content(view.metrics(), "text/plain; version=0.0.4");
  });
  server.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("ok\n", "text/plain");
  });
  server.Get("/readyz", [view](const httplib::Request&, httplib::Response& response) {
    const Status ready = view.ready();
    response.status = ready ? 200 : 503;
    response.set_content(ready ? "ok\n" : ready.error().message() + "\n", "text/plain");
  });
  server.Get("/status", [view](const httplib::Request&, httplib::Response& response) {
    response.set_content(view.status(), "application/json");
  });
  server.Get("/conflicts", [view](const httplib::Request& request, httplib::Response& response) {
    const Result<std::string> found = view.conflicts(limit_of(request));
    response.status = found ? 200 : 500;
    response.set_content(found ? *found : found.error().message() + "\n",
                         found ? "application/json" : "text/plain");
  });
}

}  // namespace

Admin::Admin() : server_(std::make_unique<httplib::Server>()) {}

Admin::~Admin() {
  server_->stop();
  if (thread_.joinable()) thread_.join();
}

Result<std::unique_ptr<Admin>> Admin::listen(const Endpoint& endpoint, AdminView view, Logger log) {
  std::unique_ptr<Admin> admin(new Admin());
  // The default shares the port with whoever has it; two processes on one port must be an error.
  admin->server_->set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  admin->server_->new_task_queue = [] { return new httplib::ThreadPool(2); };
  add_routes(*admin->server_, view);
  add_quarantine(*admin->server_, view);
  if (endpoint.port == 0) {
    admin->port_ = admin->server_->bind_to_any_port(endpoint.host.c_str());
  } else if (admin->server_->bind_to_port(endpoint.host.c_str(), endpoint.port)) {
    admin->port_ = endpoint.port;
  }
  if (admin->port_ <= 0) {
    return fail(ErrorCode::kUnavailable, "listen for admin on", endpoint.text(),
                "the address cannot be bound", "is another process using it? see admin.listen");
  }
  httplib::Server* server = admin->server_.get();
  admin->thread_ = std::thread([server] { server->listen_after_bind(); });
  log->info("admin on http://{}:{}", endpoint.host, admin->port_);
  return admin;
}

}  // namespace outrigger
